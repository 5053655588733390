"""Edit the expressions of the faces in a photograph: `python -m EmotionGAN.edit`."""

import argparse
import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from core_code.core_utils import flags
from core_code.core_utils.errors import InputError, run_command

if TYPE_CHECKING:
    from torch import Tensor

    from core_code.core_utils.photos.face_finder import Box
    from EmotionGAN.editor import Editor


def number(text: str, low: float, high: float, expected: str) -> float:
    """A finite number in [low, high], described by `expected` in the error."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high or math.isinf(value):
        raise argparse.ArgumentTypeError(f"expected {expected}, found {text!r}")
    return value


coordinate = partial(number, low=-1, high=1, expected="a number from -1 to 1")
degrees = partial(number, low=-math.inf, high=math.inf, expected="a number of degrees")


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    from core_code.core_utils.emotions import EMOTIONS

    parser = flags.make_parser(
        "Give the faces of a photograph another expression. Each face is found, edited at the generator's own size, "
        "and the change alone is added to the photograph at full resolution; all else stays as it is. Choose one of "
        "--emotion, --x with --y, --theta with --rho, --sheet and --gif. Edit people only with their consent, and say "
        "that the picture is synthetic.",
        "python -m EmotionGAN.edit photo.jpg --emotion Happy",
    )
    parser.add_argument("photo", type=Path, help="PNG, JPEG or another picture that Pillow opens; the first argument")
    parser.add_argument("--emotion", type=str.capitalize, choices=EMOTIONS, default=None, help="to its centre")
    parser.add_argument("--x", type=coordinate, default=None, help="to a point of the space, -1 to 1, with --y")
    parser.add_argument("--y", type=coordinate, default=None, help="-1 to 1; EmotionGAN.figures plots the space")
    parser.add_argument(
        "--theta", type=degrees, default=None, help="linear generators: to this angle, in degrees, with --rho"
    )
    parser.add_argument("--rho", type=flags.probability, default=None, help="the strength along it, 0 to 1")
    flags.add_boolean(parser, "--sheet", False, "all seven emotions as one picture with titles")
    flags.add_boolean(parser, "--gif", False, "an animated walk through the space, from emotion to emotion")
    parser.add_argument(
        "--strength", type=flags.non_negative, default=1.0,
        help="how much of the change is added: 0 none, 1 as generated, above 1 more than that (default: 1)",
    )  # fmt: skip
    parser.add_argument(
        "--face", type=flags.count, default=None,
        help="edit this one of several faces, counted from left to right, from 1 (default: all)",
    )  # fmt: skip
    parser.add_argument(
        "--face_detector", choices=("dlib", "none"), default="dlib",
        help="dlib (pip install dlib-bin) finds the faces; none takes the whole picture for one face that has been cut "
        "out already (default: dlib)",
    )  # fmt: skip
    parser.add_argument(
        "--output", type=Path, default=None,
        help="where the result goes (default: beside the photo, <photo>_Happy.png, <photo>_emotions.png and the like)",
    )  # fmt: skip
    flags.add_generator_flag(parser)
    flags.add_device_flags(parser)
    args = parser.parse_args(arguments)
    for one, other in (("x", "y"), ("theta", "rho")):
        if (getattr(args, one) is None) != (getattr(args, other) is None):
            parser.error(f"--{one} and --{other} are given together")
    targets = [args.emotion is not None, args.x is not None, args.theta is not None, args.sheet, args.gif]
    if sum(targets) != 1:
        parser.error("choose one of --emotion, --x with --y, --theta with --rho, --sheet and --gif")
    return args


def default_output(args: argparse.Namespace) -> Path:
    """Beside the photo, named after it and the target."""
    if args.gif:
        name = "walk.gif"
    elif args.sheet:
        name = "emotions.png"
    elif args.emotion is not None:
        name = f"{args.emotion}.png"
    elif args.x is not None:
        name = f"x{args.x:g}_y{args.y:g}.png"
    else:
        name = f"theta{args.theta:g}_rho{args.rho:g}.png"
    return args.photo.with_name(f"{args.photo.stem}_{name}")


def check_output(output: Path, photo: Path, channels: int, ending: str | None) -> None:
    """Raise InputError for a name that is the photo's own, or whose ending is not `ending` (None: of a photograph)."""
    from core_code.core_utils.photos.photographs import check_format

    if output.resolve() == photo.resolve() or (output.exists() and output.samefile(photo)):
        raise InputError(f"{output}: is the photo itself, which is never written over; take another --output")
    if ending is None:
        check_format(output, channels)
    elif output.suffix.lower() != ending:
        raise InputError(f"{output}: unknown ending {output.suffix!r}, expected {ending}")


def target_point(args: argparse.Namespace, editor: "Editor") -> "Tensor":
    """The code that the flags name: float [1,2]. Raises InputError."""
    import torch

    if args.emotion is not None:
        return editor.space.centres[[editor.space.emotions.index(args.emotion)]]
    if args.x is not None:
        return torch.tensor([[args.x, args.y]])
    if editor.generator.config.parametrisation != "linear":
        raise InputError(f"--theta and --rho are of linear generators, {editor.name} is not one: take --x and --y")
    angle = math.radians(args.theta)
    return torch.tensor([[args.rho * math.cos(angle), args.rho * math.sin(angle)]])


def chosen_crop(crops: "Sequence[Box]", number: int, photo: Path) -> "Box":
    """The crop of one face, counted from 1. Raises InputError when there are fewer."""
    if number > len(crops):
        found = "1 face" if len(crops) == 1 else f"{len(crops)} faces"
        raise InputError(f"{photo}: --face {number}, but it has {found} (counted from left to right)")
    return crops[number - 1]


def main(arguments: list[str] | None = None) -> None:
    args = parse_arguments(arguments)

    from core_code.core_utils.devices import pick_device, pick_dtype
    from core_code.core_utils.photos.photographs import face_crops, read_photograph, write_photograph
    from EmotionGAN.edit.photographs import add_changes, luminance_changes
    from EmotionGAN.editor import Editor

    photograph = read_photograph(args.photo)
    output = args.output or default_output(args)
    ending = ".gif" if args.gif else ".png" if args.sheet else None
    check_output(output, args.photo, photograph.pixels.shape[2], ending)
    device = pick_device(args.device)
    editor = Editor.load(args.generator, device, pick_dtype(args.precision, device))
    point = None if args.sheet or args.gif else target_point(args, editor)
    crops = face_crops(photograph, args.face_detector, editor.generator.config.framing, str(args.photo))
    if args.face is not None:
        crops = [chosen_crop(crops, args.face, args.photo)]
    for number, crop in enumerate(crops, start=args.face or 1):
        print(f"face {number}: {crop.width}x{crop.height} pixels at ({crop.left}, {crop.top})")
    if point is not None:
        (changes,) = luminance_changes(editor, photograph, crops, point)
        write_photograph(output, add_changes(photograph, crops, changes, args.strength))
        print(f"edited: {output}")
        return

    from EmotionGAN.edit.album import write_sheet, write_walk

    if args.sheet:
        print(f"{write_sheet(output, editor, photograph, crops, args.strength)} pictures: {output}")
    else:
        print(f"{write_walk(output, editor, photograph, crops, args.strength)} frames: {output}")


if __name__ == "__main__":
    run_command(main)
