"""The baseline implementation, as such scripts are usually written: one face at a time, PIL, float32, a directory
listing for each file."""

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torchvision import models, transforms

from core_code.datasets.fer2013 import FER2013
from core_code.models.architectures import ARCHITECTURES

FOLDERS = 100


def train_transform(size: int) -> Callable:
    """A face of PIL -> a random view float32 [3,size,size]."""
    return transforms.Compose(
        [
            transforms.Grayscale(3),
            transforms.RandomResizedCrop(size),
            transforms.RandomHorizontalFlip(),
            transforms.RandomAdjustSharpness(2),
            transforms.ColorJitter(brightness=0.3),
            transforms.ToTensor(),
        ]
    )


def evaluation_transform(size: int) -> Callable:
    """A face of PIL -> its centre crop float32 [3,size,size]."""
    resized = round(size * 256 / 224)
    return transforms.Compose(
        [transforms.Grayscale(3), transforms.Resize(resized), transforms.CenterCrop(size), transforms.ToTensor()]
    )


def random_augmentation(folder: Path, face: int) -> Image.Image:
    """One of a face's PNGs, found by listing its folder."""
    where = folder / str(face % FOLDERS)
    mine = [name for name in os.listdir(where) if name.startswith(f"{face}_")]
    with Image.open(where / random.choice(mine)) as image:
        return image.copy()


class BaselineFaces(Dataset):
    """Faces one at a time, through PIL; with `folder`, an augmentation replaces a face with this probability."""

    def __init__(
        self, faces: FER2013, transform: Callable, folder: Path | None = None, probability: float = 0.0
    ) -> None:
        self.faces, self.transform = faces, transform
        self.folder, self.probability = folder, probability

    def __len__(self) -> int:
        return len(self.faces)

    def image(self, index: int) -> Image.Image:
        return Image.fromarray(np.asarray(self.faces.faces[index]))

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        replaced = self.folder is not None and random.random() < self.probability
        image = random_augmentation(self.folder, index) if replaced else self.image(index)
        return self.transform(image), int(self.faces.labels[index])


class BaselinePairs(BaselineFaces):
    """Two views of each face, the second of one of its augmentations or, without a folder, of itself."""

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        image = self.image(index)
        partner = random_augmentation(self.folder, index) if self.folder else image
        return self.transform(image), self.transform(partner)


def baseline_net(name: str) -> torch.nn.Module:
    """torchvision's own, for seven classes."""
    return models.get_model(ARCHITECTURES[name].builder, weights=None, num_classes=7)


def train_steps(
    faces: BaselineFaces, net_name: str, batch_size: int, workers: int, device: torch.device
) -> Iterator[int]:
    """Endless training; yields the faces of each step."""
    net = baseline_net(net_name).to(device).train()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-4)
    loader = DataLoader(faces, batch_size, shuffle=True, num_workers=workers, drop_last=True)
    while True:
        for views, labels in loader:
            loss = F.cross_entropy(net(views.to(device)), labels.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()
            yield len(labels)


class BaselineGenerator(torch.nn.Module):
    """GANmut's generator layer by layer, with codes as two constant maps: image [1,3,S,S], code [1,2] -> [1,3,S,S]."""

    def __init__(self, width: int = 64, blocks: int = 6) -> None:
        super().__init__()
        nn = torch.nn

        def layers(convolution: nn.Module, channels: int) -> list[nn.Module]:
            return [convolution, nn.InstanceNorm2d(channels, affine=True), nn.ReLU()]

        def block() -> nn.Module:
            first, second = (nn.Conv2d(4 * width, 4 * width, 3, padding=1, bias=False) for _ in range(2))
            return nn.Sequential(*layers(first, 4 * width), *layers(second, 4 * width)[:2])

        self.down = nn.Sequential(
            *layers(nn.Conv2d(5, width, 7, padding=3, bias=False), width),
            *layers(nn.Conv2d(width, 2 * width, 4, 2, 1, bias=False), 2 * width),
            *layers(nn.Conv2d(2 * width, 4 * width, 4, 2, 1, bias=False), 4 * width),
        )
        self.blocks = nn.ModuleList(block() for _ in range(blocks))
        self.up = nn.Sequential(
            *layers(nn.ConvTranspose2d(4 * width, 2 * width, 4, 2, 1, bias=False), 2 * width),
            *layers(nn.ConvTranspose2d(2 * width, width, 4, 2, 1, bias=False), width),
            nn.Conv2d(width, 3, 7, padding=3, bias=False),
            nn.Tanh(),
        )

    def forward(self, image: torch.Tensor, code: torch.Tensor) -> torch.Tensor:
        maps = code[:, :, None, None].expand(-1, -1, *image.shape[2:])
        x = self.down(torch.cat([image, maps], dim=1))
        for block in self.blocks:
            x = x + block(x)
        return self.up(x)
