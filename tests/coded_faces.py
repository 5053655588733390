"""Faces that are recognised in whatever view a net is shown: stripes of two greys, whose ratio is the face's code.

Crops, mirror images and changes of brightness leave the ratio as it is; sharpening changes the stripes' edges alone.
"""

import numpy as np
import torch
from torch import Tensor

STRIPE = 8  # pixels; the smallest crop is 11 pixels high
LIGHT = 190  # 1.3 times as bright, it is still below white
DARK = np.array([*range(10, 60), *range(60, 120, 2), *range(120, 186, 3)])  # at least 1.6 % apart
CODES = len(DARK)
RATIOS = torch.from_numpy(DARK / LIGHT)


def coded_face(code: int) -> np.ndarray:
    """The face of a code below CODES: uint8 [48, 48]."""
    rows = np.where(np.arange(48) // STRIPE % 2, DARK[code], LIGHT).astype(np.uint8)
    return np.repeat(rows[:, None], 48, axis=1)


def read_codes(views: Tensor) -> Tensor:
    """The codes of the faces that views float [B, 3, S, S] show: int64 [B]."""
    greys = views[:, 0].double().flatten(1)
    middle = (greys.amin(1, keepdim=True) + greys.amax(1, keepdim=True)) / 2
    dark = torch.where(greys < middle, greys, torch.nan).nanmedian(1).values
    light = torch.where(greys > middle, greys, torch.nan).nanmedian(1).values
    return ((dark / light)[:, None] / RATIOS).log().abs().argmin(1)
