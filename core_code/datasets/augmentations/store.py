"""The images on disk: augmentations that replace training faces, and the expansion that is added to them."""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from core_code.core_utils.choices import EXPANDED_FOLDER
from core_code.core_utils.distributed.data_parallel import Shard
from core_code.core_utils.distributed.job import is_main_process
from core_code.core_utils.emotions import EMOTIONS
from core_code.core_utils.errors import InputError
from core_code.datasets.augmentations.manifest import MANIFEST_NAME, read_manifest
from core_code.datasets.augmentations.pack import ImagePack, open_pack
from core_code.datasets.augmentations.plan import AUGMENTATIONS, EXPANSION
from core_code.datasets.fer2013 import FER2013
from core_code.datasets.labelled_faces import LabelledFaces


@dataclass(frozen=True)
class Augmentations:
    """images: uint8 [M, 48, 48], mapped from one file; first: int64 [N+1].

    Face i's images are images[first[i]:first[i+1]]; a face may have none.
    """

    images: Tensor
    first: Tensor

    @classmethod
    def open(cls, folder: Path, faces: FER2013) -> "Augmentations":
        """The images that create_augmentations.py generated from these training faces; further faces have none.

        The first time, all images, single or in shards, are packed into one file beside them. Raises InputError for a
        missing or other manifest, for images that are unfinished or of other faces, and for a damaged PNG or tar.
        """
        return cls.of(load_images(Path(folder), AUGMENTATIONS, faces), len(faces))

    @classmethod
    def of(cls, pack: ImagePack, faces: int) -> "Augmentations":
        """The images of so many faces."""
        counts = np.bincount(pack.faces, minlength=faces)
        first = np.concatenate([[0], np.cumsum(counts)])
        return cls(torch.from_numpy(pack.images), torch.from_numpy(first))

    def __len__(self) -> int:
        """Faces, with and without augmentations."""
        return len(self.first) - 1

    def to(self, device: torch.device) -> "Augmentations":
        """The same on the device: copied to a GPU, mapped as before on the CPU."""
        return Augmentations(self.images.to(device), self.first.to(device))

    def replace(
        self, faces: Tensor, indices: Tensor, probability: float, generator: torch.Generator, shard: Shard | None = None
    ) -> Tensor:
        """The faces, uint8 [B, 48, 48], of which some are replaced as `choose` says; on the device of the images."""
        return self.shown(faces, self.choose(indices, probability, generator, shard))

    def shown(self, faces: Tensor, images: Tensor) -> Tensor:
        """The faces, uint8 [B, 48, 48], each replaced by one of the images, int64 [B], where that is 0 or more."""
        if len(self.images) == 0:
            return faces
        return torch.where((images >= 0)[:, None, None], self.images[images.clamp(min=0)], faces)

    def choose(
        self, indices: Tensor, probability: float, generator: torch.Generator, shard: Shard | None = None
    ) -> Tensor:
        """For each face that has augmentations, with `probability`, one of its own, all equally likely: int64 [B], -1
        for none.

        indices: int64 [B], the faces' rows in the training set, on the device of the images. `generator`, which may be
        a CPU one, gives two random numbers a face; where the faces are the `shard` of a batch, two for each face of the
        batch.
        """
        shard = shard or Shard(len(indices), slice(None))
        uniforms = torch.rand(2, shard.total, generator=generator, device=generator.device)
        uniforms = uniforms[:, shard.rows].to(indices.device)
        first = self.first[indices]
        counts = self.first[indices + 1] - first
        replaced = (uniforms[0] < probability) & (counts > 0)
        # a float32 just below 1 may round up to the count itself
        chosen = first + torch.minimum((uniforms[1] * counts).long(), counts - 1)
        return torch.where(replaced, chosen, -1)


class FER2013Exp(LabelledFaces):
    """The training faces followed by the images of the expansion with their new labels: nearly balanced."""

    split = "train"

    def __init__(self, train: FER2013, folder: Path = EXPANDED_FOLDER, pack: ImagePack | None = None) -> None:
        """Read the images that create_augmentations.py --expand_dataset True generated from the training faces, or
        take those of `pack`.

        Raises InputError as `Augmentations.open` does, and for a sub-folder whose name is not a label.
        """
        pack = pack or load_images(Path(folder), EXPANSION, train)
        self.dataset = train.dataset
        faces = torch.cat([train.faces, torch.from_numpy(pack.images)])
        super().__init__(faces, torch.cat([train.labels, torch.from_numpy(pack.ks)]), generated=len(pack.ks))


def load_images(folder: Path, mode: str, faces: FER2013) -> ImagePack:
    """The folder's images of `faces`: those of faces beyond a cut training set are left out.

    Raises InputError as `Augmentations.open` does, and for an image of a face beyond those of the manifest.
    """
    manifest = read_manifest(folder, mode, faces)
    pack = open_pack(folder, mode, folder / MANIFEST_NAME, manifest["command"], manifest["storage"])
    if len(pack.faces) and pack.faces[-1] >= manifest["faces"]:
        raise InputError(
            f"{folder}: there is an image of face {pack.faces[-1]}, expected faces below {manifest['faces']}; "
            f"remove the images that {MANIFEST_NAME} does not describe"
        )
    if mode == EXPANSION and len(pack.ks) and pack.ks.max() >= len(EMOTIONS):
        raise InputError(f"{folder / str(pack.ks.max())}: expected folders named 0 to {len(EMOTIONS) - 1}")
    if (absent := manifest["images"] - len(pack.faces)) > 0 and is_main_process():
        print(f"warning: {folder}: {absent} of {manifest['images']} images are missing; generate them again with: "
              f"{manifest['command']}", file=sys.stderr)  # fmt: skip
    known = int(np.searchsorted(pack.faces, len(faces)))
    return ImagePack(pack.faces[:known], pack.ks[:known], pack.images[:known])
