"""Train a generator on labelled faces: `python -m EmotionGAN.learn`."""

import argparse
import math
from dataclasses import fields
from pathlib import Path

from core_code.core_utils import flags
from core_code.core_utils.distributed.job import distributed_session, is_main_process, local_main_first, world_size
from core_code.core_utils.emotions import EMOTIONS
from core_code.core_utils.errors import InputError, run_command
from EmotionGAN.learn.config import NETWORK, PUBLISHED, PUBLISHED_NETWORK, LearnConfig


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = flags.make_parser(
        "Train an EmotionGAN generator on the training faces (val faces are only shown on the sample sheets). Under "
        "torchrun several processes share every batch (docs/scaling.md).",
        "python -m EmotionGAN.learn --data_root data/fer2013 --dest runs/gaussian_48 --image_size 48 --width 32\n"
        "  torchrun --standalone --nproc_per_node 8 -m EmotionGAN.learn --dest runs/gaussian_48 --batch_size 64",
    )
    flags.add_data_flags(parser)
    flags.add_device_flags(parser)
    parser.add_argument("--dest", type=Path, required=True, help="folder of the run; started again, it goes on")
    parser.add_argument("--config", choices=("fer2013", "ganmut"), default="fer2013", help="where the other defaults "
                        "come from; ganmut: the published ones, for 128 px")  # fmt: skip
    parser.add_argument("--start_from", type=Path, metavar="FOLDER", help="a generator's folder, whose weights a new "
                        "run starts from, with fresh optimisers")  # fmt: skip
    parser.add_argument("--minutes", type=float, default=math.inf, help="stop and save after so many; the same "
                        "command goes on (default: no limit)")  # fmt: skip
    parser.add_argument("--parametrisation", choices=("gaussian", "linear"), default="gaussian")
    parser.add_argument("--image_size", type=flags.count, help="side of the faces in pixels (default: 48; ganmut: 128)")
    parser.add_argument("--width", type=flags.count, help="channels of the first layer (default: 32; ganmut: 64)")
    parser.add_argument("--blocks", type=flags.count, help="residual blocks (default: 6)")
    parser.add_argument("--output", choices=("plain", "warp", "overlay"), help="plain: GANmut's; warp: pixels moved "
                        "and painted over; overlay: version 0.1's (default: warp; ganmut: plain)")  # fmt: skip
    parser.add_argument("--codes", choices=("maps", "norms"), help="maps: GANmut's two constant channels; norms: scale "
                        "and shift of the norms (default: norms; ganmut: maps)")  # fmt: skip
    for name, default, help in (
        ("blur", 0.0, "what is painted is smoothed by a gaussian of this standard deviation, in pixels"),
        ("highpass", 0.0, "what a gaussian of this standard deviation leaves of it is then subtracted"),
        ("gain", 1.0, "it is multiplied by this"),
    ):
        parser.add_argument(
            f"--paint_{name}", type=flags.non_negative, default=default, metavar="N", help=f"of warp: {help}"
        )
    flags.add_boolean(parser, "--paint_soft", False, "of warp: it nears black and white softly, without being cut off")
    parser.add_argument("--every", type=flags.count, default=500, help="steps between checkpoints and sheets")
    flags.add_tensorboard_flag(parser, "DEST/tensorboard")
    flags.add_boolean(
        parser, "--compile", False, "compile the generator first: a minute, then faster; needs a C++ compiler"
    )
    for field in fields(LearnConfig):
        names = [f"--{name}" for name in (field.name, field.metadata["old"]) if name]
        published = f"; ganmut: {PUBLISHED[field.name]}" if field.name in PUBLISHED else ""
        parser.add_argument(*names, type=field.metadata["kind"], metavar="N",
                            help=f"{field.metadata['help']} (default: {field.default}{published})")  # fmt: skip
    args = parser.parse_args(arguments)
    if not args.minutes >= 0:
        parser.error(f"--minutes {args.minutes}, expected 0 or more")
    defaults = NETWORK | {field.name: field.default for field in fields(LearnConfig)}
    defaults |= PUBLISHED_NETWORK | PUBLISHED if args.config == "ganmut" else {}
    flags.fill_in(args, argparse.Namespace(**defaults))
    return args


@distributed_session()
def main(arguments: list[str] | None = None) -> None:
    """Train and report; under torchrun, as one of several processes. Raises InputError."""
    args = parse_arguments(arguments)

    from core_code.core_utils.devices import pick_hardware
    from core_code.core_utils.tensorboard import Board
    from core_code.datasets.fer2013 import FER2013
    from EmotionGAN.learn.data import BalancedFaces
    from EmotionGAN.learn.run import run
    from EmotionGAN.learn.trainer import Trainer
    from EmotionGAN.networks.config import GeneratorConfig
    from EmotionGAN.networks.face_encoder import check_settings

    values = {field.name: getattr(args, field.name) for field in fields(GeneratorConfig) if hasattr(args, field.name)}
    values |= {"colours": "grey", "framing": "fer2013", "emotions": EMOTIONS}
    generator_config = GeneratorConfig.from_dict(values, "the flags")
    config = flags.as_settings(LearnConfig, args)
    for name in ("batch_size", "discriminator_batch_size"):
        if (given := getattr(config, name)) < world_size():
            raise InputError(f"--{name} {given} for {world_size()} processes, expected a face for each")
    if not config.total_steps:
        raise InputError("--discriminator_steps 0 and --steps 0: no step is left to be taken")
    sizes = {"image_size": generator_config.image_size, "channels": generator_config.channels}
    sizes |= {"width": config.discriminator_width, "layers": config.discriminator_layers}
    check_settings(sizes, "the discriminator's flags")
    device, dtype = pick_hardware(args.device, args.precision)
    with local_main_first():
        train = FER2013(args.data_root, "train", args.dataset, args.max_faces)
        shown = FER2013(args.data_root, "val", args.dataset, 10).faces
    trainer = Trainer(generator_config, config, args.seed, device, train.fingerprint())
    faces = BalancedFaces(train.faces, train.labels, args.image_size, generator_config.channels, device)
    board = Board(args.dest / "tensorboard" if args.tensorboard and is_main_process() else None)
    run(trainer, faces, shown, args.dest, args.every, dtype, args.compile, args.minutes, args.start_from, board)
    print(f"generator: {args.dest / 'generator'}\nsheets: {args.dest / 'sheets'}")


if __name__ == "__main__":
    run_command(main)
