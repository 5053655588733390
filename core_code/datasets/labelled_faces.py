"""The base of every dataset: faces and labels in memory, indexed one by one or in batches."""

import hashlib
from dataclasses import dataclass

import torch
from torch.utils.data import Dataset

from core_code.core_utils.emotions import EMOTIONS


@dataclass(eq=False)
class LabelledFaces(Dataset):
    """faces: uint8 [N, 48, 48], 0..255; labels: int64 [N], in the order of `emotions`; the last `generated` of them are
    images of a generator, all before are real."""

    faces: torch.Tensor
    labels: torch.Tensor
    emotions: tuple[str, ...] = EMOTIONS
    generated: int = 0

    @property
    def class_counts(self) -> torch.Tensor:
        """Faces of each emotion, int64 [E]."""
        return torch.bincount(self.labels, minlength=len(self.emotions))

    def fingerprint(self, count: int | None = None) -> str:
        """Hex digest of the first `count` faces and labels (default: all); equal means the same data."""
        digest = hashlib.sha256(self.labels[:count].numpy().data)
        digest.update(self.faces[:count].numpy().data)
        return digest.hexdigest()

    def subset(self, rows: torch.Tensor) -> "LabelledFaces":
        """The faces in these rows, int64 [M] in ascending order, or bool [N]."""
        rows = torch.arange(len(self))[rows]
        generated = int((rows >= len(self) - self.generated).sum())
        return LabelledFaces(self.faces[rows], self.labels[rows], self.emotions, generated)

    def __len__(self) -> int:
        return len(self.faces)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        """One face, uint8 [48, 48], and its label."""
        return self.faces[index], int(self.labels[index])

    def __getitems__(self, indices: list[int] | torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """A batch at once: uint8 [B, 48, 48] and int64 [B] (in a DataLoader: `collate_fn=lambda batch: batch`)."""
        indices = torch.as_tensor(indices)
        return self.faces[indices], self.labels[indices]
