"""What every source of faces gives: all faces and labels, split into train, val and test."""

from dataclasses import dataclass

import numpy as np

PHASES = ("train", "val", "test")
SIDE = 48
PIXELS = SIDE * SIDE


@dataclass(frozen=True)
class Splits:
    """Faces of the three phases, one phase after the other in the order of PHASES.

    faces: uint8 [N, 48, 48]; labels: uint8 [N], 0..6 in the order of EMOTIONS; counts: faces of each phase.
    """

    faces: np.ndarray
    labels: np.ndarray
    counts: tuple[int, int, int]

    def phase(self, phase: str) -> tuple[np.ndarray, np.ndarray]:
        """Faces and labels of one phase, views of the whole."""
        position = PHASES.index(phase)
        start = sum(self.counts[:position])
        stop = start + self.counts[position]
        return self.faces[start:stop], self.labels[start:stop]


def by_phase(faces: list[np.ndarray], labels: list[int], phases: list[int]) -> Splits:
    """Sort rows into phases, keeping their order within each.

    faces: pieces of any number of rows, uint8 [rows, 2304]; labels and phases: one number a row. The pieces are
    taken off the list as they are copied, so that the faces stand in memory about once.
    """
    phase_of = np.asarray(phases, dtype=np.uint8)
    counts = np.bincount(phase_of, minlength=len(PHASES))
    order = np.argsort(phase_of, kind="stable")
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    sorted_faces = np.empty((len(order), PIXELS), dtype=np.uint8)
    row = 0
    faces.reverse()
    while faces:
        piece = faces.pop()
        sorted_faces[place[row : row + len(piece)]] = piece
        row += len(piece)
    return Splits(
        faces=sorted_faces.reshape(-1, SIDE, SIDE),
        labels=np.asarray(labels, dtype=np.uint8)[order],
        counts=tuple(int(count) for count in counts),
    )
