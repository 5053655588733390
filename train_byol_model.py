"""Pre-train a net with BYOL: no labels, two views of each face, one of them of its GAN augmentation."""

import argparse

from core_code.core_utils import choices, flags
from core_code.core_utils.choices import SMALLEST_CROP
from core_code.core_utils.distributed.job import distributed_session
from core_code.core_utils.errors import run_command
from core_code.models.architectures import ARCHITECTURES


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """All the flags; those of the optimisation default to the net's entry in the table of architectures."""
    parser = flags.make_parser(
        __doc__, "python train_byol_model.py --net_name resnet18 --exp_name Regular --fine_tune True"
    )
    flags.add_run_flags(parser, ARCHITECTURES)
    flags.add_boolean(
        parser, "--fine_tune", False,
        "True pre-trains the whole net; False freezes the backbone, so that only the projection and prediction heads "
        "learn, and train_model.py --load_byol starts from the backbone as it was",
    )  # fmt: skip
    flags.add_boolean(
        parser, "--photometric", False,
        "photometric augmentation of each view (gamma, gradient, shades, contrast, blur), the counterpart for grey "
        "faces of the colour jitter of BYOL's paper: without it light alone may tell which views are of one face",
        "--other_light",
    )  # fmt: skip
    flags.add_smallest_crop_flag(parser, SMALLEST_CROP, f"{SMALLEST_CROP}, the published one")
    flags.add_optimisation_flags(parser, batch_size="32")
    parser.add_argument(
        "--prediction_lr", type=flags.positive,
        help="learning rate of the prediction head; ten times --lr keeps features from collapsing into few directions "
        "(default: --lr)",
    )  # fmt: skip
    flags.add_augmentations_flag(
        parser, "what create_augmentations.py made; a face without any gets two random views of itself, and so do all "
        f"with {choices.NO_AUGMENTATIONS}",
    )  # fmt: skip
    flags.add_training_flags(parser)
    args = parser.parse_args(arguments)
    flags.fill_in(args, ARCHITECTURES[args.net_name].byol_defaults)
    return args


@distributed_session()
def main(arguments: list[str] | None = None) -> None:
    """Pre-train and report; under torchrun, as one of several processes. Raises InputError."""
    args = parse_arguments(arguments)
    from core_code.core_utils.devices import pick_hardware
    from core_code.training.runs import run_byol
    from core_code.training.settings import BYOLRun

    device, dtype = pick_hardware(args.device, args.precision)
    run_byol(flags.as_settings(BYOLRun, args, device=device, dtype=dtype), vars(args))


if __name__ == "__main__":
    run_command(main, "the same command with --resume True goes on from there")
