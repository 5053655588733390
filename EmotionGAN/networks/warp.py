"""An edit that changes a face only where it must: pixels are moved, and what cannot be moved is painted over.

Attention masks are GANimation's (Pumarola et al., ECCV 2018); moving pixels keeps what belongs to the person.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

WARP_CHANNELS = 3  # beside the paint: the mask, and how far pixels move along x and along y
LARGEST_SHIFT = 0.15  # of half the image's side
BLOCK = 4  # pixels: features move, not single pixels, with which faces tear
MASK_BIAS = 2.0  # an untrained mask covers sigmoid(-2), an eighth


def warp_and_paint(images: Tensor, output: Tensor, blur: float = 0.0, gain: float = 1.0) -> Tensor:
    """Edit images [B,C,S,S] in [-1,1] as the network's output [B,C+3,S,S] says; zeros move nothing. Same shape, range,
    float32. Each pixel is the image's at a point up to LARGEST_SHIFT away, plus mask * (tanh(paint) - that pixel): the
    painted change, which is smoothed by a gaussian of standard deviation `blur` in pixels and multiplied by `gain`."""
    paint, mask, shifts = output.float().split([images.shape[1], 1, 2], dim=1)
    shifts = F.interpolate(F.avg_pool2d(shifts, BLOCK), scale_factor=BLOCK, mode="bilinear", align_corners=False)
    size = images.shape[-1]
    line = (torch.arange(size, device=images.device) * 2 + 1) / size - 1
    points = torch.stack([line.expand(size, size), line[:, None].expand(size, size)], dim=-1)
    points = points + LARGEST_SHIFT * shifts.tanh().permute(0, 2, 3, 1)
    # bicubic: bilinear interpolation blurs
    moved = F.grid_sample(images.float(), points, mode="bicubic", padding_mode="border", align_corners=False)
    covered = (mask - MASK_BIAS).sigmoid()
    change = covered * (paint.tanh() - moved)
    if blur:
        change = smoothed(change, blur)
    return (moved + gain * change).clamp(-1, 1)


def smoothed(images: Tensor, blur: float) -> Tensor:
    """Images [B,C,S,S] under a gaussian of this standard deviation in pixels, cut off at three of it; the borders are
    mirrored. As torchvision's gaussian_blur, but for kernels whose shape ONNX knows."""
    reach = math.ceil(3 * blur)
    kernel = (-0.5 * (torch.arange(-reach, reach + 1, device=images.device) / blur) ** 2).softmax(0)
    padded = F.pad(images.flatten(0, 1)[:, None], [reach] * 4, mode="reflect")
    return F.conv2d(F.conv2d(padded, kernel[None, None, None]), kernel[None, None, :, None]).reshape(images.shape)
