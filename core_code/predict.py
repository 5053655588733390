"""Predict the emotions of the faces in pictures with trained nets.

python -m core_code.predict photo.jpg --checkpoint checkpoints/ckpt_resnet18_Baseline_best_validation.pth
"""

import argparse
from pathlib import Path

from core_code.core_utils import flags
from core_code.core_utils.errors import run_command


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """All the flags."""
    parser = flags.make_parser(
        "Find the faces in pictures and predict which of seven expressions each shows, with probabilities. "
        "The nets have learned how people label faces, not what a person feels.",
        "python -m core_code.predict photo.jpg holiday/ --checkpoint checkpoints/ckpt_resnet18_*_best_validation.pth",
    )
    parser.add_argument("pictures", type=Path, nargs="+", help="pictures, and folders of pictures")
    parser.add_argument(
        "--checkpoint", type=Path, nargs="+", required=True, metavar="FILE",
        help="of train_model.py; several vote",
    )  # fmt: skip
    parser.add_argument(
        "--image_size", type=flags.count, default=None,
        help="side of the views in pixels (default: what each net was trained on; 224 for published checkpoints)",
    )  # fmt: skip
    parser.add_argument(
        "--vote", choices=flags.VOTES, default=flags.MEAN_VOTE,
        help="the mean of the nets' softmaxes, or the net with the highest top logit (default: mean)",
    )  # fmt: skip
    parser.add_argument(
        "--face_detector", choices=("dlib", "none"), default="dlib",
        help="dlib (pip install dlib-bin) finds the faces; none takes each picture for one face that has been cut out "
        "already (default: dlib)",
    )  # fmt: skip
    flags.add_tta_flag(parser)
    parser.add_argument("--json", type=Path, default=None, metavar="FILE", help="write the predictions as JSON")
    parser.add_argument("--csv", type=Path, default=None, metavar="FILE", help="write the predictions as CSV")
    parser.add_argument(
        "--draw", type=Path, default=None, metavar="FOLDER",
        help="write <picture>_read.png into it: a copy with a box and the prediction at each face",
    )  # fmt: skip
    flags.add_device_flags(parser)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Predict, print and write. Raises InputError."""
    args = parse_arguments(arguments)
    from core_code.core_utils.devices import pick_device, pick_dtype
    from core_code.prediction.run import PredictionSettings, run

    given = {name: value for name, value in vars(args).items() if name not in ("precision", "seed")}
    given["device"] = pick_device(args.device)
    run(PredictionSettings(**given, dtype=pick_dtype(args.precision, given["device"])))


if __name__ == "__main__":
    run_command(main)
