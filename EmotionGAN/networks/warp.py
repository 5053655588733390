"""An edit that changes a face only where it must: pixels are moved, and what cannot be moved is painted over.

Attention masks are GANimation's (Pumarola et al., ECCV 2018); moving pixels keeps what belongs to the person.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

WARP_CHANNELS = 3  # beside the paint: the mask, and how far pixels move along x and along y
LARGEST_SHIFT = 0.15  # of half the image's side
BLOCK = 4  # pixels: features move, not single pixels, with which faces tear
MASK_BIAS = 2.0  # an untrained mask covers sigmoid(-2), an eighth


@dataclass(frozen=True)
class Paint:
    """What is done to the painted change before it is added to a face.

    blur: standard deviation in pixels of the gaussian that smooths it, against strokes of a pixel's width; 0: none.
    highpass: standard deviation in pixels of the gaussian whose result is then subtracted, so that features change and
    lighting does not; 0: none. gain: what it is multiplied by. soft: whether it nears black and white exponentially, so
    that light and dark skin keeps its detail, instead of being cut off there.
    """

    blur: float = 0.0
    highpass: float = 0.0
    gain: float = 1.0
    soft: bool = False


def warp_and_paint(images: Tensor, output: Tensor, paint: Paint = Paint()) -> Tensor:
    """Edit images [B,C,S,S] in [-1,1] as the network's output [B,C+3,S,S] says; zeros move nothing. Same shape, range,
    float32. Each pixel is the image's at a point up to LARGEST_SHIFT away, plus mask * (tanh(colour) - that pixel): the
    painted change, treated as `paint` says."""
    colour, mask, shifts = output.float().split([images.shape[1], 1, 2], dim=1)
    shifts = F.interpolate(F.avg_pool2d(shifts, BLOCK), scale_factor=BLOCK, mode="bilinear", align_corners=False)
    size = images.shape[-1]
    line = (torch.arange(size, device=images.device) * 2 + 1) / size - 1
    points = torch.stack([line.expand(size, size), line[:, None].expand(size, size)], dim=-1)
    points = points + LARGEST_SHIFT * shifts.tanh().permute(0, 2, 3, 1)
    # bicubic: bilinear interpolation blurs
    moved = F.grid_sample(images.float(), points, mode="bicubic", padding_mode="border", align_corners=False)
    covered = (mask - MASK_BIAS).sigmoid()
    change = covered * (colour.tanh() - moved)
    if paint.blur:
        change = smoothed(change, paint.blur)
    if paint.highpass:
        change = change - smoothed(change, paint.highpass)
    change = paint.gain * change
    if paint.soft:
        room = (1 - moved * change.sign()).clamp(min=1e-6)  # from the pixel to white or to black
        change = change.sign() * room * (1 - (-change.abs() / room).exp())  # ONNX knows no expm1
    return (moved + change).clamp(-1, 1)


def smoothed(images: Tensor, blur: float) -> Tensor:
    """Images [B,C,S,S] under a gaussian of this standard deviation in pixels, cut off at three of it; the borders are
    mirrored. As torchvision's gaussian_blur, but for kernels whose shape ONNX knows."""
    reach = math.ceil(3 * blur)
    kernel = (-0.5 * (torch.arange(-reach, reach + 1, device=images.device) / blur) ** 2).softmax(0)
    padded = F.pad(images.flatten(0, 1)[:, None], [reach] * 4, mode="reflect")
    return F.conv2d(F.conv2d(padded, kernel[None, None, None]), kernel[None, None, :, None]).reshape(images.shape)
