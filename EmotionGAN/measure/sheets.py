"""Sheets of edits: the worst by the figures beside random ones."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from core_code.core_utils.emotions import EMOTIONS
from core_code.core_utils.plots.face_sheets import face_sheet
from EmotionGAN.measure.face_sets import Edits, FaceSet
from EmotionGAN.measure.identity import Identities

PER_EMOTION = 3


def worst_edits(
    edits: Edits, probability: Tensor, identities: Identities | None, seed: int
) -> list[tuple[str, list[list[int]]]]:
    """Titled columns of rows of edits, up to PER_EMOTION for each target: those whose target's probability [M] is
    lowest, those furthest from the original's descriptor, those in which no face is found, and random ones."""
    kinds = [("target missed", probability)]
    if identities:
        infinite = torch.full((len(edits.rows),), torch.inf)
        lost, gone = infinite.clone(), infinite.clone()
        lost[identities.chosen] = -identities.distance
        missed = identities.chosen[~identities.found]
        gone[missed] = torch.arange(len(missed), dtype=torch.float32)
        kinds += [("identity lost", lost), ("no face found", gone)]
    kinds.append(("random", torch.rand(len(edits.rows), generator=torch.Generator().manual_seed(seed))))
    return [(title, [lowest(order, edits.targets == target) for target in range(len(EMOTIONS))])
            for title, order in kinds]  # fmt: skip


def lowest(order: Tensor, mask: Tensor) -> list[int]:
    """The rows within the mask with the PER_EMOTION lowest finite values."""
    rows = (mask & order.isfinite()).nonzero()[:, 0]
    return rows[order[rows].argsort()[:PER_EMOTION]].tolist()


def write_worst_sheet(
    path: Path, faces: FaceSet, edits: Edits, worst: Sequence[tuple[str, list[list[int]]]]
) -> Path:  # fmt: skip
    """A row for each target; for each kind of worst_edits PER_EMOTION pairs of a face and its edit."""
    rows: list[list[np.ndarray | None]] = []
    for target in range(len(EMOTIONS)):
        row: list[np.ndarray | None] = []
        for _, found in worst:
            for place in range(PER_EMOTION):
                edit = found[target][place] if place < len(found[target]) else None
                pair = (None, None) if edit is None else (faces.faces[edits.rows[edit]], edits.images[edit])
                row += [None if image is None else image.numpy() for image in pair]
            row.append(None)
        rows.append(row[:-1])
    titles: list[str] = []
    for title, _ in worst:
        titles += [title, "→", *("", "→") * (PER_EMOTION - 1), ""]
    return face_sheet(path, rows, EMOTIONS, titles[:-1], "faces, and edits to the emotion at the left")
