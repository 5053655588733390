"""Test-time augmentation: the several views of a face whose logits are averaged."""

from collections.abc import Iterator

import torch
from torch import Tensor

from core_code.core_utils.flags import FLIP, NO_TTA, TEN_CROP, TTA_KINDS
from core_code.core_utils.transforms import RESIZE_TO_CROP, as_floats, central_weights, evaluation_view


def views_of(faces: Tensor, size: int, kind: str = NO_TTA, dtype: torch.dtype = torch.float32) -> Iterator[Tensor]:
    """The views of a batch of faces, one after the other: `dtype` [B,3,size,size] in [0,1] each.

    `faces` uint8 [B,H,W]. `none`: the evaluation view alone. `flip`: it and its mirror image. `ten_crop`: of the face
    resized to 256/224 of `size` the four corners and the centre crop, and the same of its mirror image (ten crops as in
    A. Krizhevsky et al., "ImageNet classification with deep convolutional neural networks", 2012, section 4.1; their
    order is that of torchvision's TenCrop). Raises ValueError for another kind.
    """
    if kind not in TTA_KINDS:
        raise ValueError(f"test-time augmentation {kind!r}, expected one of {', '.join(TTA_KINDS)}")
    if kind != TEN_CROP:
        view = evaluation_view(faces, size, dtype)
        yield from (view, view.flip(-1)) if kind == FLIP else (view,)
        return
    side = round(size * RESIZE_TO_CROP)
    rows, columns = (central_weights(source, side, side).to(faces.device) for source in faces.shape[1:])
    resized = (rows @ as_floats(faces) @ columns.T).clamp_(0, 1)
    end, centre = side - size, round((side - size) / 2)
    for whole in (resized, resized.flip(-1)):
        for top, left in ((0, 0), (0, end), (end, 0), (end, end), (centre, centre)):
            crop = whole[:, top : top + size, left : left + size]
            yield crop.to(dtype)[:, None].expand(-1, 3, -1, -1)
