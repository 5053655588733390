"""What the nets see: whole batches of uint8 faces become float views on the device that trains.

Every function works on a batch and is the same on CPU and GPU. Random numbers come first, on the CPU from an
explicit generator, so that every device sees the same views. Everything is computed on one channel; the three
equal channels that ImageNet weights expect are a view of it that costs no memory.
"""

import math
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from core_code.core_utils.distributed.data_parallel import Shard

SMALLEST_CROP = 0.08  # of the face's area; the largest is all of it
CROP_RATIO = (3 / 4, 4 / 3)
CROP_TRIES = 10
SHARPNESS = 2.0
BRIGHTNESS = 0.3
RESIZE_TO_CROP = 256 / 224


class Crops(NamedTuple):
    """Boxes in pixels of the face, one a face: float32 [B] each."""

    top: Tensor
    left: Tensor
    height: Tensor
    width: Tensor

    def to(self, device: torch.device) -> "Crops":
        """The same boxes on another device, moved in one transfer."""
        return Crops(*torch.stack(self).to(device, non_blocking=True))


def train_view(
    faces: Tensor, size: int, generator: torch.Generator, dtype: torch.dtype = torch.float32, channels: int = 3,
    shard: Shard | None = None, smallest_crop: float = SMALLEST_CROP,
) -> Tensor:  # fmt: skip
    """A random view of each face: cropped, resized, flipped, sharpened and brightened by chance.

    `faces` uint8 [B,H,W] on any device; `generator` on the CPU. Where the faces are a `shard` of a batch, random
    numbers are sampled for the whole batch, so that each face gets the view that it gets there. `smallest_crop`, in
    (0,1], is the least share of a face's area that a view shows. Returns `dtype` [B,channels,size,size] in [0,1],
    computed in float32.
    """
    count, rows = shard or (len(faces), slice(None))
    height, width = faces.shape[1:]
    crops = Crops(*(side[rows] for side in random_crops(count, height, width, generator, smallest_crop)))
    flips = torch.rand(count, generator=generator)[rows] < 0.5
    sharpness = torch.where(torch.rand(count, generator=generator)[rows] < 0.5, SHARPNESS, 1.0)
    brightness = 1 + BRIGHTNESS * (2 * torch.rand(count, generator=generator)[rows] - 1)
    device = faces.device
    views = crop_and_resize(faces, crops.to(device), flips.to(device), size)
    views = adjust_sharpness(views, sharpness.to(device))
    views = adjust_brightness(views, brightness.to(device))
    return views.to(dtype)[:, None].expand(-1, channels, -1, -1)


def evaluation_view(faces: Tensor, size: int, dtype: torch.dtype = torch.float32, channels: int = 3) -> Tensor:
    """The centre crop of each face: resized to 256/224 of `size`, of which the central `size` pixels are kept.

    `faces` uint8 [B,H,W]. Returns `dtype` [B,channels,size,size] in [0,1], computed in float32.
    """
    resized = round(size * RESIZE_TO_CROP)
    rows = central_weights(faces.shape[1], resized, size).to(faces.device)
    columns = central_weights(faces.shape[2], resized, size).to(faces.device)
    views = (rows @ as_floats(faces) @ columns.T).clamp_(0, 1)
    return views.to(dtype)[:, None].expand(-1, channels, -1, -1)


def as_floats(faces: Tensor) -> Tensor:
    """uint8 0..255 -> float32 0..1."""
    return faces.to(torch.float32).div_(255)


