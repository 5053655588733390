"""FER2013 as a PyTorch dataset: the CSV, parquet files, image folders, or the sample faces."""

import hashlib
import zlib
from pathlib import Path

import numpy as np
import torch

from core_code.core_utils.choices import DATA_ROOT, DATASETS, FERPLUS, OWN_LABELS
from core_code.core_utils.emotions import EMOTIONS, FERPLUS_EMOTIONS
from core_code.core_utils.errors import InputError
from core_code.datasets.fer2013_csv import FILE_NAMES, USAGES, find_csv, read_csv
from core_code.datasets.ferplus import with_ferplus_labels
from core_code.datasets.image_folder import load_folder, own_labels, split_folders
from core_code.datasets.labelled_faces import LabelledFaces
from core_code.datasets.parquet import find_parquet, load_parquet
from core_code.datasets.sample import sample_split
from core_code.datasets.splits import SPLITS, Splits, cached_splits

ENDS = 1 << 16  # bytes at either end of a CSV whose checksum tells it from another one


class FER2013(LabelledFaces):
    """Labelled 48x48 grayscale faces of one split, in memory as bytes.

    I. Goodfellow et al., "Challenges in Representation Learning: A report on three machine learning contests",
    2013, https://arxiv.org/abs/1307.0414. Splits as in the competition: train is Training, val is PublicTest,
    test is PrivateTest.

    faces: uint8 [N, 48, 48], 0..255, mapped from a cache that the first load writes beside the data;
    labels: int64 [N], 0..6 in the order of EMOTIONS; with `dataset="own_labels"` or "ferplus" in that of `emotions`.
    distributions: with "ferplus" float32 [N, 8], what share of the votes each emotion has (see ferplus.py), else None.
    """

    def __init__(
        self, data_root: Path = DATA_ROOT, split: str = "train", dataset: str = "fer2013",
        max_faces: int | None = None,
    ) -> None:  # fmt: skip
        """Load one split.

        data_root: folder of icml_face_data.csv, fer2013.csv or parquet files (`dataset="fer2013"`; `"ferplus"` takes
        the labels of fer2013new.csv beside the CSV, and leaves out the faces that these leave out), or of the image
        folders (`"folder"`, or `"own_labels"` where their names are the labels); not used for `"sample"`. max_faces
        keeps the first rows of the split. Raises InputError for anything missing or damaged in the data, and for a
        split without faces.
        """
        if split not in SPLITS:
            raise ValueError(f"split {split!r}, expected one of {', '.join(SPLITS)}")
        if max_faces is not None and max_faces < 1:
            raise ValueError(f"max_faces {max_faces}, expected 1 or more")
        emotions = own_labels(Path(data_root)) if dataset == OWN_LABELS else EMOTIONS
        faces, labels = load_split(Path(data_root), split, "fer2013" if dataset == FERPLUS else dataset, emotions)
        self.distributions: torch.Tensor | None = None
        if dataset == FERPLUS:
            emotions = FERPLUS_EMOTIONS
            faces, labels, distributions = with_ferplus_labels(Path(data_root), split, faces, labels)
            self.distributions = torch.from_numpy(distributions[:max_faces])
        faces, labels = faces[:max_faces], labels[:max_faces]
        super().__init__(torch.from_numpy(faces), torch.from_numpy(labels).to(torch.int64), emotions)
        self.split, self.dataset, self.data_root = split, dataset, Path(data_root)

    def fingerprint(self, count: int | None = None) -> str:
        """As LabelledFaces, and of the distributions."""
        own = super().fingerprint(count)
        if self.distributions is None:
            return own
        return hashlib.sha256(own.encode() + self.distributions[:count].numpy().tobytes()).hexdigest()


def load_split(
    data_root: Path, split: str, dataset: str, emotions: tuple[str, ...]
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Faces and labels of one split as arrays, uint8 [N, 48, 48] and uint8 [N]. emotions: the names of own labels."""
    if dataset == "sample":
        return sample_split(split)
    usage = USAGES[SPLITS.index(split)]
    if dataset == "fer2013":
        where, splits = load_fer2013(data_root)
        wanted = f"rows whose Usage is {usage}"
    elif dataset in ("folder", OWN_LABELS):
        where, splits = data_root, load_folder(data_root, emotions if dataset == OWN_LABELS else ())
        wanted = f"images in {'validation' if split == 'val' else split}/<emotion>/, or some named {usage}_*"
    else:
        raise ValueError(f"dataset {dataset!r}, expected one of {', '.join(DATASETS)}")
    faces, labels = splits.part(split)
    if len(faces) == 0:
        raise InputError(f"{where}: no faces for {split}, expected {wanted}")
    return faces, labels


def load_fer2013(data_root: Path) -> tuple[Path, Splits]:
    """All faces of the CSV, or of parquet files where there is no CSV; and where they are. Raises InputError."""
    form = find_form(data_root)
    if form == "parquet":
        return data_root, load_parquet(data_root, find_parquet(data_root))
    if form == "folder":
        raise InputError(f"{data_root}: holds image folders and no {FILE_NAMES[0]}; read them with --dataset folder")
    where = find_csv(data_root)
    state = where.stat()
    source = f"{where.name} {state.st_size} {state.st_mtime_ns} {checksum_of_ends(where, state.st_size)}"
    return where, cached_splits(where.with_suffix(".cache"), source, lambda: read_csv(where))


def checksum_of_ends(path: Path, size: int) -> int:
    """Of the first and the last bytes of a file: another file of the same size and time, as a copy may be, differs."""
    with open(path, "rb") as file:
        head = file.read(ENDS)
        file.seek(max(size - ENDS, 0))
        return zlib.crc32(file.read(ENDS), zlib.crc32(head))


def find_form(data_root: Path) -> str | None:
    """In which form the faces lie there, the first of `csv`, `parquet` and `folder` that is found; or None."""
    if any((data_root / name).is_file() for name in FILE_NAMES):
        return "csv"
    if find_parquet(data_root):
        return "parquet"
    return "folder" if data_root.is_dir() and split_folders(data_root) else None
