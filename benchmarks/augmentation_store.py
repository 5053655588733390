"""Seconds until training can draw augmentations, beside the plain way: a directory listing for every face drawn.

    python benchmarks/augmentation_store.py --faces 28709 --num_augments 10

Makes a full folder of PNGs (of sample faces) in a temporary place, then times the first opening, which packs them,
and a later one. plain: for each face drawn, list its folder, take one of its files, decode it; timed on some faces
and scaled to all. ours_epoch: the same draws from the opened store. Prints one JSON object.
"""

import argparse
import hashlib
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
from PIL import Image
from tqdm import tqdm

from core_code.core_utils import flags
from core_code.core_utils.files import write_json
from core_code.datasets.augmentation_manifest import MANIFEST_NAME, describe
from core_code.datasets.augmentation_store import Augmentations
from core_code.datasets.augmentations import Settings, image_names, make_plan
from core_code.datasets.fer2013 import FER2013
from core_code.datasets.png_images import encode
from EmotionGAN.conditional_space import ConditionalSpace

BATCH = 128
FOLDERS = 100


class ManyFaces(FER2013):
    """The sample's training faces, repeated to any number."""

    def __init__(self, count: int) -> None:
        super().__init__(dataset="sample")
        rows = torch.arange(count) % len(self.faces)
        self.faces, self.labels = self.faces[rows], self.labels[rows]


class NoGenerator:
    """Stands in the manifest for a generator."""

    name = "none"
    fingerprint = hashlib.sha256(b"none").hexdigest()


def write_folder(folder: Path, train: FER2013, num_augments: int) -> None:
    """All the files that create_augmentations.py would write, their pixels those of the faces themselves."""
    settings = Settings(num_augments=num_augments, folder_batch_size=FOLDERS)
    plan = make_plan(settings, train.labels, train.class_counts, ConditionalSpace.published())
    manifest = describe(settings, train, len(train), NoGenerator(), plan, "none")
    for number in range(FOLDERS):
        (folder / str(number)).mkdir()
    encoded: dict[bytes, bytes] = {}
    names = tqdm(image_names(settings, plan), desc="writing PNGs", unit=" images")
    for face, name in zip(plan.faces, names, strict=True):
        pixels = train.faces[face].numpy()
        if (key := pixels.tobytes()) not in encoded:
            encoded[key] = encode(pixels)
        (folder / name).write_bytes(encoded[key])
    write_json(folder / MANIFEST_NAME, manifest | {"complete": True})


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
        where = folder / str(face % FOLDERS)
        mine = [name for name in os.listdir(where) if name.startswith(f"{face}_")]
        with Image.open(where / random.choice(mine)) as image:
            np.asarray(image)
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
    args = parser.parse_args()
    train = ManyFaces(args.faces)
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
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
