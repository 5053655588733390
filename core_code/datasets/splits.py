"""What every source of faces gives: all faces and labels, split into train, val and test, and cached."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core_code.core_utils.emotions import EMOTIONS
from core_code.datasets.cache import load_or_make

SPLITS = ("train", "val", "test")
SIDE = 48
PIXELS = SIDE * SIDE
CACHE_LAYOUT = {"counts": (np.int64, ()), "labels": (np.uint8, ()), "faces": (np.uint8, (SIDE, SIDE))}


@dataclass(frozen=True)
class Splits:
    """Faces of the three splits, one split after the other in the order of SPLITS.

    counts: int64 [3], faces of each split; labels: uint8 [N], 0..6 in the order of EMOTIONS; faces: uint8 [N, 48, 48].
    """

    counts: np.ndarray
    labels: np.ndarray
    faces: np.ndarray

    def fit(self, classes: int) -> bool:
        """Whether every face has a label of so many, and belongs to a split."""
        sizes = len(self.faces), len(self.labels), int(self.counts.sum())
        return len(self.counts) == len(SPLITS) and min(self.counts) >= 0 and len(set(sizes)) == 1 and (
            not len(self.labels) or self.labels.max() < classes
        )  # fmt: skip

    def part(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        """Faces and labels of one split, views of the whole."""
        position = SPLITS.index(split)
        start, stop = self.counts[:position].sum(), self.counts[: position + 1].sum()
        return self.faces[start:stop], self.labels[start:stop]


def cached_splits(path: Path, source: str, read: Callable[[], Splits], classes: int = len(EMOTIONS)) -> Splits:
    """The faces cached in `path`, mapped into memory; or those of `read()`, which are then cached (see cache.py).

    A cache whose counts or labels cannot be those of `classes` classes is replaced.
    """
    splits = Splits(**load_or_make(path, source, CACHE_LAYOUT, lambda: vars(read())))
    if not splits.fit(classes):
        path.unlink(missing_ok=True)
        splits = Splits(**load_or_make(path, source, CACHE_LAYOUT, lambda: vars(read())))
    return splits


def by_split(faces: list[np.ndarray], labels: list[int], splits: list[int]) -> Splits:
    """Sort faces, uint8 [2304] each, with their labels and splits into splits, keeping their order within each.

    The faces are taken off the list as they are copied, so that they are in memory about once.
    """
    order = np.argsort(splits, kind="stable")
    sorted_faces = np.empty((len(order), PIXELS), dtype=np.uint8)
    for row in np.argsort(order)[::-1]:
        sorted_faces[row] = faces.pop()
    counts = np.bincount(splits, minlength=len(SPLITS))
    return Splits(counts, np.asarray(labels, dtype=np.uint8)[order], sorted_faces.reshape(-1, SIDE, SIDE))
