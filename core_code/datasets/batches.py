"""A data set as one tensor on the device that trains, cut into batches there."""

import zlib
from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor

from core_code.datasets.augmentation_store import Augmentations


class Faces(Protocol):
    """FER2013, FER2013Exp, or anything else with faces uint8 [N, 48, 48] and labels int64 [N]."""

    faces: Tensor
    labels: Tensor


class FaceBatches:
    """Batches of (faces uint8 [B, 48, 48], labels int64 [B], indices int64 [B]) on the device.

    The faces are copied to the device once (on the CPU they stay mapped); a batch is one indexing there. With
    `shuffle` each epoch has an order of its own. With `augmentations`, each face that has some is replaced, with
    `probability` and each time that it is drawn, by one of them.

    Order and draws depend on the seed and the epoch alone, whatever the device: they come from a CPU generator.
    """

    def __init__(
        self,
        dataset: Faces,
        batch_size: int,
        device: torch.device,
        shuffle: bool = False,
        seed: int = 1,
        augmentations: Augmentations | None = None,
        probability: float = 0.0,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size {batch_size}, expected 1 or more")
        if augmentations is not None and len(augmentations) != len(dataset.faces):
            raise ValueError(f"augmentations of {len(augmentations)} faces for {len(dataset.faces)} faces")
        self.dataset = dataset
        self.batch_size = batch_size
        self.device = torch.device(device)
        self.shuffle = shuffle
        self.seed = seed
        self.probability = probability
        self.epoch = 0
        self.faces = dataset.faces.to(self.device)
        self.labels = dataset.labels.to(self.device)
        self.augmentations = augmentations.to(self.device) if augmentations is not None and probability else None

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order and draws come next."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Batches in an epoch; the last may be smaller, and while training never has one face alone."""
        alone = self.shuffle and len(self.faces) > 1 and len(self.faces) % self.batch_size == 1
        return -(-len(self.faces) // self.batch_size) - alone

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        generator = torch.Generator().manual_seed(zlib.crc32(f"{self.seed} {self.epoch} batches".encode()))
        count = len(self.faces)
        order = torch.randperm(count, generator=generator) if self.shuffle else torch.arange(count)
        batches = list(order.to(self.device).split(self.batch_size))
        if self.shuffle and len(batches) > 1 and len(batches[-1]) == 1:
            batches[-2:] = [torch.cat(batches[-2:])]  # batch norm cannot train on one face
        for indices in batches:
            faces = self.faces[indices]
            if self.augmentations is not None:
                faces = self.augmentations.replace(faces, indices, self.probability, generator)
            yield faces, self.labels[indices], indices
