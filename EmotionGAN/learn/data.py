"""Training faces on the device, balanced over the emotions; the random numbers of a step; random views."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from core_code.core_utils.distributed.data_parallel import shard_of
from EmotionGAN.images import to_range
from EmotionGAN.learn.config import LearnConfig

VIEW_NUMBERS = 8  # random numbers of a view
SHIFT, BRIGHTNESS, CONTRAST, CUTOUT = 1 / 8, 0.2, 0.3, 0.35  # of the side, the range, the contrast, the side
TURN, ZOOM = 0.2, 0.15  # radians, and how much larger or smaller


class BalancedFaces:
    """Training faces on the device, as bytes, sampled by the square root of their emotion's frequency. faces: uint8
    [N,H,W], of which a batch is resized to `size`; labels: int64 [N]."""

    def __init__(self, faces: Tensor, labels: Tensor, size: int, channels: int, device: torch.device) -> None:
        self.faces, self.labels = faces.to(device), labels.to(device)
        self.size, self.channels = size, channels
        counts = torch.bincount(labels, minlength=7).clamp_min(1).double()
        self.cumulative = (1 / counts.sqrt())[labels].cumsum(0)

    @property
    def images(self) -> Tensor:
        """All faces: float [N,1,S,S] in [-1,1] on the device."""
        return to_range(self.faces, self.size, channels=1)

    def sample(self, batch_size: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """This process's shard of a batch: float [B,C,S,S] in [-1,1], half of them mirrored, and int64 [B]."""
        heights = torch.rand(batch_size, generator=rng, dtype=torch.float64) * self.cumulative[-1]
        indices = torch.searchsorted(self.cumulative, heights, right=True).clamp_max(len(self.labels) - 1)
        mirrored = torch.rand(batch_size, generator=rng) < 0.5
        rows = shard_of(batch_size).rows
        indices, mirrored = to_device(indices[rows], self.faces), to_device(mirrored[rows], self.faces)
        images = to_range(self.faces[indices], self.size, channels=1)
        images = torch.where(mirrored[:, None, None, None], images.flip(-1), images)
        return images.expand(-1, self.channels, -1, -1), self.labels[indices]


class EditPlan(NamedTuple):
    """To which codes a batch is edited, and how its views are seen: this process's B rows of the random numbers.

    emotions: int64 [B], the emotion that a code lies near, or -1 for the face's own; near: bool [B], False for a code
    anywhere in the square; offsets, offsets2: float [B,2] in [-1,1], where in its box (in the square) a code lies, and
    a second one of the same emotion; views: float [3,B,VIEW_NUMBERS] in [0,1): of the real face, of its edit as the
    discriminator sees it, and as the generator's losses do.
    """

    emotions: Tensor
    near: Tensor
    offsets: Tensor
    offsets2: Tensor
    views: Tensor


def plan_edits(config: LearnConfig, rng: torch.Generator, like: Tensor) -> EditPlan:
    """Sample the plan of a batch, on the device of `like`."""
    count, rows = config.batch_size, shard_of(config.batch_size).rows
    emotions = torch.randint(7, (count,), generator=rng)
    emotions = torch.where(torch.rand(count, generator=rng) < config.share_own, -1, emotions)
    near = torch.rand(count, generator=rng) >= config.share_uniform
    offsets, offsets2 = torch.rand(2, count, 2, generator=rng) * 2 - 1
    views = torch.rand(3, count, VIEW_NUMBERS, generator=rng)
    own = (emotions[rows], near[rows], offsets[rows], offsets2[rows], views[:, rows])
    return EditPlan(*(to_device(part, like) for part in own))


def to_device(values: Tensor, like: Tensor) -> Tensor:
    """Values on the device of `like`, without waiting for a GPU."""
    if like.device.type != "cuda":
        return values.to(like.device)
    return values.contiguous().pin_memory().to(like.device, non_blocking=True)


def random_views(images: Tensor, numbers: Tensor, turned: bool = False) -> Tensor:
    """Images [B,C,S,S] in [-1,1] shifted, brighter or darker, with more or less contrast and a square cut out, by
    random numbers [B,VIEW_NUMBERS] in [0,1); if `turned`, also rotated and enlarged or reduced. float32 [B,C,S,S].

    Differentiable, so that a generator learns through it (Zhao et al., "Differentiable Augmentation", NeurIPS 2020).
    """
    if not len(images):
        return images.float()  # affine_grid refuses empty batches
    size, signed = images.shape[-1], numbers * 2 - 1
    # whole pixels: a fractional shift would blur the detail that tells generated faces from real ones
    shifts = (signed[:, :2] * (SHIFT * size)).round() * 2 / size
    angle, scale = (
        (signed[:, 2] * TURN, 1 + signed[:, 3] * ZOOM) if turned else (0 * signed[:, 2], 1 + 0 * signed[:, 3])
    )
    cos, sin = angle.cos() * scale, angle.sin() * scale
    matrices = torch.stack([torch.stack([cos, -sin, shifts[:, 0]], 1), torch.stack([sin, cos, shifts[:, 1]], 1)], 1)
    grid = F.affine_grid(matrices, list(images.shape), align_corners=False)
    seen = F.grid_sample(images.float(), grid, padding_mode="border", align_corners=False)
    brightness, contrast = ((signed[:, i] * most)[:, None, None, None] for i, most in ((4, BRIGHTNESS), (5, CONTRAST)))
    mean = seen.mean(dim=(1, 2, 3), keepdim=True)
    seen = mean + (1 + contrast) * (seen - mean) + brightness
    line = torch.arange(size, device=images.device)
    first = numbers[:, 6:8] * (1 + CUTOUT) * size - CUTOUT * size  # of the square, which may lie partly outside
    inside = (line >= first[..., None]) & (line < first[..., None] + CUTOUT * size)
    return seen.masked_fill((inside[:, 0, None, :] & inside[:, 1, :, None])[:, None], 0.0)
