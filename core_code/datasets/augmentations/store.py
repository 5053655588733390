"""The images on disk: augmentations that replace training faces, and the expansion that is added to them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from core_code.core_utils.distributed.data_parallel import Shard
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
        pack = load_images(Path(folder), AUGMENTATIONS, faces)
        counts = np.bincount(pack.faces, minlength=len(faces))
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
        """Replace each face that has augmentations, with `probability`, by one of its own, all equally likely.

        faces: uint8 [B, 48, 48], those of the training set's rows `indices`, int64 [B]; both on the device of the
        images. `generator`, which may be a CPU one, gives two random numbers a face; where the faces are the `shard`
        of a batch, two for each face of the batch. Returns uint8 [B, 48, 48].
        """
        shard = shard or Shard(len(indices), slice(None))
        uniforms = torch.rand(2, shard.total, generator=generator, device=generator.device)
        uniforms = uniforms[:, shard.rows].to(faces.device)
        first = self.first[indices]
        counts = self.first[indices + 1] - first
        replaced = (uniforms[0] < probability) & (counts > 0)
        if len(self.images) == 0:
            return faces
        # a float32 just below 1 may round up to the count itself
        chosen = first + torch.minimum((uniforms[1] * counts).long(), counts - 1)
        chosen = chosen.clamp(0, len(self.images) - 1)
        return torch.where(replaced[:, None, None], self.images[chosen], faces)


class FER2013Exp(LabelledFaces):
    """The training faces followed by the images of the expansion with their new labels: nearly balanced."""

    phase = "train"

    def __init__(self, train: FER2013, folder: Path = Path("data/expanded_fer_2013")) -> None:
        """Read the images that create_augmentations.py --expand_dataset True generated from the training faces.

        Raises InputError as `Augmentations.open` does, and for a sub-folder whose name is not a label.
        """
        pack = load_images(Path(folder), EXPANSION, train)
        if len(pack.ks) and pack.ks.max() >= len(EMOTIONS):
            raise InputError(f"{Path(folder) / str(pack.ks.max())}: expected folders named 0 to {len(EMOTIONS) - 1}")
        self.dataset = train.dataset
        faces = torch.cat([train.faces, torch.from_numpy(pack.images)])
        super().__init__(faces, torch.cat([train.labels, torch.from_numpy(pack.ks)]))


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
    known = int(np.searchsorted(pack.faces, len(faces)))
    return ImagePack(pack.faces[:known], pack.ks[:known], pack.images[:known])
