"""The faces that the explorer offers: a dozen of a data set, or those of a photo."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from core_code.core_utils.photos.face_finder import Box
from core_code.core_utils.photos.photographs import cut, face_crops, read_photograph
from EmotionGAN.images import resize_faces

STRIP = 12


def one_of_each_first(labels: Sequence[int]) -> list[int]:
    """Rows to show: the first face of each emotion in the order of labels, then the second of each, up to STRIP."""
    rows: dict[int, list[int]] = {}
    for row, label in enumerate(labels):
        rows.setdefault(int(label), []).append(row)
    ranked = sorted((rank, label, row) for label, of in rows.items() for rank, row in enumerate(of[:STRIP]))
    return [row for _, _, row in ranked[:STRIP]]


def faces_of_photo(path: Path, detector: str, framing: str, size: int) -> Tensor:
    """The photo's faces at the generator's size: grey, uint8 [N,size,size].

    detector `dlib` finds them and cuts each as `framing` says; `none` takes the centre square of the picture for one
    face that has been cut out already. Raises InputError for a picture that cannot be read or has no face, and without
    dlib.
    """
    photograph = read_photograph(path)
    picture = photograph.visible
    if detector == "none":
        height, width = picture.shape[:2]
        side = min(height, width)
        left, top = (width - side) // 2, (height - side) // 2
        boxes = [Box(left, top, left + side, top + side)]
    else:
        boxes = face_crops(photograph, detector, framing, str(path))
    greys = [np.array(Image.fromarray(cut(picture, box)).convert("L")) for box in boxes]  # ITU-R 601
    return torch.cat([resize_faces(torch.from_numpy(grey)[None], size) for grey in greys])