def random_crops(
    count: int, height: int, width: int, generator: torch.Generator, smallest: float = SMALLEST_CROP
) -> Crops:
    """Boxes as torchvision's RandomResizedCrop samples them, for a whole batch at once.

    Area uniform from `smallest` of the face to all of it, aspect ratio log-uniform in CROP_RATIO, sides rounded to
    whole pixels; the first of CROP_TRIES that fits, the whole face where none does (the faces are square).
    """
    shape = (count, CROP_TRIES)
    area = torch.empty(shape).uniform_(smallest, 1.0, generator=generator) * (height * width)
    ratio = torch.empty(shape).uniform_(*map(math.log, CROP_RATIO), generator=generator).exp()
    place = torch.rand(2, count, generator=generator)
    heights, widths = (area / ratio).sqrt().round(), (area * ratio).sqrt().round()
    fits = (heights > 0) & (heights <= height) & (widths > 0) & (widths <= width)
    first = fits.to(torch.uint8).argmax(1, keepdim=True)
    some = fits.any(1)
    crop_height = torch.where(some, heights.gather(1, first)[:, 0], float(height))
    crop_width = torch.where(some, widths.gather(1, first)[:, 0], float(width))
    top = (place[0] * (height - crop_height + 1)).floor()
    left = (place[1] * (width - crop_width + 1)).floor()
    return Crops(top, left, crop_height, crop_width)


def crop_and_resize(faces: Tensor, crops: Crops, flips: Tensor, size: int) -> Tensor:
    """Cut each face's box out, resize it to `size` x `size` (bilinear, antialiased), mirror where `flips`.

    A separable resize is two matrix products: rows @ face @ columns.T, with matrices of each face's own box.
    `faces` uint8 [B,H,W], `flips` bool [B]. Returns float32 [B,size,size] in [0,1].
    """
    rows = resize_weights(crops.top, crops.height, faces.shape[1], size)
    columns = resize_weights(crops.left, crops.width, faces.shape[2], size)
    columns = torch.where(flips[:, None, None], columns.flip(1), columns)
    return (rows @ as_floats(faces) @ columns.transpose(1, 2)).clamp_(0, 1)


def resize_weights(start: Tensor, length: Tensor, source: int, size: int) -> Tensor:
    """How much each source pixel adds to each pixel of the resized box: float32 [B,size,source], rows sum to 1.

    `start` and `length` float [B]: the box along this axis. The weights are triangles about each output pixel's
    centre, one source pixel wide when enlarging and as wide as an output pixel when shrinking (antialiasing),
    within the box alone: what PIL and torchvision's antialiased bilinear resize compute.
    """
    device = start.device
    scale = (length / size)[:, None, None]
    centres = (torch.arange(size, device=device)[:, None] + 0.5) * scale
    pixels = torch.arange(source, device=device) + 0.5 - start[:, None, None]
    weights = (1 - (pixels - centres).abs() / scale.clamp(min=1)).clamp_(min=0)
    weights = weights * ((pixels > 0) & (pixels < length[:, None, None]))
    return weights / weights.sum(2, keepdim=True)


@lru_cache(maxsize=64)
def central_weights(source: int, resized: int, size: int) -> Tensor:
    """Weights of a resize from `source` to `resized` pixels, of which the central `size` are kept."""
    weights = resize_weights(torch.zeros(1), torch.full((1,), float(source)), source, resized)[0]
    first = round((resized - size) / 2)
    return weights[first : first + size]


def adjust_sharpness(views: Tensor, factors: Tensor) -> Tensor:
    """Move each view away from its blurred self: factor 1 changes nothing, 2 sharpens, 0 blurs.

    `views` float [B,S,S] in [0,1], `factors` float [B]. The blur is (3x3 box + 4 x the centre) / 13, as in PIL;
    the outermost pixels stay as they are. In place where it can be: at 224 pixels memory is what costs.
    """
    if min(views.shape[1:]) < 3:
        return views
    strength = (factors - 1)[:, None, None] / 13
    rows = (views[:, :-2] + views[:, 1:-1]).add_(views[:, 2:])
    box = (rows[:, :, :-2] + rows[:, :, 1:-1]).add_(rows[:, :, 2:])
    sharpened = views.clone()
    sharpened[:, 1:-1, 1:-1].mul_(1 + 9 * strength).sub_(box.mul_(strength))
    return sharpened.clamp_(0, 1)


def adjust_brightness(views: Tensor, factors: Tensor) -> Tensor:
    """Multiply each view by its factor, clipped to [0,1]. `views` float [B,S,S], `factors` float [B]."""
    return (views * factors[:, None, None]).clamp_(0, 1)
