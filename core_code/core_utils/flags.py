"""Argument types with clear errors, and the flags that the scripts share."""

import argparse
import math
import sys
from collections.abc import Callable, Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any

from core_code.core_utils.choices import (
    AUGMENTATIONS_FOLDER,
    DATA_ROOT,
    DATASETS,
    LARGEST_VIEW,
    NO_TTA,
    OWN_LABELS,
    TTA_KINDS,
)

THE_RECIPES = "the recipe's"  # the default of a flag that is left to the recipe
TRUE, FALSE = ("true", "1", "yes"), ("false", "0", "no")


def boolean(text: str) -> bool:
    """True/False, true/false, 1/0, yes/no; anything else is an argparse error."""
    if text.lower() in TRUE:
        return True
    if text.lower() in FALSE:
        return False
    raise argparse.ArgumentTypeError(f"expected True or False, found {text!r}")


def boolean_or_auto(text: str) -> bool | None:
    """As boolean, and None for auto."""
    return None if text.lower() == "auto" else boolean(text)


def number(expected: str, fits: Callable[[float], bool], kind: type[int] | type[float] = float) -> Callable[[str], Any]:
    """An argparse type that takes numbers that `fits`; its error names what is `expected`."""

    def parse(text: str) -> float:
        try:
            value: float = kind(text)
        except ValueError:
            value = math.nan
        if not fits(value):
            raise argparse.ArgumentTypeError(f"expected {expected}, found {text!r}")
        return value

    return parse


probability = number("a number from 0 to 1", lambda value: 0 <= value <= 1)
share = number("a number above 0 and up to 1", lambda value: 0 < value <= 1)
decay = number("a number of 0 or more and below 1", lambda value: 0 <= value < 1)
degrees = number("a number from 0 to 180", lambda value: 0 <= value <= 180)
whole_number = number("a whole number, 0 or more", lambda value: value >= 0, int)
two_or_more = number("a whole number, 2 or more", lambda value: 2 <= value < 1 << 31, int)
count = number("a whole number, 1 or more", lambda value: 1 <= value < 1 << 31, int)
view_side = number(f"a whole number from 1 to {LARGEST_VIEW}", lambda value: 1 <= value <= LARGEST_VIEW, int)
seed = number("a whole number from 0 to 4294967295", lambda value: 0 <= value < 1 << 32, int)
positive = number("a number above 0", lambda value: 0 < value < math.inf)
non_negative = number("a number, 0 or more", lambda value: 0 <= value < math.inf)


def run_name(text: str) -> str:
    """A name that becomes part of file names: letters, digits, '.', '-' and '_', no path; at most 100 bytes, for a
    file's name has at most 255."""
    if not text or not all(c.isalnum() or c in "._-" for c in text) or text.startswith("."):
        raise argparse.ArgumentTypeError(f"expected letters, digits, '.', '-' or '_', found {text!r}")
    if len(text.encode()) > 100:
        raise argparse.ArgumentTypeError(f"expected at most 100 bytes, found {len(text.encode())}: {text!r}")
    return text


def add_boolean(parser: argparse.ArgumentParser, name: str, default: bool | None, help: str, *aliases: str) -> None:
    """A flag that takes True/False or stands alone for True; `aliases` are further names of it.

    None is the default of a flag that `fill_in` fills from the recipe.
    """
    help += f" (default: {THE_RECIPES})" if default is None else ""
    parser.add_argument(
        name, *aliases, type=boolean, nargs="?", const=True, default=default, metavar="True/False", help=help
    )


class Parser(argparse.ArgumentParser):
    """Its description is printed as it stands, and a flag's default behind the help that does not tell it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, **options)

    def add_argument(self, *names: str, **options: Any) -> argparse.Action:
        help, default = options.get("help", ""), options.get("default")
        has_default = "(default" in help or help == argparse.SUPPRESS or isinstance(default, list)
        if default not in (None, argparse.SUPPRESS) and not has_default:
            shown = f"{default:g}" if isinstance(default, float) else default
            options["help"] = f"{help} (default: {shown})".lstrip()
        return super().add_argument(*names, **options)


def make_parser(description: str, example: str) -> argparse.ArgumentParser:
    """A parser whose --help ends with an example, and begins with how the command was started: `python -m
    EmotionGAN.learn` for a module's."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    prog = f"python -m {spec.name.removesuffix('.__main__')}" if spec else None
    parser = Parser(prog=prog, description=description, epilog=f"example:\n  {example}", allow_abbrev=False)
    parser.register("type", Path, path)
    return parser


def path(text: str) -> Path:
    """A path; the empty text, which Path takes for the working folder, is an argparse error."""
    if not text:
        raise argparse.ArgumentTypeError("expected a path, found '' (the working folder is .)")
    return Path(text)


def as_settings(settings: type, args: argparse.Namespace, **more: Any) -> Any:
    """The dataclass `settings` filled with the flags that are named as its fields, and with `more`."""
    named = {field.name: getattr(args, field.name) for field in fields(settings) if hasattr(args, field.name)}
    return settings(**named | more)


