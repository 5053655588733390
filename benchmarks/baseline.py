"""The baseline implementation, as such scripts are usually written: one face at a time, PIL, float32, a directory
listing for each file."""

import os
import random
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import models, transforms

from core_code.datasets.fer2013 import FER2013
from core_code.models.architectures import ARCHITECTURES, IMAGENET_STEM, SMALL_STEM
from core_code.models.emotion_net import make_stem_small

FOLDERS = 100


def train_transform(size: int) -> Callable:
    """A face of PIL -> a random view float32 [3,size,size]."""
    cropped = [transforms.Grayscale(3), transforms.RandomResizedCrop(size), transforms.RandomHorizontalFlip()]
    coloured = [transforms.RandomAdjustSharpness(2), transforms.ColorJitter(brightness=0.3)]
    return transforms.Compose([*cropped, *coloured, transforms.ToTensor()])


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

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        replaced = self.folder is not None and random.random() < self.probability
        image = random_augmentation(self.folder, index) if replaced else self.image(index)
        return self.transform(image), int(self.faces.labels[index])


class BaselinePairs(BaselineFaces):
    """Two views of each face, the second of one of its augmentations or, without a folder, of itself."""

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image = self.image(index)
        partner = random_augmentation(self.folder, index) if self.folder else image
        return self.transform(image), self.transform(partner)


def baseline_net(name: str, stem: str = IMAGENET_STEM) -> nn.Module:
    """torchvision's own, for seven classes; with the small stem its strides are changed."""
    net = models.get_model(ARCHITECTURES[name].builder, weights=None, num_classes=7)
    if stem == SMALL_STEM:
        make_stem_small(net, ARCHITECTURES[name])
    return net


def train_steps(
    faces: BaselineFaces, batch_size: int, workers: int, parameters: Iterable[nn.Parameter],
    loss_of: Callable[[Tensor, Tensor], Tensor], after_step: Callable[[], None] = lambda: None,
) -> Iterator[int]:  # fmt: skip
    """Endless training; yields the faces of each step. `loss_of` gets a batch of what `faces` holds."""
    optimizer = torch.optim.Adam(parameters, lr=1e-4)
    loader = DataLoader(faces, batch_size, shuffle=True, num_workers=workers, drop_last=True)
    while True:
        for views, others in loader:
            loss = loss_of(views, others)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            after_step()
            loss.item()
            yield len(views)
