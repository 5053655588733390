"""What the nets see: whole batches of uint8 faces become float views on the device that trains.

Every function works on a batch and is the same on CPU and GPU. Random numbers come first, on the CPU from an
explicit generator, so that every device sees the same views. Everything is computed on one channel; the three
equal channels that ImageNet weights expect are a view of it that costs no memory.
"""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from core_code.core_utils.choices import SMALLEST_CROP
from core_code.core_utils.distributed.data_parallel import Shard
from core_code.core_utils.errors import InputError

CROP_RATIO = (3 / 4, 4 / 3)
BOX_TRIES = 10
ERASED_AREA, ERASED_RATIO = (0.02, 0.33), (10 / 33, 10 / 3)  # of the view; its width by its height
ERASED = 0.5  # about the mean face
ELASTIC_SIGMA = 1 / 12  # of the face's side
SHARPNESS = 2.0
BRIGHTNESS = 0.3
RESIZE_TO_CROP = 256 / 224


class Boxes(NamedTuple):
    """Boxes in pixels, one a face: float32 [B] each."""

    top: Tensor
    left: Tensor
    height: Tensor
    width: Tensor


def train_view(
    faces: Tensor, size: int, generator: torch.Generator, dtype: torch.dtype = torch.float32, channels: int = 3,
    shard: Shard | None = None, smallest_crop: float = SMALLEST_CROP, rotation: float = 0.0, erasing: float = 0.0,
    elastic: float = 0.0,
) -> Tensor:  # fmt: skip
    """A random view of each face: cropped, resized, flipped, sharpened and brightened by chance.

    With `rotation` the face is rotated by up to as many degrees either way before, with `elastic` it is warped, see
    elastic_fields; with `erasing` a rectangle of the view is erased with this probability.

    `faces` uint8 [B,H,W] on any device; `generator` on the CPU. Where the faces are a `shard` of a batch, random
    numbers are sampled for the whole batch, so that each face gets the view that it gets there. `smallest_crop`, in
    (0,1], is the least share of a face's area that a view shows. Returns `dtype` [B,channels,size,size] in [0,1],
    computed in float32.
    """
    count, rows = shard or (len(faces), slice(None))
    height, width = faces.shape[1:]
    numbers = [
        *random_crops(count, height, width, generator, smallest_crop),
        (torch.rand(count, generator=generator) < 0.5).float(),
        torch.where(torch.rand(count, generator=generator) < 0.5, SHARPNESS, 1.0),
        1 + BRIGHTNESS * (2 * torch.rand(count, generator=generator) - 1),
    ]
    if rotation:
        numbers.append(rotation * (2 * torch.rand(count, generator=generator) - 1))
    if erasing:
        numbers += random_erasures(count, size, erasing, generator)
    on_device = list(torch.stack(numbers)[:, rows].to(faces.device, non_blocking=True))  # one transfer, no waiting
    crops, flips, sharpness, brightness = Boxes(*on_device[:4]), on_device[4] > 0, on_device[5], on_device[6]
    fields = None
    if elastic:
        noise = torch.rand(count, 2, height, width, generator=generator)[rows]
        fields = elastic_fields(noise.to(faces.device, non_blocking=True), elastic)
    if rotation or elastic:
        angles = on_device[7] if rotation else torch.zeros_like(brightness)
        views = rotate_crop_and_resize(faces, angles, crops, flips, size, fields)
    else:
        views = crop_and_resize(faces, crops, flips, size)
    views = adjust_brightness(adjust_sharpness(views, sharpness), brightness)
    if erasing:
        views = erase(views, Boxes(*on_device[-4:]))
    return views.to(dtype)[:, None].expand(-1, channels, -1, -1)


