"""Faces as the generator takes and gives them: between uint8 and [-1,1], and between sizes."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from core_code.core_utils.transforms import check_uint8


def to_range(faces: Tensor, size: int, channels: int) -> Tensor:
    """uint8 [B,H,W] -> float [B,channels,size,size] in [-1,1], channels last, grey repeated over the channels. Raises
    InputError, see check_uint8."""
    check_uint8(faces)
    images = resize(faces[:, None].float(), (size, size)) / 127.5 - 1
    return images.expand(-1, channels, -1, -1).contiguous(memory_format=torch.channels_last)


def from_range(images: Tensor, size: Sequence[int]) -> Tensor:
    """float [B,C,S,S] in [-1,1] -> uint8 [B,H,W]: the channels' mean, resized to `size` (H, W)."""
    grey = resize(images.float().mean(dim=1, keepdim=True), size)
    return ((grey[:, 0] + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def resize_faces(faces: Tensor, size: int) -> Tensor:
    """uint8 [B,H,W] -> uint8 [B,size,size]."""
    return resize(faces[:, None].float(), (size, size))[:, 0].round().clamp(0, 255).to(torch.uint8)


def resize(images: Tensor, size: Sequence[int]) -> Tensor:
    """Bilinear with antialiasing; the images themselves when they already have the size."""
    if tuple(images.shape[-2:]) == tuple(size):
        return images
    return F.interpolate(images, list(size), mode="bilinear", antialias=True, align_corners=False)
