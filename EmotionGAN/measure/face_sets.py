"""The faces that a generator is measured on, and their edits."""

from dataclasses import dataclass

import torch
from torch import Tensor

from EmotionGAN.editor import Editor

HALF_WIDTH = 0.2  # of the neighbourhood that augmentations take their codes from
OFF_CENTRE = 0.15  # how far from an emotion's centre its expression is looked for too


@dataclass(frozen=True)
class FaceSet:
    """faces: uint8 [N,H,W]; labels: int64 [N]; frontal: bool [N], None where nothing has found it out."""

    faces: Tensor
    labels: Tensor
    frontal: Tensor | None = None

    def groups(self) -> dict[str, Tensor]:
        """Which faces each group has, bool [N]: all, and where it is known frontal and other ones."""
        groups = {"all": torch.ones(len(self.labels), dtype=torch.bool)}
        return groups if self.frontal is None else groups | {"frontal": self.frontal, "other": ~self.frontal}

    def groups_of(self, rows: Tensor) -> dict[str, Tensor]:
        """The groups of edits whose faces are these rows, bool [M]."""
        return {name: mask[rows] for name, mask in self.groups().items()}


@dataclass(frozen=True)
class Edits:
    """images: uint8 [M,H,W]; rows: int64 [M], the edited faces' in their set; targets: int64 [M], emotions."""

    images: Tensor
    rows: Tensor
    targets: Tensor


def edits_to_others(editor: Editor, faces: FaceSet, distance: float = 0.0, seed: int = 1) -> Edits:
    """For each emotion in turn every face that is labelled otherwise: `distance` from the emotion's centre in a random
    direction, clipped to the square."""
    targets, rows = (faces.labels[None] != torch.arange(7)[:, None]).nonzero(as_tuple=True)
    codes = around(editor.space.centres[targets], distance, torch.Generator().manual_seed(seed))
    return Edits(editor.edit_all(faces.faces[rows], codes), rows, targets)


def around(points: Tensor, distance: float, rng: torch.Generator) -> Tensor:
    """Codes at this distance from points [M,2] in uniformly random directions, clipped to [-1,1]: float32 [M,2]."""
    angles = 2 * torch.pi * torch.rand(len(points), generator=rng)
    return (points + distance * torch.stack([angles.cos(), angles.sin()], dim=1)).clamp(-1, 1).float()


def augment(editor: Editor, faces: Tensor, labels: Tensor, count: int, seed: int = 1) -> Tensor:
    """`count` edits of each face at its own emotion, or at the emotions given as labels, with codes from the
    neighbourhood of half-width HALF_WIDTH: uint8 [N,count,H,W]."""
    uniforms = torch.rand(len(faces) * count, 2, generator=torch.Generator().manual_seed(seed))
    codes = editor.space.codes(labels.repeat_interleave(count), uniforms, HALF_WIDTH)
    images = editor.edit_all(faces.repeat_interleave(count, dim=0), codes)
    return images.view(len(faces), count, *images.shape[1:])
