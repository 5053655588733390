"""Seconds until training can draw augmentations, beside the plain way: a directory listing for every face drawn.

    python benchmarks/augmentation_store.py --faces 28709 --num_augments 10

Makes a full folder of PNGs in a temporary place, then times the first opening, which packs them, and a later one.
plain: for each face drawn, list its folder, take one of its files, decode it; timed on some faces and scaled to all.
ours_epoch: the same draws from the opened store. Prints one JSON object.
"""

import argparse
import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import torch

from benchmarks.many_augmentations import ManyFaces, write_folder
from benchmarks.plain import draw_augmentation
from benchmarks.turns import peak_megabytes
from core_code.core_utils import flags
from core_code.core_utils.errors import run_command
from core_code.datasets.augmentations.store import Augmentations
from core_code.datasets.fer2013 import FER2013

BATCH = 128


def seconds_to_open(folder: Path, train: FER2013) -> tuple[float, Augmentations]:
    """Time of Augmentations.open."""
    start = time.perf_counter()
    store = Augmentations.open(folder, train)
    return time.perf_counter() - start, store


def cpu_seconds() -> float:
    """Processor time of this process and of those it has started and ended: what other users of the machine leave
    alone, unlike the clock."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def plain_seconds(folder: Path, faces: list[int]) -> float:
    """Time of drawing one augmentation of each face by listing its folder."""
    start = time.perf_counter()
    for face in faces:
        np.asarray(draw_augmentation(folder, face))
    return time.perf_counter() - start


def epoch_seconds(store: Augmentations, train: FER2013) -> float:
    """Time of drawing one augmentation of every face from the opened store, in batches."""
    generator = torch.Generator().manual_seed(1)
    start = time.perf_counter()
    for indices in torch.randperm(len(train), generator=generator).split(BATCH):
        store.replace(train.faces[indices], indices, 1.0, generator)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=flags.count, default=28709)
    parser.add_argument("--num_augments", type=flags.count, default=10)
    parser.add_argument("--plain_faces", type=flags.count, default=1000, help="faces that the plain way is timed on")
    flags.add_data_flags(parser)
    args = parser.parse_args()
    train = ManyFaces(args.faces, args.data_root, args.dataset)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_folder(folder, train, args.num_augments)
        plain_faces = random.Random(1).sample(range(args.faces), min(args.plain_faces, args.faces))
        plain = plain_seconds(folder, plain_faces) / len(plain_faces) * args.faces
        before = cpu_seconds()
        first, _ = seconds_to_open(folder, train)
        first_cpu = cpu_seconds() - before
        later, store = min((seconds_to_open(folder, train) for _ in range(3)), key=lambda timed: timed[0])
        ours = epoch_seconds(store, train)
    result = {
        "images": len(store.images),
        "cores": os.cpu_count(),
        "load_average": os.getloadavg()[0],
        "first_start_s": round(first, 2),
        "first_start_cpu_s": round(first_cpu, 2),
        "later_start_s": round(later, 3),
        "ours_epoch_s": round(ours, 2),
        "plain_epoch_s": round(plain, 1),
        "plain_over_first_start": round(plain / first, 1),
        "plain_over_later_start_and_epoch": round(plain / (later + ours), 1),
        "peak_megabytes": round(peak_megabytes()),
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    run_command(main)
