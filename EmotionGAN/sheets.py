"""Sheets of sample faces: each face, and the face at the centre of every emotion."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from core_code.core_utils.emotions import EMOTIONS
from core_code.core_utils.plots.face_sheets import face_sheet
from EmotionGAN.images import from_range, to_range
from EmotionGAN.networks.generator import Generator


@torch.no_grad()
def sample_sheet(generator: Generator, faces: Tensor) -> Tensor:
    """Faces uint8 [N,H,W] at the generator's size S, and edited to every emotion's centre in the order of EMOTIONS:
    uint8 [N,8,S,S] on the CPU."""
    size = generator.config.image_size
    centres = generator.centres()
    images = to_range(faces.to(centres.device), size, generator.config.channels)
    columns = [images, *(generator(images, centre.expand(len(images), 2))[0] for centre in centres)]
    return torch.stack([from_range(column, (size, size)).cpu() for column in columns], dim=1)


def write_sample_sheet(path: Path, generator: Generator, faces: Tensor, titles: Sequence[str] | None = None) -> Path:
    """The sample sheet of faces uint8 [N,H,W] as a PNG, a row a face, with N titles of rows; returns the path."""
    rows = list(sample_sheet(generator, faces).numpy())
    return face_sheet(path, rows, titles or [""] * len(rows), ("face", *EMOTIONS))
