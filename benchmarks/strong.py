"""The strong baseline: training as a careful engineer writes it with torch and torchvision alone.

One uint8 tensor on the device, transforms of whole batches there, bfloat16 where the hardware multiplies it faster,
channels last, a fused optimizer, and compiled on request; the same random views, in distribution, as
benchmarks/baseline.py makes one by one.
"""

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms.v2 import functional as transforms

from benchmarks.baseline import baseline_net
from core_code.models.architectures import IMAGENET_STEM

TRIES = 10  # of a crop, as torchvision's


def random_views(faces: Tensor, size: int) -> Tensor:
    """uint8 [B,48,48] -> float32 [B,3,size,size] in [0,1].

    Cropped, resized and flipped in one sampling, then sharper or not, and brighter or darker.
    """
    count, device = len(faces), faces.device
    area = torch.empty(count, TRIES, device=device).uniform_(0.08, 1)
    ratio = torch.empty(count, TRIES, device=device).uniform_(math.log(3 / 4), math.log(4 / 3)).exp()
    sides = torch.stack([(area * ratio).sqrt(), (area / ratio).sqrt()])
    first = (sides <= 1).all(0).to(torch.uint8).argmax(1)  # the first that fits into the face
    width, height = sides[:, torch.arange(count, device=device), first].clamp(max=1)
    left, top = (torch.rand(2, count, device=device) * 2 - 1) * (1 - torch.stack([width, height]))
    flip = torch.where(torch.rand(count, device=device) < 0.5, -1.0, 1.0)
    nothing = torch.zeros_like(left)
    matrices = torch.stack([torch.stack([flip * width, nothing, left], 1), torch.stack([nothing, height, top], 1)], 1)
    grid = F.affine_grid(matrices, [count, 1, size, size], align_corners=False)
    views = F.grid_sample(faces[:, None].float() / 255, grid, padding_mode="border", align_corners=False)
    sharper = torch.rand(count, 1, 1, 1, device=device) < 0.5
    views = torch.where(sharper, transforms.adjust_sharpness(views, 2.0), views)
    return (views * torch.empty(count, 1, 1, 1, device=device).uniform_(0.7, 1.3)).clamp_(0, 1).expand(-1, 3, -1, -1)


def strong_steps(
    faces: Tensor, labels: Tensor, net_name: str, size: int, batch_size: int, dtype: torch.dtype,
    compiled: bool = False, stem: str = IMAGENET_STEM, augmentations: Tensor | None = None, probability: float = 0.0,
) -> Iterator[int]:  # fmt: skip
    """Endless training on faces uint8 [N,48,48] with labels int64 [N] on the device; yields the faces of each step.

    With augmentations uint8 [N,K,48,48] one of a face's own replaces it with this probability.
    """
    device = faces.device
    net = baseline_net(net_name, stem).to(device, memory_format=torch.channels_last).train()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-4, fused=device.type in {"cpu", "cuda"})

    def loss_of(views: Tensor, targets: Tensor) -> Tensor:
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            return F.cross_entropy(net(views), targets)

    if compiled:
        loss_of = torch.compile(loss_of, mode="reduce-overhead" if device.type == "cuda" else "default")
    while True:
        order = torch.randperm(len(faces), device=device)
        for rows in order[: len(order) // batch_size * batch_size].split(batch_size):
            batch = faces[rows]
            if augmentations is not None:
                chosen = augmentations[rows, torch.randint(augmentations.shape[1], (len(rows),), device=device)]
                replaced = torch.rand(len(rows), 1, 1, device=device) < probability
                batch = torch.where(replaced, chosen, batch)
            views = random_views(batch, size).contiguous(memory_format=torch.channels_last)
            loss = loss_of(views, labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()
            yield len(rows)
