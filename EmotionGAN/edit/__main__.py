"""Edit the expressions of the faces in a photograph: `python -m EmotionGAN.edit`."""

import argparse
import math
from pathlib import Path

from core_code.core_utils import flags
from core_code.core_utils.emotions import EMOTIONS
from core_code.core_utils.errors import run_command

coordinate = flags.number("a number from -1 to 1", lambda value: -1 <= value <= 1)
strength = flags.number("a number from 0 to 100", lambda value: 0 <= value <= 100)
degrees = flags.number("a number of degrees", math.isfinite)


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = flags.make_parser(
        "Give the faces of a photograph another expression. Each face is found, edited at the generator's own size, "
        "and the change alone is added to the photograph at full resolution; all else stays as it is. Choose one of "
        "--emotion, --x with --y, --theta with --rho, --sheet and --gif. Edit people only with their consent, and say "
        "that the picture is synthetic.",
        "python -m EmotionGAN.edit photo.jpg --emotion Happy",
    )
    parser.add_argument("photo", type=Path, help="PNG, JPEG or another picture that Pillow opens; the first argument")
    parser.add_argument("--emotion", type=str.capitalize, choices=EMOTIONS, help="to its centre")
    parser.add_argument("--x", type=coordinate, help="to a point of the space, -1 to 1, with --y")
    parser.add_argument("--y", type=coordinate, help="-1 to 1; EmotionGAN.figures plots the space")
    parser.add_argument("--theta", type=degrees, help="linear generators: to this angle, in degrees, with --rho")
    parser.add_argument("--rho", type=flags.probability, help="the strength along it, 0 to 1")
    flags.add_boolean(parser, "--sheet", False, "all seven emotions as one picture with titles")
    flags.add_boolean(parser, "--gif", False, "an animated walk through the space, from emotion to emotion")
    parser.add_argument("--strength", type=strength, default=1.0, help="how much of the change is added: "
                        "0 none, 1 as generated, above 1 more than that")  # fmt: skip
    parser.add_argument("--face", type=flags.count,
                        help="edit this one of several, counted from left to right, from 1 (default: all)")  # fmt: skip
    flags.add_face_detector_flag(parser)
    parser.add_argument("--output", type=Path, help="where the result goes (default: beside the photo, "
                        "<photo>_Happy.png, <photo>_emotions.png and the like)")  # fmt: skip
    flags.add_editor_flags(parser)
    args = parser.parse_args(arguments)
    for one, other in (("x", "y"), ("theta", "rho")):
        if (getattr(args, one) is None) != (getattr(args, other) is None):
            parser.error(f"--{one} and --{other} are given together")
    targets = [args.emotion is not None, args.x is not None, args.theta is not None, args.sheet, args.gif]
    if sum(targets) != 1:
        parser.error("choose one of --emotion, --x with --y, --theta with --rho, --sheet and --gif")
    return args


def main(arguments: list[str] | None = None) -> None:
    args = parse_arguments(arguments)

    from EmotionGAN.edit.run import EditSettings, edit_photo

    edit_photo(flags.as_settings(EditSettings, args))


if __name__ == "__main__":
    run_command(main)
