"""Seconds until training can sample augmentations, beside a baseline: a directory listing for every sampled face.

    python benchmarks/augmentation_store.py --faces 28709 --num_augments 10

Writes a full folder of PNGs in a temporary place, then times the first opening, which packs them, and a later one.
baseline: for each sampled face, list its folder, take one of its files, decode it; timed on some faces and scaled to
all. ours_epoch: the same samples from the opened store. Prints one JSON object.
"""

import os
import random
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch

from benchmarks.baseline import random_augmentation
from benchmarks.measuring import peak_megabytes, print_json, seconds
from benchmarks.synthetic_data import ManyFaces, write_folder
from core_code.core_utils import flags
from core_code.core_utils.errors import run_command
from core_code.datasets.augmentations.store import Augmentations
from core_code.datasets.fer2013 import FER2013

BATCH = 128


def cpu_seconds() -> float:
    """Processor time of this process and of those it has started and ended, which other load changes little."""
    return sum(os.times()[:4])


def sample_epoch(store: Augmentations, train: FER2013) -> None:
    """One augmentation of every face from the opened store, in batches."""
    generator = torch.Generator().manual_seed(1)
    for indices in torch.randperm(len(train), generator=generator).split(BATCH):
        store.replace(train.faces[indices], indices, 1.0, generator)


def main() -> None:
    parser = flags.Parser(description=__doc__)
    parser.add_argument("--faces", type=flags.count, default=28709)
    parser.add_argument("--num_augments", type=flags.count, default=10)
    parser.add_argument(
        "--baseline_faces", "--plain_faces", type=flags.count, default=1000, help="faces that the baseline is timed on"
    )
    flags.add_data_flags(parser)
    args = parser.parse_args()
    train = ManyFaces(args.faces, args.data_root, args.dataset)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_folder(folder, train, args.num_augments)
        some = random.Random(1).sample(range(args.faces), min(args.baseline_faces, args.faces))
        baseline = seconds(lambda: [random_augmentation(folder, face) for face in some]) / len(some) * args.faces
        before = cpu_seconds()
        first = seconds(lambda: Augmentations.open(folder, train))
        first_cpu = cpu_seconds() - before
        later = min(seconds(lambda: Augmentations.open(folder, train)) for _ in range(3))
        store = Augmentations.open(folder, train)
        ours = seconds(lambda: sample_epoch(store, train))
    result = {
        "images": len(store.images),
        "cores": os.cpu_count(),
        "load_average": os.getloadavg()[0],
        "first_start_s": round(first, 2),
        "first_start_cpu_s": round(first_cpu, 2),
        "later_start_s": round(later, 3),
        "ours_epoch_s": round(ours, 2),
        "baseline_epoch_s": round(baseline, 1),
        "baseline_over_first_start": round(baseline / first, 1),
        "baseline_over_later_start_and_epoch": round(baseline / (later + ours), 1),
        "peak_megabytes": round(peak_megabytes()),
    }
    print_json(result)


if __name__ == "__main__":
    run_command(main)