def as_words(**values: object) -> tuple[str, ...]:
    """The words of a command line: `--name value` for each value that is not None."""
    return tuple(word for name, value in values.items() if value is not None for word in (f"--{name}", str(value)))


def add_run_flags(parser: argparse.ArgumentParser, nets: Iterable[str]) -> None:
    """Which training run: --net_name (one of `nets`), --exp_name, --epochs, --resume and --verbose."""
    parser.add_argument("--net_name", choices=tuple(nets), required=True, help="which architecture")
    parser.add_argument("--exp_name", type=run_name, required=True, help="becomes part of the files' names")
    parser.add_argument("--epochs", type=count, default=100, help="passes over the training faces")
    add_boolean(parser, "--resume", False, "go on from the last epoch of the same net and experiment")
    add_boolean(parser, "--verbose", False, "a status line in the log every 100 iterations")
    add_tensorboard_flag(parser, "runs/")


def add_tensorboard_flag(parser: argparse.ArgumentParser, folder: str) -> None:
    """Whether TensorBoard's files are written too: --tensorboard."""
    help = f"write scalars and pictures for TensorBoard into {folder} too (pip install tensorboard)"
    add_boolean(parser, "--tensorboard", False, help)


def add_optimisation_flags(parser: argparse.ArgumentParser, batch_size: str, whose: str = "the net's") -> None:
    """How to optimise: None where the user leaves it to the defaults that are `whose`, see `fill_in`."""
    add, default = parser.add_argument, f"(default: {whose})"
    add("--batch_size", type=count, help=f"faces a step (default: {batch_size})")
    add("--lr", type=positive, help=f"learning rate {default}")
    add("--weight_decay", type=non_negative, help=f"L2 penalty on the weights {default}")
    add("--optimizer", choices=("adam", "sgd"), help=f"sgd has momentum 0.9 {default}")
    add("--scheduler", choices=("cosine", "step", "none"),
        help=f"cosine over the epochs, step: a tenth every 10 epochs, or none {default}")  # fmt: skip


def add_smallest_crop_flag(parser: argparse.ArgumentParser, default: float | None, shown: str) -> None:
    """How much of a face a random view shows at least: --smallest_crop."""
    parser.add_argument(
        "--smallest_crop", type=share, default=default, metavar="SHARE",
        help="the least share of a face's area that a training view shows; from random weights 0.5 learns faster, and "
        f"two crops of 0.08 may have nothing in common for BYOL (default: {shown})",
    )  # fmt: skip


def add_recipe_flags(parser: argparse.ArgumentParser, recipes: Iterable[str], stems: Iterable[str]) -> None:
    """The recipe, and each of its parts: None where the user leaves it to the recipe, see `fill_in`."""
    parser.add_argument(
        "--recipe", choices=tuple(recipes),
        help="sets the defaults of the flags from --batch_size to --stem: published is the study's, for weights that "
        "were trained before; scratch is for random ones, best at --image_size 48 or 64 (default: scratch with "
        "--weights none without BYOL or a study's winner, else published)",
    )  # fmt: skip
    add_optimisation_flags(parser, THE_RECIPES, THE_RECIPES)
    add_boolean(parser, "--nesterov", None, "Nesterov's momentum, with --optimizer sgd")
    add_boolean(parser, "--decay_norms", None, "whether the weight decay is on norms and biases too")
    add_smallest_crop_flag(parser, None, THE_RECIPES)

    def add(name: str, kind: Callable[[str], Any], metavar: str, help: str) -> None:
        parser.add_argument(name, type=kind, metavar=metavar, help=f"{help} (default: {THE_RECIPES})")

    add("--warm_up", whole_number, "EPOCHS", "the epochs in which the learning rate rises, before the scheduler's")
    add("--label_smoothing", probability, "P", "the share of each label that is spread over all emotions, 0 to 1")
    add("--mixup", non_negative, "ALPHA", "blend faces and labels in pairs, the share out of Beta(ALPHA, ALPHA); 0: no")
    add("--rotation", degrees, "DEGREES", "rotate training views by up to DEGREES either way")
    add("--elastic", non_negative, "ALPHA", "warp training views smoothly at random, as torchvision's ElasticTransform "
        "of this alpha, 50 by its default, and a sigma of 4 of a face's 48 pixels; 0: no")  # fmt: skip
    add("--erasing", probability, "P", "the chance that a rectangle of a training view is erased, 0 to 1")
    add("--ema", decay, "DECAY", "validate and keep the moving average of the weights with this decay; 0: no average")
    parser.add_argument(
        "--stem", choices=tuple(stems),
        help="small: the first convolution has stride 1 and no pooling follows it, for views of 64 pixels or less; the "
        "weights fit either stem (default: the recipe's; of scratch small up to --image_size 64)",
    )  # fmt: skip


def fill_in(args: argparse.Namespace, defaults: object) -> None:
    """Give each flag that is None the value of the same name in `defaults`."""
    for name, value in vars(defaults).items():
        if getattr(args, name) is None:
            setattr(args, name, value)


