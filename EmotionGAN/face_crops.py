"""Editing the part of a face that a generator was trained on, and putting the change back where it was cut out."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from core_code.core_utils.photos.face_finder import crop_box, detect

FADE_WIDTH = 0.12  # of the cut-out's side: over this border the change fades in


def find_boxes(faces: Tensor) -> Tensor:
    """The square that dlib's detector finds on each face uint8 [N,H,H]: float [N,4], left, top, right and bottom in
    pixels; rows of NaN where it finds none. Of several the largest. Raises InputError without dlib."""
    boxes = torch.full((len(faces), 4), torch.nan)
    for row, face in enumerate(tqdm(faces.numpy(), desc="finding faces", unit=" faces", delay=2, leave=False)):
        found = [box for box, _ in detect(np.ascontiguousarray(face))]
        if found:
            box = crop_box(max(found, key=lambda box: box.width * box.height), "dlib")
            boxes[row] = torch.tensor([box.left, box.top, box.right, box.bottom])
    return boxes


def cut_out(images: Tensor, boxes: Tensor, size: int) -> Tensor:
    """float [B,C,H,H] -> the boxes' contents, float [B,C,size,size]; beyond the border the edge is repeated."""
    height = images.shape[-1]
    scale, centre = (boxes[:, 2:] - boxes[:, :2]) / height, (boxes[:, 2:] + boxes[:, :2]) / height - 1
    grid = F.affine_grid(transform(scale, centre), [len(images), 1, size, size], align_corners=False)
    return F.grid_sample(images, grid, mode="bicubic", padding_mode="border", align_corners=False).clamp(-1, 1)


def put_back(change: Tensor, boxes: Tensor, size: int) -> Tensor:
    """What to add to faces of `size` pixels a side: float [B,C,size,size], from the change of their cut-outs
    float [B,C,S,S]; nothing outside the boxes, fading in over FADE_WIDTH of them."""
    if change.shape[-1] > size:
        change = F.interpolate(change, (size, size), mode="bilinear", antialias=True, align_corners=False)
    scale, centre = size / (boxes[:, 2:] - boxes[:, :2]), (boxes[:, 2:] + boxes[:, :2]) / size - 1
    grid = F.affine_grid(transform(scale, -centre * scale), [len(change), 1, size, size], align_corners=False)
    distance = (1 - grid.abs().amax(dim=-1))[:, None] / (2 * FADE_WIDTH)
    placed = F.grid_sample(change, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return placed * distance.clamp(0, 1)


def transform(scale: Tensor, centre: Tensor) -> Tensor:
    """Scalings and shifts [B,2] as affine matrices [B,2,3]."""
    return torch.cat([torch.diag_embed(scale), centre[:, :, None]], dim=2)
