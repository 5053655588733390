"""Data of any size in seconds: a CSV, and a folder of augmentations as create_augmentations.py writes, the faces
unchanged."""

import hashlib
import itertools
from pathlib import Path
from types import SimpleNamespace

import torch
from tqdm import tqdm

from benchmarks.baseline import FOLDERS
from core_code.core_utils.files import write_json
from core_code.datasets.augmentations.manifest import MANIFEST_NAME, describe
from core_code.datasets.augmentations.plan import Settings, image_names, make_plan
from core_code.datasets.augmentations.png import encode
from core_code.datasets.fer2013 import FER2013
from EmotionGAN.conditional_space import ConditionalSpace


class ManyFaces(FER2013):
    """A data set's training faces, repeated to any number."""

    def __init__(self, count: int, data_root: Path, dataset: str) -> None:
        super().__init__(data_root, "train", dataset)
        rows = torch.arange(count) % len(self.faces)
        self.faces, self.labels = self.faces[rows], self.labels[rows]


def write_folder(folder: Path, train: FER2013, num_augments: int) -> None:
    """All the files that create_augmentations.py would write, with the pixels of the faces themselves."""
    settings = Settings(num_augments=num_augments, folder_batch_size=FOLDERS)
    no_generator = SimpleNamespace(name="none", fingerprint=hashlib.sha256(b"none").hexdigest())
    plan = make_plan(settings, train.labels, train.class_counts, ConditionalSpace.published())
    manifest = describe(settings, train, len(train), no_generator, plan, "none")
    for number in range(FOLDERS):
        (folder / str(number)).mkdir()
    face, content = -1, b""
    names = tqdm(image_names(settings, plan), desc="writing PNGs", unit=" images", disable=None)
    for row, name in zip(plan.faces, names, strict=True):
        if row != face:
            face, content = row, encode(train.faces[row].numpy())
        (folder / name).write_bytes(content)
    write_json(folder / MANIFEST_NAME, manifest | {"complete": True})


def write_csv(path: Path, faces: FER2013) -> None:
    """A CSV as FER2013's, all rows Training but one each of the other splits."""
    usages = itertools.chain(["PublicTest", "PrivateTest"], itertools.repeat("Training"))
    with open(path, "w") as file:
        file.write("emotion,pixels,Usage\n")
        for face, label, usage in zip(faces.faces, faces.labels.tolist(), usages, strict=False):
            file.write(f"{label},{' '.join(map(str, face.flatten().tolist()))},{usage}\n")