def fill_in_recipe(parser: argparse.ArgumentParser, args: argparse.Namespace, values: dict[str, Any]) -> None:
    """Give each flag that is None the recipe's value."""
    if args.optimizer == "adam" != values["optimizer"] and args.lr is None:
        parser.error(f"--optimizer adam needs an --lr: that of the recipe, {values['lr']:g}, is for sgd")
    fill_in(args, argparse.Namespace(**values))


def add_augmentations_flag(parser: argparse.ArgumentParser, help: str) -> None:
    """Where create_augmentations.py has written: --augmentations_folder."""
    parser.add_argument("--augmentations_folder", type=Path, default=AUGMENTATIONS_FOLDER, help=help)


def add_data_flags(
    parser: argparse.ArgumentParser, max_faces: bool = True, default: str = "fer2013", own_labels: bool = False
) -> None:
    """Which faces: --dataset, --data_root and, where the script takes it, --max_faces. With `own_labels` other emotions
    than FER2013's are offered too."""
    choices = [name for name in DATASETS if own_labels or name != OWN_LABELS]
    own = ", own_labels (the same, the folders' names are the labels)" if own_labels else ""
    parser.add_argument(
        "--dataset", choices=choices, default=default,
        help=f"fer2013 (a CSV), folder (images in train/<emotion>/ ...){own}, or sample (built in)",
    )  # fmt: skip
    parser.add_argument(
        "--data_root", type=Path, default=DATA_ROOT,
        help="folder of icml_face_data.csv or fer2013.csv, or of the image folders",
    )  # fmt: skip
    if max_faces:
        parser.add_argument("--max_faces", type=count, help="use only the first N training faces (default: all)")


def add_device_flags(parser: argparse.ArgumentParser) -> None:
    """On what, how exactly, from which random numbers: --device, --precision and --seed."""
    add = parser.add_argument
    add("--device", choices=("auto", "cuda", "mps", "cpu"), default="auto", help="auto takes cuda, then mps, then cpu")
    add("--precision", choices=("auto", "fp32", "bf16"), default="auto",
        help="auto takes bf16 where the hardware multiplies it faster")  # fmt: skip
    add("--seed", type=seed, default=1, help="same seed, same results")


def add_accelerate_flag(parser: argparse.ArgumentParser) -> None:
    """Whether to use the project's own faster ways to compute the same: --accelerate."""
    help = "False uses PyTorch's own layers and no CUDA graphs: the same results within rounding, but slower"
    add_boolean(parser, "--accelerate", True, help)


def add_network_flags(parser: argparse.ArgumentParser) -> None:
    """What the classifier starts from and sees: --weights and --image_size."""
    add = parser.add_argument
    add("--weights", default="imagenet", help="imagenet (torchvision's), none (random), or a file with a state dict")
    add("--image_size", type=view_side, default=224,
        help="side of the views in pixels; the evaluation view scales with it")  # fmt: skip


def add_tta_flag(parser: argparse.ArgumentParser, default: str = NO_TTA) -> None:
    """Test-time augmentation: --tta."""
    parser.add_argument(
        "--tta", choices=TTA_KINDS, default=default,
        help="test-time augmentation: the mean of the logits of the view and its mirror image (flip), or of four "
        "corners, centre crop and their mirror images (ten_crop)",
    )  # fmt: skip


def add_output_flag(parser: argparse.ArgumentParser) -> None:
    """Where checkpoints, pictures and logs lie: --output_root."""
    parser.add_argument("--output_root", type=Path, default=Path("."),
                        help="where checkpoints/, plots_output/ and logs/ lie (default: here)")  # fmt: skip


def add_generator_flag(parser: argparse.ArgumentParser) -> None:
    """Which generator: --generator."""
    parser.add_argument("--generator", type=Path, help="folder of a learned generator, or a published GANmut "
                        "checkpoint file (default: EmotionGAN/learned_generators/fer2013_gaussian_48)")  # fmt: skip


def add_training_flags(parser: argparse.ArgumentParser, **data: Any) -> None:
    """What a classifier's trainings share: output, data (see add_data_flags), network, device, acceleration."""
    add_output_flag(parser)
    add_data_flags(parser, **data)
    add_network_flags(parser)
    add_device_flags(parser)
    add_accelerate_flag(parser)


def add_editor_flags(parser: argparse.ArgumentParser) -> None:
    """Which generator, and how it computes: --generator, --accelerate and the flags of the device."""
    add_generator_flag(parser)
    add_accelerate_flag(parser)
    add_device_flags(parser)


def add_face_detector_flag(parser: argparse.ArgumentParser) -> None:
    """Whether faces are to be found in a photograph: --face_detector."""
    parser.add_argument("--face_detector", choices=("dlib", "none"), default="dlib",
                        help="dlib (pip install dlib-bin) finds the faces; none takes a picture for one face that has "
                        "been cut out already")  # fmt: skip
