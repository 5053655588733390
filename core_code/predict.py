"""Predict the emotions of the faces in pictures, or in a clip, with trained nets: `python -m core_code.predict`."""

import argparse
import sys
from pathlib import Path

from core_code.core_utils import choices, flags
from core_code.core_utils.errors import InputError, run_command


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """All the flags."""
    parser = flags.make_parser(
        "Find the faces in pictures, or in a clip, and predict which of seven expressions each shows, with "
        "probabilities. The nets have learned how people label faces, not what a person feels.",
        "python -m core_code.predict photo.jpg holiday/",
    )
    # fmt: off
    add = parser.add_argument
    add("pictures", type=Path, nargs="*", help="pictures, and folders of pictures; or one clip")
    add("--webcam", type=flags.whole_number, metavar="N",
        help="predict what the camera of this number, from 0 on, sees, until Ctrl-C or for --seconds")
    add("--checkpoint", type=Path, nargs="+", metavar="FILE",
        help="of train_model.py; several vote (default: the net that is included)")
    add("--image_size", type=flags.view_side,
        help="side of the views in pixels (default: what each net was trained on; "
        "224 for published checkpoints)")
    add("--vote", choices=choices.VOTES, default=choices.MEAN_VOTE,
        help="the mean of the nets' softmaxes, or the net with the highest top logit")
    flags.add_face_detector_flag(parser)
    flags.add_tta_flag(parser)
    add("--json", type=Path, metavar="FILE", help="write the predictions as JSON; of a clip a summary a face")
    add("--csv", type=Path, metavar="FILE", help="write the predictions as CSV; of a clip a row a face and frame")
    add("--draw", type=Path, metavar="FOLDER",
        help="write <picture>_predicted.png, <clip>_predicted.mp4 into it: a copy with a box and the prediction at "
        "each face")
    add("--curves", type=Path, metavar="FILE", help="of a clip: write a PNG with each face's emotions over time")
    add("--detect_every", type=flags.count, default=5, metavar="N",
        help="of a clip: look for faces in every Nth frame, and follow them in between")
    add("--predict_every", type=flags.count, default=1, metavar="N",
        help="of a clip: predict every Nth frame, and show the last prediction in between")
    add("--smooth", type=flags.non_negative, default=0.0, metavar="SECONDS",
        help="of a clip: average probabilities over time, with this time constant (default: 0, each frame alone)")
    add("--seconds", type=flags.positive, help="of a clip: its first SECONDS alone (default: all)")
    # fmt: on
    flags.add_device_flags(parser)
    args = parser.parse_args(arguments)
    if bool(args.pictures) == (args.webcam is not None):
        parser.error("expected pictures, one clip, or --webcam N")
    return args


def main(arguments: list[str] | None = None) -> None:
    """Predict, print and write; ends with status 1 where some of the pictures, or a part of the clip, cannot be read.
    Raises InputError."""
    args = parse_arguments(arguments)
    from core_code.core_utils.devices import pick_hardware
    from core_code.prediction.clip_files import is_clip
    from core_code.prediction.clips import run_clip
    from core_code.prediction.run import PredictionSettings, run
    from core_code.training.inference import SHIPPED_CLASSIFIER

    args.checkpoint = args.checkpoint or [SHIPPED_CLASSIFIER]
    device, dtype = pick_hardware(args.device, args.precision)
    settings = flags.as_settings(PredictionSettings, args, device=device, dtype=dtype)
    clips = [path for path in args.pictures if path.is_file() and is_clip(path)]
    if clips and len(args.pictures) > 1:
        raise InputError(f"{clips[0]}: a clip, expected it alone, without pictures or other clips")
    if args.curves and not clips and args.webcam is None:
        raise InputError(f"{args.pictures[0]}: no clip, of which there would be curves over time")
    whole = run_clip(settings) if clips or args.webcam is not None else not any(one.error for one in run(settings))
    if not whole:
        sys.exit(1)


if __name__ == "__main__":
    run_command(main, "start the same command again")
