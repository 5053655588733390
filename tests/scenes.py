"""Photographs of nobody: sample faces, tinted like skin, set softly into a larger picture in colour."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from core_code.datasets.fer2013 import FER2013

# Rows of the sample's val faces that dlib finds, alone, in the scenes below.
FOUND = (5, 8, 22)
SKIN = np.array([1.0, 0.82, 0.70])


def background(width: int = 640, height: int = 480) -> np.ndarray:
    """A smooth colour gradient with fine grain, as a camera leaves it: uint8 [height, width, 3]."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    colours = np.stack([70 + 60 * x, 100 + 40 * y, 130 + 50 * (1 - x)], axis=-1)
    grain = np.random.default_rng(0).normal(0, 2, (height, width, 1))
    return (colours + grain).clip(0, 255).astype(np.uint8)


def sample_face(row: int) -> np.ndarray:
    """A sample val face, uint8 [48, 48]."""
    return FER2013(split="val", dataset="sample").faces[row].numpy()


def scene(
    places: Sequence[tuple[int, int]] = ((320, 240),), rows: Sequence[int] = FOUND, side: int = 192,
    width: int = 640, height: int = 480,
) -> np.ndarray:  # fmt: skip
    """A picture uint8 [height, width, 3] with a face, `side` pixels wide, about each place (x, y of its middle)."""
    picture = background(width, height).astype(np.float64)
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    opacity = ((1 - np.hypot(x, y)) * 4).clip(0, 1)[:, :, None]
    for row, (middle_x, middle_y) in zip(rows, places, strict=False):
        face = np.array(Image.fromarray(sample_face(row)).resize((side, side), Image.Resampling.BICUBIC))
        colours = (30 + 0.8 * face[:, :, None]) * SKIN
        top, left = middle_y - side // 2, middle_x - side // 2
        part = picture[top : top + side, left : left + side]
        part += opacity * (colours - part)
    return picture.clip(0, 255).round().astype(np.uint8)
