"""Test-time augmentation: the several views of a face whose logits are averaged."""

from collections.abc import Iterator

import torch
from torch import Tensor

from core_code.core_utils.flags import FLIP, NO_TTA, TEN_CROP, TTA_KINDS
from core_code.core_utils.transforms import RESIZE_TO_CROP, as_floats, evaluation_view, resize_weights


def views_of(faces: Tensor, size: int, kind: str = NO_TTA, dtype: torch.dtype = torch.float32) -> Iterator[Tensor]:
    """The views of a batch of faces, one after the other: `dtype` [B,3,size,size] in [0,1] each.

    `faces` uint8 [B,H,W]. `none`: the evaluation view alone. `flip`: it and its mirror image. `ten_crop`: of the face
    resized to 256/224 of `size` the four corners and the centre crop, and the same of its mirror image (ten crops as in
    A. Krizhevsky et al., "ImageNet classification with deep convolutional neural networks", 2012, section 4.1; their
    order is that of torchvision's TenCrop). Raises ValueError for another kind.
    """
    if kind not in TTA_KINDS:
        raise ValueError(f"test-time augmentation {kind!r}, expected one of {', '.join(TTA_KINDS)}")
    if kind == TEN_CROP:
        yield from ten_crops(faces, size, dtype)
        return
    view = evaluation_view(faces, size, dtype)
    yield view
    if kind == FLIP:
        yield view.flip(-1)


def ten_crops(faces: Tensor, size: int, dtype: torch.dtype) -> Iterator[Tensor]:
    """Top left, top right, bottom left, bottom right, centre; then those of the mirror image."""
    resized = resize(faces, round(size * RESIZE_TO_CROP))
    end = resized.shape[-1] - size
    centre = round(end / 2)
    for whole in (resized, resized.flip(-1)):
        for top, left in ((0, 0), (0, end), (end, 0), (end, end), (centre, centre)):
            crop = whole[:, top : top + size, left : left + size]
            yield crop.to(dtype)[:, None].expand(-1, 3, -1, -1)


def resize(faces: Tensor, side: int) -> Tensor:
    """uint8 [B,H,W] -> float32 [B,side,side] in [0,1], as the evaluation view is resized."""
    rows, columns = (
        resize_weights(torch.zeros(1), torch.full((1,), float(source)), source, side)[0].to(faces.device)
        for source in faces.shape[1:]
    )
    return (rows @ as_floats(faces) @ columns.T).clamp_(0, 1)
