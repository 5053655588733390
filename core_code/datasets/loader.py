"""A dataset as one tensor on the training device, indexed into batches there."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from core_code.core_utils.choices import EXPANDED_SHARES, OWN_SHARES
from core_code.core_utils.distributed.data_parallel import Shard, shard_of
from core_code.core_utils.distributed.job import world_size
from core_code.core_utils.errors import InputError
from core_code.core_utils.seeding import rng_for
from core_code.datasets.augmentations.store import Augmentations
from core_code.datasets.labelled_faces import LabelledFaces


def class_shares(kind: str, counts: Tensor) -> Tensor | None:
    """How often each emotion shall be sampled, float64 [E] of sum 1, given its number of faces, int64 [E].

    `expanded`: as often as in the expanded set, in which each face of another emotion adds one of emotion k with
    probability 1 - k's share; `equal`: equally often. None for `own`, and an emotion without faces has none.
    """
    if kind == OWN_SHARES:
        return None
    total = counts.sum()
    wanted = counts + (total - counts) * (1 - counts / total) if kind == EXPANDED_SHARES else torch.ones(len(counts))
    wanted = wanted.double() * (counts > 0)
    return wanted / wanted.sum()


class Batch(NamedTuple):
    """faces uint8 [B, 48, 48]; labels and indices int64 [B], the faces' rows in the data set; sources int64 [B], what
    is shown of them: the same row, or, of augmentation i, the number of faces + i. Which rows of the whole batch these
    are, where several processes share it: shard."""

    faces: Tensor
    labels: Tensor
    indices: Tensor
    sources: Tensor
    shard: Shard


@dataclass(eq=False)
class FaceBatches:
    """Batches of (faces uint8 [B, 48, 48], labels int64 [B], indices int64 [B]) on the device.

    The faces are copied to the device once (on the CPU they stay mapped); a batch is one indexing there. With
    `shuffle` each epoch has its own order. With `faces_per_epoch` as well, an epoch is that many faces, the next chunk
    of an endless sequence of random permutations: no face comes a second time before all others have come once (from
    `real_only_from` on it is another sequence, of the real faces). With `augmentations`, each face that has some is
    replaced by one of them, with `probability`, each time it is sampled.
    With `shares` of the emotions, float [E], an epoch's faces are sampled with replacement, an emotion in proportion to
    its share and its faces equally. From epoch `real_only_from` on real faces alone come.

    All random numbers depend on the seed and the epoch alone, whatever the device: they come from a CPU generator.
    """

    dataset: LabelledFaces
    batch_size: int
    device: torch.device
    shuffle: bool = False
    seed: int = 1
    augmentations: Augmentations | None = None
    probability: float = 0.0
    faces_per_epoch: int | None = None
    shares: Tensor | None = None
    real_only_from: int | None = None

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ValueError(f"batch_size {self.batch_size}, expected 1 or more")
        if self.batch_size < world_size():
            raise InputError(f"--batch_size {self.batch_size} for {world_size()} processes, expected a face for each")
        if (self.faces_per_epoch is not None or self.shares is not None) and not self.shuffle:
            raise ValueError("faces_per_epoch or shares without shuffle: only random chunks cover all faces in the end")
        if self.augmentations is not None:
            if len(self.augmentations) != len(self.dataset):
                raise ValueError(f"augmentations of {len(self.augmentations)} faces for {len(self.dataset)} faces")
            self.augmentations = self.augmentations.to(self.device) if self.probability else None
        self.epoch = 0
        self.faces = self.dataset.faces.to(self.device)
        self.labels = self.dataset.labels.to(self.device)
        self.real_count = len(self.faces) - self.dataset.generated

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order and random numbers come next."""
        self.epoch = epoch

    @property
    def real_only(self) -> bool:
        """Whether this epoch is one of real faces alone."""
        return self.real_only_from is not None and self.epoch >= self.real_only_from

    @property
    def faces_in_epoch(self) -> int:
        """Faces of this epoch."""
        return self.faces_per_epoch or (self.real_count if self.real_only else len(self.faces))

    def __len__(self) -> int:
        """Batches in this epoch; the last may be smaller, but in training has no face alone, unless every batch has."""
        count = self.faces_in_epoch
        alone = self.shuffle and min(count, self.batch_size) > 1 and count % self.batch_size == 1
        return -(-count // self.batch_size) - alone

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Faces, labels and indices of each batch; in a job of several processes, this one's shard of it."""
        return (batch[:3] for batch in self.sharded())

    def sharded(self) -> Iterator[Batch]:
        """The same, with what is shown of the faces, and which rows of the whole batch they are."""
        generator = rng_for(self.seed, self.epoch, "batches")
        batches = list(self.order(generator).to(self.device).split(self.batch_size))
        if self.shuffle and min(len(batches), self.batch_size) > 1 and len(batches[-1]) == 1:
            batches[-2:] = [torch.cat(batches[-2:])]  # batch norm cannot train on one face
        for indices in batches:
            shard = shard_of(len(indices))
            indices = sources = indices[shard.rows]
            faces = self.faces[indices]
            if self.augmentations is not None and not self.real_only:
                images = self.augmentations.choose(indices, self.probability, generator, shard)
                faces = self.augmentations.shown(faces, images)
                sources = torch.where(images >= 0, len(self.faces) + images, indices)
            yield Batch(faces, self.labels[indices], indices, sources, shard)

    def order(self, generator: torch.Generator) -> Tensor:
        """The rows of this epoch's faces, int64, in the order in which they come."""
        count = self.real_count if self.real_only else len(self.faces)
        if not self.shuffle:
            return torch.arange(count)
        if self.shares is not None:
            weights = (self.shares / self.dataset.class_counts.clamp(min=1))[self.dataset.labels]
            return torch.multinomial(weights, self.faces_per_epoch or count, replacement=True, generator=generator)
        if self.faces_per_epoch is None:
            return torch.randperm(count, generator=generator)
        start = max(self.epoch - 1, 0) * self.faces_per_epoch
        passes = range(start // count, (start + self.faces_per_epoch - 1) // count + 1)
        orders = [torch.randperm(count, generator=rng_for(self.seed, number, "pass")) for number in passes]
        return torch.cat(orders)[start % count :][: self.faces_per_epoch]
