"""Soft labels for the training faces and their generated images, by teachers that have not seen them.

The training faces are split into folds; each fold, and what was generated from its faces, is labelled by nets trained
on the others (training/cross_fitting.py). `train_model.py --soft_labels` trains on the file.
"""

import argparse
from pathlib import Path

from core_code.core_utils import flags
from core_code.core_utils.distributed.job import distributed_session
from core_code.core_utils.errors import run_command
from core_code.models.architectures import ARCHITECTURES, STEMS
from core_code.training.recipes import RECIPES, default_recipe, recipe_values


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """All the flags; those of the optimisation default to the recipe's entry in the table."""
    parser = flags.make_parser(
        (__doc__ or " ").splitlines()[0],
        "python -m core_code.soft_labels --net_name resnet18 --exp_name teachers --weights none --image_size 48",
    )
    flags.add_run_flags(parser, ARCHITECTURES)
    add = parser.add_argument
    add("--folds", type=flags.two_or_more, default=2, help="parts of the training faces, each labelled by nets trained "
        "on the others; copies of a face stand in one")  # fmt: skip
    add("--ensemble", type=flags.count, default=1, metavar="N",
        help="N nets a fold, of seeds in a row; the mean of their softmaxes is the label")  # fmt: skip
    add("--temperature", type=flags.positive, default=1.0, metavar="T",
        help="divide logits by T before the softmax: above 1 makes labels softer")  # fmt: skip
    add("--confidence", type=flags.probability, default=0.0, metavar="P", help="leave generated images out of training "
        "whose intended emotion has a probability below P (default: 0, none)")  # fmt: skip
    add("--augmentations_folder", type=Path, metavar="FOLDER", help="label these augmentations too (default: none)")
    add("--expanded_folder", type=Path, metavar="FOLDER", help="label this expansion too (default: none)")
    add("--dest", type=Path, metavar="NPZ",
        help="the file to write (default: soft_labels/<net>_<exp>.npz below --output_root)")  # fmt: skip
    flags.add_boolean(parser, "--fine_tune", True, "True trains the whole nets, False new heads alone")
    flags.add_recipe_flags(parser, RECIPES, STEMS)
    flags.add_training_flags(parser)
    args = parser.parse_args(arguments)
    args.recipe = args.recipe or default_recipe(args.weights)
    flags.fill_in_recipe(parser, args, recipe_values(args.recipe, args.net_name, args.image_size))
    args.dest = args.dest or args.output_root / "soft_labels" / f"{args.net_name}_{args.exp_name}.npz"
    if args.dest.suffix != ".npz":
        parser.error(f"--dest {args.dest}: expected a name that ends in .npz (a table is written beside it, as .csv)")
    return args


@distributed_session()
def main(arguments: list[str] | None = None) -> None:
    """Train the teachers, label and write. Raises InputError."""
    args = parse_arguments(arguments)
    from core_code.core_utils.devices import pick_hardware
    from core_code.training.cross_fitting import CrossFitting, make_soft_labels
    from core_code.training.settings import ClassifierRun

    device, dtype = pick_hardware(args.device, args.precision)
    run = flags.as_settings(
        ClassifierRun, args, device=device, dtype=dtype, emotion_transform_prob=0.0, load_byol=False,
        use_expanded_dataset=False, faces_per_epoch=None,
    )  # fmt: skip
    make_soft_labels(run, flags.as_settings(CrossFitting, args), vars(args))


if __name__ == "__main__":
    run_command(main, "the same command with --resume True goes on from there")
