"""Predict the emotions of the faces in pictures with trained nets.

python -m core_code.predict photo.jpg
"""

import argparse
import sys
from pathlib import Path

from core_code.core_utils import flags
from core_code.core_utils.errors import run_command


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """All the flags."""
    parser = flags.make_parser(
        "Find the faces in pictures and predict which of seven expressions each shows, with probabilities. "
        "The nets have learned how people label faces, not what a person feels.",
        "python -m core_code.predict photo.jpg holiday/",
    )
    add = parser.add_argument
    add("pictures", type=Path, nargs="+", help="pictures, and folders of pictures")
    add("--checkpoint", type=Path, nargs="+", metavar="FILE",
        help="of train_model.py; several vote (default: the net that is included)")  # fmt: skip
    add("--image_size", type=flags.count, help="side of the views in pixels (default: what each net was trained on; "
        "224 for published checkpoints)")  # fmt: skip
    add("--vote", choices=flags.VOTES, default=flags.MEAN_VOTE,
        help="the mean of the nets' softmaxes, or the net with the highest top logit (default: mean)")  # fmt: skip
    flags.add_face_detector_flag(parser)
    flags.add_tta_flag(parser)
    add("--json", type=Path, metavar="FILE", help="write the predictions as JSON")
    add("--csv", type=Path, metavar="FILE", help="write the predictions as CSV")
    add("--draw", type=Path, metavar="FOLDER",
        help="write <picture>_read.png into it: a copy with a box and the prediction at each face")  # fmt: skip
    flags.add_device_flags(parser)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Predict, print and write; ends with status 1 where some of the pictures cannot be read. Raises InputError."""
    args = parse_arguments(arguments)
    from core_code.core_utils.devices import pick_hardware
    from core_code.prediction.run import PredictionSettings, run
    from core_code.training.inference import SHIPPED_CLASSIFIER

    args.checkpoint = args.checkpoint or [SHIPPED_CLASSIFIER]
    device, dtype = pick_hardware(args.device, args.precision)
    predictions = run(flags.as_settings(PredictionSettings, args, device=device, dtype=dtype))
    if any(one.error for one in predictions):
        sys.exit(1)


if __name__ == "__main__":
    run_command(main)
