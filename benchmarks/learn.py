"""Steps a second of learning a generator: both networks' steps on batches of faces.

    python benchmarks/learn.py --image_size 64 --batch_size 16

ours: what python -m EmotionGAN.learn does. baseline: the same losses in the straightforward loop, in float32, each
operation launched by itself, each loss copied back for the progress bar. Both take turns in the same
process; medians of the rounds. Prints one JSON object.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch

from benchmarks.measuring import make_parser, print_speeds
from core_code.core_utils.devices import pick_hardware
from core_code.core_utils.errors import run_command
from core_code.core_utils.flags import count
from core_code.datasets.fer2013 import FER2013
from EmotionGAN.learn.config import LearnConfig
from EmotionGAN.learn.data import BalancedFaces
from EmotionGAN.learn.steps import Steps
from EmotionGAN.learn.trainer import Trainer
from EmotionGAN.networks.config import GeneratorConfig

BLOCK = 8  # steps between two looks at the clock, of which one has the R1 penalty


def adversarial_steps(
    faces: BalancedFaces, generator: GeneratorConfig, config: LearnConfig, device: torch.device, dtype: torch.dtype,
    accelerate: bool,
) -> Iterator[int]:  # fmt: skip
    """Endless training; yields the steps of each block."""
    trainer = Trainer(generator, config, 1, device)
    trainer.prepare(faces)
    trainer.freeze_guides()
    steps = Steps(trainer, faces, dtype, accelerate)
    while True:
        for _ in range(BLOCK):
            terms = steps.adversarial_step(torch.Generator().manual_seed(trainer.step))
            trainer.step += 1
            if not accelerate:
                {name: value.item() for name, value in terms.items()}
        next(iter(terms.values())).item()  # all of the block is computed
        yield BLOCK


def main() -> None:
    parser = make_parser(__doc__, ("ours", "baseline"), net=False)
    parser.add_argument("--image_size", type=count, default=48)
    parser.add_argument("--batch_size", type=count, default=16)
    parser.add_argument("--width", type=count, default=32)
    parser.add_argument("--steps", type=count, default=1, help=f"of each in a round, times {BLOCK}")
    args = parser.parse_args()
    device, dtype = pick_hardware(args.device, args.precision)
    data = FER2013(args.data_root, "train", args.dataset, args.max_faces)
    faces = BalancedFaces(data.faces, data.labels, args.image_size, 1, device)
    generator = GeneratorConfig("gaussian", args.image_size, "grey", args.width, 6, "warp", "norms", "fer2013")
    config = LearnConfig(discriminator_steps=0, batch_size=args.batch_size)
    print_speeds(
        {"ours": lambda: adversarial_steps(faces, generator, config, device, dtype, True),
         "baseline": lambda: adversarial_steps(faces, generator, config, device, torch.float32, False)},
        args, "steps", device, dtype, image_size=args.image_size, batch_size=args.batch_size,
    )  # fmt: skip


if __name__ == "__main__":
    run_command(main)
