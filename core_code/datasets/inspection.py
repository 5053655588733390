"""What lies in a folder of faces: in which form, whether it is the whole of FER2013, and how many copies it holds."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from core_code.core_utils.choices import DATA_ROOT
from core_code.core_utils.emotions import EMOTIONS
from core_code.core_utils.errors import InputError
from core_code.core_utils.tables import as_markdown
from core_code.datasets.fer2013 import find_form, load_fer2013
from core_code.datasets.fer2013_csv import FILE_NAMES, find_csv
from core_code.datasets.ferplus import VOTES_NAME
from core_code.datasets.image_folder import load_folder, subfolders
from core_code.datasets.splits import SPLITS, Splits

# Faces of each emotion in FER2013, by split.
FER2013_COUNTS = np.array([
    [3995, 436, 4097, 7215, 4830, 3171, 4965],
    [467, 56, 496, 895, 653, 415, 607],
    [491, 55, 528, 879, 594, 416, 626],
])  # fmt: skip
FORMS = {"csv": "a CSV", "parquet": "parquet files", "folder": "image folders"}
OF_THE_COMPETITION = ("train.csv", "test.csv")  # its own two files, which lack the test faces' labels
ARCHIVES = (".zip", ".tar.gz", ".tgz", ".tar")


@dataclass(frozen=True)
class Copies:
    """Exact copies, pixel for pixel.

    copies: faces that equal an earlier one; in_train: of each split but train, its faces that stand in train too;
    disagreeing: groups of equal faces with more than one label.
    """

    copies: int
    in_train: dict[str, int]
    disagreeing: int


def load_any(data_root: Path) -> tuple[str, Splits]:
    """The form of what lies there, one of FORMS, and all its faces. Raises InputError that tells what is missing."""
    form = find_form(data_root)
    if form is None and (reason := why_nothing(data_root)):
        raise InputError(f"{data_root}: {reason}")
    splits = load_folder(data_root) if form == "folder" else load_fer2013(data_root)[1]  # raises where there is nothing
    return form or "csv", splits


def why_nothing(data_root: Path) -> str | None:
    """What lies in a folder without faces that FER2013 could be got from."""
    if not data_root.is_dir():
        return None
    if inside := next(filter(find_form, subfolders(data_root)), None):
        return f"holds no faces itself; read those in {inside} with --data_root {inside}"
    names = sorted(path.name for path in data_root.iterdir())
    if archives := [name for name in names if name.lower().endswith(ARCHIVES)]:
        return f"holds {archives[0]}, which is packed; unpack it there"
    if any(name in OF_THE_COMPETITION for name in names):
        return f"holds the competition's train.csv or test.csv, without labels of the test faces; get {FILE_NAMES[0]}"
    if VOTES_NAME in names:
        return f"holds {VOTES_NAME}, which is labels without faces; put {FILE_NAMES[0]} beside it"
    return None


def completeness(counts: np.ndarray) -> str:
    """Whether these, of each split and emotion, int64 [3, 7], are FER2013's counts, in one sentence."""
    if (counts == FER2013_COUNTS).all():
        return "whole: each split has as many faces of each emotion as FER2013"
    if counts[1].sum() == 0 and (counts[2] == FER2013_COUNTS[1:].sum(0)).all():
        return ("not whole: there is no val, and test holds PublicTest and PrivateTest together, under names that do "
                "not tell them apart; take another copy, or results compare with nobody's")  # fmt: skip
    differences = [
        f"{split} {emotion} {found} in place of {expected}"
        for split, row, right in zip(SPLITS, counts, FER2013_COUNTS, strict=True)
        for emotion, found, expected in zip(EMOTIONS, row, right, strict=True)
        if found != expected
    ]
    more = f", and {len(differences) - 3} more" if len(differences) > 3 else ""
    return f"not the whole of FER2013, or another data set: {', '.join(differences[:3])}{more}"


def find_copies(splits: Splits) -> Copies:
    """Copies within and between the splits."""
    split_of_face = np.repeat(np.arange(len(SPLITS)), splits.counts)
    faces = [face.tobytes() for face in splits.faces]
    labels: dict[bytes, set[int]] = {}
    for face, label in zip(faces, splits.labels, strict=True):
        labels.setdefault(face, set()).add(int(label))
    train = {face for face, split in zip(faces, split_of_face, strict=True) if split == 0}
    known = Counter(int(split) for face, split in zip(faces, split_of_face, strict=True) if split and face in train)
    in_train = {name: known[split] for split, name in enumerate(SPLITS) if split}
    return Copies(len(faces) - len(labels), in_train, sum(len(found) > 1 for found in labels.values()))


def report(data_root: Path, form: str, splits: Splits) -> list[str]:
    """The paragraphs that the command prints."""
    counts = np.stack([np.bincount(splits.part(split)[1], minlength=len(EMOTIONS)) for split in SPLITS])
    totals = {"split": SPLITS, "faces": counts.sum(1), "FER2013 has": FER2013_COUNTS.sum(1)}
    copies = find_copies(splits)
    where = f"{find_csv(data_root) if form == 'csv' else data_root}: {FORMS[form]}"
    beside = f"; {VOTES_NAME} (labels of FERPlus) beside it" if (data_root / VOTES_NAME).is_file() else ""
    return [
        f"{where} of {len(splits.labels)} faces{beside}",
        as_markdown(pd.DataFrame(totals | dict(zip(EMOTIONS, counts.T, strict=True)))),
        completeness(counts),
        f"copies: {copies.copies} faces equal an earlier one, pixel for pixel; {copies.in_train['val']} faces of val "
        f"and {copies.in_train['test']} of test also stand in train; {copies.disagreeing} groups of equal faces "
        "disagree on the label. Evaluation prints test accuracy without the faces that stand in train, too",
        f"next: {next_command(data_root, form, counts.sum(1))}",
    ]


def next_command(data_root: Path, form: str, faces: Sequence[int]) -> str:
    """What to type next: a training, or what lacks for one."""
    if empty := [split for split, count in zip(SPLITS, faces, strict=True) if count == 0]:
        return f"add faces for {' and '.join(empty)}; a training needs train and val, an evaluation test as well"
    folder = " --dataset folder" if form == "folder" else ""
    root = "" if data_root == DATA_ROOT else f" --data_root {data_root}"
    return ("python train_model.py --net_name resnet18 --exp_name Regular --emotion_transform_prob 0 --fine_tune True"
            + folder + root)  # fmt: skip
