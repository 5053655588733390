"""A small convolutional net that is trained in seconds, to find out what can be learned from edits."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from core_code.core_utils.devices import autocast

LAYERS = ((32, 5, 2), (64, 3, 2), (128, 3, 2), (256, 3, 1))  # width, kernel size, stride
EPOCHS, BATCH, LEARNING_RATE, SHIFT = 8, 128, 2e-3, 3


def make_small_net(classes: int, seed: int) -> nn.Sequential:
    """Four convolutions (LAYERS), each with batch norm and ReLU, then a linear layer on the means of the maps.
    float [B,1,H,W] to logits [B,classes]; He's initial weights from the seed."""
    layers: list[nn.Module] = []
    channels = 1
    for width, kernel, stride in LAYERS:
        layers += [
            nn.Conv2d(channels, width, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        ]
        channels = width
    head = nn.Linear(channels, classes)
    net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in net.parameters():
            if weight.dim() > 1:
                weight.normal_(0, math.sqrt(2 / weight[0].numel()), generator=rng)
        nn.init.zeros_(head.bias)
    return net


def train_small_net(
    faces: Tensor, labels: Tensor, classes: int, device: torch.device, dtype: torch.dtype, seed: int, what: str
) -> nn.Sequential:
    """Train on faces uint8 [N,H,W] with labels int64 [N] for EPOCHS, mirrored and shifted at random; Adam, one cycle
    of the learning rate. `what` is the progress bar's title. Returns the net in evaluation mode on the device."""
    net = make_small_net(classes, seed).to(device).to(memory_format=torch.channels_last)
    rng = torch.Generator().manual_seed(seed)
    faces, labels = faces.to(device), labels.to(device)
    steps = EPOCHS * math.ceil(len(faces) / BATCH)
    optimizer = torch.optim.Adam(net.parameters(), LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps)
    with tqdm(total=steps, desc=what, unit="batch", leave=False, delay=2) as bar:
        for _ in range(EPOCHS):
            for rows in torch.randperm(len(faces), generator=rng).split(BATCH):
                view = random_view(faces[rows.to(device)], rng)
                with autocast(device, dtype):
                    logits = net(view)
                loss = F.cross_entropy(logits.float(), labels[rows.to(device)])
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                schedule.step()
                bar.update()
    return net.eval()


def random_view(faces: Tensor, rng: torch.Generator) -> Tensor:
    """Faces uint8 [B,H,W] mirrored by chance and shifted by up to SHIFT pixels (the edge is repeated), as float
    [B,1,H,W] in [-1,1]. `rng` is on the CPU."""
    count, height, width = faces.shape
    shifts = torch.randint(-SHIFT, SHIFT + 1, (2, count, 1), generator=rng)
    flips = torch.rand(count, 1, generator=rng) < 0.5
    ys = (torch.arange(height) + shifts[0]).clamp(0, height - 1)
    xs = (torch.arange(width) + shifts[1]).clamp(0, width - 1)
    xs = torch.where(flips, xs.flip(1), xs)
    ys, xs = ys.to(faces.device, non_blocking=True), xs.to(faces.device, non_blocking=True)
    rows = torch.arange(count, device=faces.device)[:, None, None]
    return as_input(faces[rows, ys[:, :, None], xs[:, None, :]])


def as_input(faces: Tensor) -> Tensor:
    """uint8 [B,H,W] -> float [B,1,H,W] in [-1,1]."""
    return faces[:, None].float() / 127.5 - 1


@torch.inference_mode()
def predict_small_net(net: nn.Module, faces: Tensor, device: torch.device, dtype: torch.dtype) -> Tensor:
    """The predicted class of each face uint8 [N,H,W]: int64 [N] on the CPU."""
    predicted = []
    for batch in faces.split(512):
        with autocast(device, dtype):
            predicted.append(net(as_input(batch.to(device))).argmax(1).cpu())
    return torch.cat(predicted)
