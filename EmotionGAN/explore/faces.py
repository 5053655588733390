"""The faces that the explorer offers: a dozen of a data set, or those of a photo."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from core_code.core_utils.photos.face_finder import Box
from core_code.core_utils.photos.photographs import cut, face_crops, read_photograph
from EmotionGAN.editor import resize

STRIP = 12


def one_of_each_first(labels: Sequence[int], count: int = STRIP) -> list[int]:
    """Rows to show: the first face of each emotion in the order of labels, then the second of each, up to `count`."""
    rows: dict[int, list[int]] = {}
    for row, label in enumerate(labels):
        rows.setdefault(int(label), []).append(row)
    ranked = sorted((rank, label, row) for label, of in rows.items() for rank, row in enumerate(of[:count]))
    return [row for _, _, row in ranked[:count]]


def faces_of_photo(path: Path, detector: str, framing: str, size: int) -> Tensor:
    """The photo's faces at the generator's size: grey, uint8 [N,size,size].

    detector `dlib` finds them and cuts each as `framing` says; `none` takes the centre square of the picture for one
    face that has been cut out already. Raises InputError for a picture that is not readable or has no face, and without
    dlib.
    """
    photograph = read_photograph(path)
    picture = photograph.visible
    if detector == "none":
        boxes = [centre_square(*picture.shape[:2])]
    else:
        boxes = face_crops(photograph, detector, framing, str(path))
    return torch.stack([grey_square(cut(picture, box), size) for box in boxes])


def centre_square(height: int, width: int) -> Box:
    """The largest square around the centre."""
    side = min(height, width)
    left, top = (width - side) // 2, (height - side) // 2
    return Box(left, top, left + side, top + side)


def grey_square(colours: np.ndarray, size: int) -> Tensor:
    """uint8 [H,W] or [H,W,3] -> uint8 [size,size], by PIL's grey (ITU-R 601) and an antialiased resize."""
    from PIL import Image

    grey = torch.from_numpy(np.array(Image.fromarray(colours).convert("L"))).float()
    return resize(grey[None, None], (size, size))[0, 0].round().clamp(0, 255).to(torch.uint8)
