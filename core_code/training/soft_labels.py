"""The file of soft labels (.npz): what teachers predict for training faces and the images generated from them. How the
labels are made is in cross_fitting.py."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from core_code.core_utils.errors import InputError
from core_code.core_utils.npz import read_npz
from core_code.datasets.augmentations.pack import ImagePack
from core_code.datasets.augmentations.plan import AUGMENTATIONS, EXPANSION
from core_code.datasets.labelled_faces import LabelledFaces

WHAT = "file of soft labels (python -m core_code.soft_labels writes one)"
SUM_WITHIN = 1e-3
ARRAYS = {  # name: kind of dtype, axes
    "training_data": ("U", 0), "faces": ("f", 2),
    "augmentations": ("f", 3), "augmentations_keep": ("b", 2), "augmentations_images": ("U", 0),
    "expansion": ("f", 2), "expansion_keep": ("b", 1), "expansion_images": ("U", 0),
    "expansion_rows": ("i", 1), "expansion_emotions": ("i", 1),
}  # fmt: skip


@dataclass(frozen=True)
class SoftLabels:
    """The arrays of a file, by their names; `path` names it in errors.

    training_data: fingerprint of the training faces; faces: float32 [N,E], probabilities of the emotions.
    augmentations: float32 [N,K,E], of image k of each face, NaN where there is none; augmentations_keep: bool [N,K],
    those that a filter lets pass; expansion: float32 [M,E], of the image of face expansion_rows, int64 [M], at emotion
    expansion_emotions, int64 [M]; expansion_keep: bool [M]. augmentations_images and expansion_images: fingerprints of
    the images. All but the first two may be missing. What else a file holds is not used.
    """

    path: Path
    arrays: dict[str, np.ndarray]

    @property
    def fingerprint(self) -> str:
        """Hex digest of all that training uses."""
        digest = hashlib.sha256()
        for name in ARRAYS:
            if name in self.arrays:
                digest.update(name.encode() + np.ascontiguousarray(self.arrays[name]).tobytes())
        return digest.hexdigest()

    def of_images(self, kind: str, pack: ImagePack) -> tuple[np.ndarray, ImagePack]:
        """The probabilities float32 [M,E] of a pack's images, NaN without, and the pack: less what the filter leaves
        out. Raises InputError where the labels are of other images."""
        arrays = self.arrays
        if kind not in arrays:
            return np.full((len(pack.faces), arrays["faces"].shape[1]), np.nan, np.float32), pack
        if str(arrays[f"{kind}_images"]) != images_fingerprint(pack):
            raise InputError(f"{self.path}: its labels are of other images ({kind}) than those trained on; write it "
                             "again with python -m core_code.soft_labels")  # fmt: skip
        places = (pack.faces, pack.ks) if kind == AUGMENTATIONS else slice(None)
        probabilities = arrays[kind][places]
        if f"{kind}_keep" not in arrays:
            return probabilities, pack
        kept = arrays[f"{kind}_keep"][places]
        return probabilities[kept], ImagePack(pack.faces[kept], pack.ks[kept], pack.images[kept])


def images_fingerprint(pack: ImagePack) -> str:
    """Hex digest of images, and of whose they are; equal means the same images."""
    digest = hashlib.sha256(pack.faces.astype(np.int64).tobytes())
    digest.update(pack.ks.astype(np.int64).tobytes())
    digest.update(np.ascontiguousarray(pack.images).data)
    return digest.hexdigest()


def read_soft_labels(path: Path, faces: LabelledFaces) -> SoftLabels:
    """The soft labels of these training faces. Raises InputError for a damaged file and for one of other faces."""
    found = read_npz(path, WHAT)
    arrays = {name: found[name] for name in ARRAYS if name in found}
    if wrong := whats_wrong(arrays, len(faces), len(faces.emotions)):
        raise InputError(f"{path}: not a {WHAT}: {wrong}")
    if str(arrays["training_data"]) != faces.fingerprint():
        raise InputError(f"{path}: its labels are of other training faces: give the same --dataset, --data_root and "
                         "--max_faces, or write it again with python -m core_code.soft_labels")  # fmt: skip
    return SoftLabels(path, arrays)


def whats_wrong(arrays: dict[str, np.ndarray], faces: int, emotions: int) -> str:
    """What keeps these from being the arrays of SoftLabels, in a few words; empty: nothing."""
    for name, (kind, axes) in ARRAYS.items():
        beside = name.partition("_")[0]
        if name not in arrays:
            if name in ("training_data", "faces") or (beside in arrays and not name.endswith("_keep")):
                return f"{name} is missing"
            continue
        array, like = arrays[name], arrays.get(beside)
        if array.dtype.kind != kind or array.ndim != axes or not array.dtype.isnative:
            return f"{name} is {array.dtype} of {array.ndim} axes"
        if kind == "f" and (array.shape[-1] != emotions or not probabilities_fit(array)):
            return f"{name} holds something else than probabilities of {emotions} emotions"
        if name == "faces" and np.isnan(array).any():
            return f"{name} lacks those of {int(np.isnan(array).any(-1).sum())} faces"
        images = beside in (AUGMENTATIONS, EXPANSION) and kind != "U"
        if images and (like is None or array.shape[: like.ndim - 1] != like.shape[:-1]):
            return f"{name} is of another size than {beside}"
    if len(arrays["faces"]) != faces or len(arrays.get(AUGMENTATIONS, arrays["faces"])) != faces:
        return f"it is of {len(arrays['faces'])} faces, expected {faces}"
    return ""


def probabilities_fit(array: np.ndarray) -> bool:
    """Whether each row is one of probabilities, or of NaN alone."""
    missing = np.isnan(array).all(-1)
    rest = array[~missing]
    return bool((rest >= 0).all() and (np.abs(rest.sum(-1) - 1) <= SUM_WITHIN).all())


def target_table(probabilities: np.ndarray, labels: Tensor, smoothing: float) -> Tensor:
    """What to train on, float32 [R,E]: rows of probabilities, and where they are NaN the smoothed labels, int64 [R]."""
    classes = probabilities.shape[1]
    soft = torch.from_numpy(probabilities).float()
    hard = F.one_hot(labels, classes) * (1 - smoothing) + smoothing / classes
    return torch.where(soft.isnan(), hard, soft)
