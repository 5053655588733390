"""Training faces on the device, balanced over the emotions, and the augmentation of the discriminator's input."""

import torch
import torch.nn.functional as F
from torch import Tensor

from core_code.core_utils.distributed.data_parallel import Shard, shard_of
from EmotionGAN.editor import to_range


class BalancedFaces:
    """Training faces on the device, sampled by the square root of their emotion's frequency. faces: uint8 [N,H,W],
    resized to `size`; labels: int64 [N]."""

    def __init__(self, faces: Tensor, labels: Tensor, size: int, channels: int, device: torch.device) -> None:
        self.images = to_range(faces, size, channels=1).to(device)
        self.labels, self.channels = labels.to(device), channels
        counts = torch.bincount(labels, minlength=7).clamp_min(1).double()
        self.weights = (1 / counts.sqrt())[labels]

    def sample(self, batch_size: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """This process's shard of a batch: float [B,C,S,S] in [-1,1], half of them mirrored, and int64 [B]."""
        indices = torch.multinomial(self.weights, batch_size, replacement=True, generator=rng)
        mirrored = torch.rand(batch_size, generator=rng) < 0.5
        rows = shard_of(batch_size).rows
        indices, mirrored = indices[rows].to(self.images.device), mirrored[rows]
        images = self.images[indices]
        images = torch.where(mirrored.to(images.device)[:, None, None, None], images.flip(-1), images)
        return images.expand(-1, self.channels, -1, -1), self.labels[indices]


def jitter(images: Tensor, rng: torch.Generator, shard: Shard | None = None) -> Tensor:
    """Shift images [B,C,S,S] by up to 1/16 of the side and change their brightness by up to 0.2 of the range.

    Differentiable, so that the generator learns through it (Zhao et al., "Differentiable Augmentation", 2020). Where
    the images are a `shard` of a batch, random numbers are drawn for all of it.
    """
    count, rows = shard or (len(images), slice(None))
    size = images.shape[-1]
    most = size // 16
    # whole pixels: a fractional shift would blur the detail that tells generated faces from real ones
    shifts = torch.randint(-most, most + 1, (count, 2), generator=rng)[rows] * 2 / size
    brightness = (torch.rand(count, 1, 1, 1, generator=rng)[rows] * 2 - 1) * 0.2
    if not len(images):
        return images  # affine_grid refuses empty batches
    matrices = torch.eye(2, 3).repeat(len(images), 1, 1)
    matrices[:, :, 2] = shifts
    grid = F.affine_grid(matrices.to(images.device), list(images.shape), align_corners=False)
    shifted = F.grid_sample(images.float(), grid, padding_mode="border", align_corners=False)
    return shifted + brightness.to(images.device)