def evaluation_view(faces: Tensor, size: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """The centre crop of each face: resized to 256/224 of `size`, of which the central `size` pixels are kept.

    `faces` uint8 [B,H,W]. Returns `dtype` [B,3,size,size] in [0,1], computed in float32.
    """
    resized = round(size * RESIZE_TO_CROP)
    rows = central_weights(faces.shape[1], resized, size).to(faces.device)
    columns = central_weights(faces.shape[2], resized, size).to(faces.device)
    views = (rows @ as_floats(faces) @ columns.T).clamp_(0, 1)
    return views.to(dtype)[:, None].expand(-1, 3, -1, -1)


def as_floats(faces: Tensor) -> Tensor:
    """uint8 0..255 -> float32 0..1. Raises InputError, see check_uint8."""
    check_uint8(faces)
    return faces.to(torch.float32).div_(255)


def check_uint8(faces: Tensor) -> None:
    """Raise InputError for faces of another dtype: floats from 0 to 1 would be taken for black."""
    if faces.dtype != torch.uint8:
        raise InputError(f"faces of {faces.dtype}, expected torch.uint8, 0 to 255")


def random_crops(
    count: int, height: int, width: int, generator: torch.Generator, smallest: float = SMALLEST_CROP
) -> Boxes:
    """Boxes as torchvision's RandomResizedCrop samples them: at least `smallest` of the face's area."""
    return random_boxes(count, height, width, (smallest, 1.0), CROP_RATIO, generator)


def random_erasures(count: int, size: int, probability: float, generator: torch.Generator) -> Boxes:
    """Boxes as torchvision's RandomErasing samples them; of height 0 where nothing is erased."""
    boxes = random_boxes(count, size, size, ERASED_AREA, ERASED_RATIO, generator)
    return boxes._replace(height=boxes.height * (torch.rand(count, generator=generator) < probability))


def random_boxes(
    count: int, height: int, width: int, areas: tuple[float, float], ratios: tuple[float, float],
    generator: torch.Generator,
) -> Boxes:  # fmt: skip
    """Boxes for a whole batch at once.

    Area uniform between two shares of the whole, width by height log-uniform in `ratios`, sides rounded to whole
    pixels; the first of BOX_TRIES that fits, the whole where none does (the faces are square).
    """
    shape = (count, BOX_TRIES)
    area = torch.empty(shape).uniform_(*areas, generator=generator) * (height * width)
    ratio = torch.empty(shape).uniform_(*map(math.log, ratios), generator=generator).exp()
    place = torch.rand(2, count, generator=generator)
    heights, widths = (area / ratio).sqrt().round(), (area * ratio).sqrt().round()
    fits = (heights > 0) & (heights <= height) & (widths > 0) & (widths <= width)
    first = fits.to(torch.uint8).argmax(1, keepdim=True)
    some = fits.any(1)
    crop_height = torch.where(some, heights.gather(1, first)[:, 0], float(height))
    crop_width = torch.where(some, widths.gather(1, first)[:, 0], float(width))
    top = (place[0] * (height - crop_height + 1)).floor()
    left = (place[1] * (width - crop_width + 1)).floor()
    return Boxes(top, left, crop_height, crop_width)


def crop_and_resize(faces: Tensor, crops: Boxes, flips: Tensor, size: int) -> Tensor:
    """Cut each face's box out, resize it to `size` x `size` (bilinear, antialiased), mirror where `flips`.

    A separable resize is two matrix products: rows @ face @ columns.T, with matrices of each face's own box.
    `faces` uint8 [B,H,W], `flips` bool [B]. Returns float32 [B,size,size] in [0,1].
    """
    rows = resize_weights(crops.top, crops.height, faces.shape[1], size)
    columns = resize_weights(crops.left, crops.width, faces.shape[2], size)
    columns = torch.where(flips[:, None, None], columns.flip(1), columns)
    return (rows @ as_floats(faces) @ columns.transpose(1, 2)).clamp_(0, 1)


def rotate_crop_and_resize(
    faces: Tensor, angles: Tensor, crops: Boxes, flips: Tensor, size: int, fields: Tensor | None = None
) -> Tensor:
    """Warp each face, rotate it about its centre, cut its box out, resize it and mirror it where `flips`: one bilinear
    sampling.

    `faces` uint8 [B,H,W]; `angles` float [B] in degrees, counter-clockwise as in torchvision; `flips` bool [B];
    `fields`: see elastic_fields. Pixels from beyond the face repeat its border. Where a view has fewer pixels than the
    face, it is sampled more finely and averaged, against aliasing. Returns float32 [B,size,size] in [0,1].
    """
    height, width = faces.shape[1:]
    half = (crops.height / 2, torch.where(flips, -1.0, 1.0) * crops.width / 2)  # the box's, in pixels
    centre = (crops.top + crops.height / 2 - height / 2, crops.left + crops.width / 2 - width / 2)
    cosine, sine = angles.deg2rad().cos(), angles.deg2rad().sin()
    across = torch.stack([cosine * half[1], -sine * half[0], cosine * centre[1] - sine * centre[0]], 1) * (2 / width)
    down = torch.stack([sine * half[1], cosine * half[0], sine * centre[1] + cosine * centre[0]], 1) * (2 / height)
    finer = math.ceil(max(height, width) / size)
    shape = [len(faces), 1, size * finer, size * finer]
    places = F.affine_grid(torch.stack([across, down], 1), shape, align_corners=False)
    if fields is not None:
        places = places + F.grid_sample(fields, places, padding_mode="border", align_corners=False).movedim(1, -1)
    places = places.clamp_(-1 + 1 / max(height, width), 1 - 1 / max(height, width))
    views = F.grid_sample(as_floats(faces)[:, None], places, align_corners=False)
    return F.avg_pool2d(views, finer)[:, 0].clamp_(0, 1)


def elastic_fields(noise: Tensor, alpha: float) -> Tensor:
    """Random smooth displacements of each pixel of a face, across and down, in half sides of the face: float [B,2,H,W].

    Those of torchvision's ElasticTransform, out of its noise, uniform in [0,1), float [B,2,H,W]: blurred by a Gaussian
    of ELASTIC_SIGMA of the side (4 of 48 pixels), times `alpha` / the side. P. Simard et al., "Best practices for
    convolutional neural networks", 2003.
    """
    rows, columns = (blur_weights(side).to(noise.device) for side in noise.shape[2:])
    return (rows @ (2 * noise - 1) @ columns.T) * (alpha / noise.shape[2])


@lru_cache(maxsize=8)
def blur_weights(side: int) -> Tensor:
    """A Gaussian blur along an axis, reflected at its ends, as a matrix [side,side]; as many taps as torchvision's."""
    sigma = ELASTIC_SIGMA * side
    reach = int(8 * sigma + 1) // 2
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma) ** 2)
    pixels = F.pad(torch.eye(side)[None], (reach, reach), mode="reflect")[0]  # a row a source pixel
    return (pixels.unfold(1, 2 * reach + 1, 1) @ (kernel / kernel.sum())).T


def erase(views: Tensor, boxes: Boxes) -> Tensor:
    """Make the box of each view, float [B,S,S], plain grey. Z. Zhong et al., "Random erasing", 2020."""
    places = torch.arange(views.shape[1], device=views.device)
    rows, columns = (
        (places >= start[:, None]) & (places < (start + length)[:, None])
        for start, length in ((boxes.top, boxes.height), (boxes.left, boxes.width))
    )
    return views.masked_fill(rows[:, :, None] & columns[:, None], ERASED)


def random_mix(count: int, alpha: float, generator: torch.Generator) -> tuple[Tensor, float]:
    """What mixup blends: each face's partner, int64 [count], and the face's own share, of Beta(alpha, alpha), >= 0.5.

    The larger share is the own one: the partners are a random permutation, so it is the same either way.
    """
    partners = torch.randperm(count, generator=generator)
    seed = int(torch.randint(2**62, (), generator=generator))
    share = float(np.random.default_rng(seed).beta(alpha, alpha))
    return partners, max(share, 1 - share)


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
