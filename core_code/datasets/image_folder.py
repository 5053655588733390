"""Labelled faces in image folders, converted to FER2013's form: 48x48, grey.

<data_root>/train/<emotion>/*, validation/ (or val/) and test/ alike. Where there is no validation folder, names
that begin with Training_, PublicTest_ or PrivateTest_ determine the split, as in common copies of FER2013.
"""

import hashlib
import os
import stat
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from tqdm import tqdm

from core_code.core_utils.emotions import EMOTIONS
from core_code.core_utils.errors import InputError
from core_code.core_utils.photos.pictures import open_picture, upright
from core_code.datasets.fer2013_csv import USAGES
from core_code.datasets.splits import SIDE, SPLITS, Splits, by_split, cached_splits

CACHE_NAME = "faces.cache"
DECODING = 2  # part of the cache's source; a new number makes every cache of images be written anew
IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm", ".pbm", ".pnm",
                 ".jpe", ".jfif", ".apng", ".avif", ".jp2", ".j2k", ".jpx", ".jpf", ".jpc")  # fmt: skip
SPLIT_OF_FOLDER = {"train": 0, "training": 0, "validation": 1, "val": 1, "valid": 1, "publictest": 1, "test": 2,
                   "privatetest": 2}  # fmt: skip
NAMES = ("0 angry anger", "1 disgust disgusted", "2 fear fearful afraid scared", "3 happy happiness joy",
         "4 sad sadness", "5 surprise surprised", "6 neutral neutrality")  # fmt: skip
LABEL_OF_FOLDER = {name: label for label, names in enumerate(NAMES) for name in names.split()}
LARGEST_PIXELS = 1 << 25  # of an image; several are decoded at the same time


class ImageFile(NamedTuple):
    """One image: its path below the data's folder, its label and split, and its state on the disk."""

    name: str
    label: int
    split: int
    size: int
    modified: int


def load_folder(data_root: Path, own: Sequence[str] = ()) -> Splits:
    """All faces below `data_root`, each split in the order of the paths; cached there in `faces.cache`.

    own: the names of labels, see own_labels; none: FER2013's seven emotions. Raises InputError for a missing folder, a
    folder that is not named after a label, and a damaged image.
    """
    data_root = Path(data_root)
    files, passed_over = find_images(data_root, own)
    lines = (f"{file.name} {file.split} {file.size} {file.modified}" for file in files)
    state = "\n".join((f"{DECODING}{','.join(own)}", *lines))
    source = hashlib.sha256(state.encode("utf-8", "surrogateescape")).hexdigest()
    names = own or EMOTIONS
    read = partial(read_images, data_root, files, passed_over, names)
    return cached_splits(data_root / CACHE_NAME, source, read, len(names))


def own_labels(data_root: Path) -> tuple[str, ...]:
    """The names of the folders in train, validation and test, each once, sorted. Raises InputError where these are not
    2 to 256, and for a comma or what cannot be printed (a line break, no UTF-8) in one."""
    folders = split_folders(data_root) if data_root.is_dir() else []
    names = sorted({emotion.name for folder in folders for emotion in subfolders(folder)})
    if not 2 <= len(names) <= 256 or any("," in name or not name.isprintable() for name in names):
        raise InputError(f"{data_root}: {len(names)} folders with labels of your own in train, validation and test, "
                         "expected 2 to 256, of printable characters without a comma")  # fmt: skip
    return tuple(names)


def find_images(data_root: Path, own: Sequence[str] = ()) -> tuple[list[ImageFile], Counter[str]]:
    """Every image below the splits' folders, sorted by path; and how many other files are there, by what they are."""
    if not data_root.is_dir():
        raise InputError(f"{data_root}: no such folder, expected one with train/<emotion>/ and test/<emotion>/")
    folders = split_folders(data_root)
    if not folders:
        raise InputError(f"{data_root}: no folder train, validation or test, expected train/<emotion>/ in it")
    named_by_usage = all(SPLIT_OF_FOLDER[folder.name.lower()] != SPLITS.index("val") for folder in folders)
    emotions = [emotion for folder in folders for emotion in subfolders(folder)]
    passed_over: Counter[str] = Counter()
    for folder in folders:
        passed_over.update(
            kind_of(entry.name) + " beside the emotions" for entry in folder.iterdir() if entry.is_file()
        )
    files = [image for emotion in emotions for image in images_of(emotion, own, named_by_usage, passed_over)]
    if not files:
        raise InputError(f"{data_root}: holds no images, expected some in train/<emotion>/")
    return sorted(files), passed_over


def split_folders(data_root: Path) -> list[Path]:
    """The folders train, validation and test, under whichever of their names."""
    return [entry for entry in subfolders(data_root) if entry.name.lower() in SPLIT_OF_FOLDER]


def subfolders(folder: Path) -> list[Path]:
    """The folders in a folder, but for hidden ones."""
    return sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def images_of(folder: Path, own: Sequence[str], named_by_usage: bool, passed_over: Counter[str]) -> Iterator[ImageFile]:
    """The images in <split>/<emotion> and its sub-folders; other kinds of file are counted in `passed_over`."""
    if not own and folder.name.lower() not in LABEL_OF_FOLDER:
        raise InputError(f"{folder}: not the name of an emotion, expected one of {', '.join(EMOTIONS)} (for labels of "
                         "your own: --dataset own_labels)")  # fmt: skip
    label = own.index(folder.name) if own else LABEL_OF_FOLDER[folder.name.lower()]
    split = SPLIT_OF_FOLDER[folder.parent.name.lower()]
    below = len(str(folder.parents[1])) + 1 if folder.parents[1] != Path(".") else 0
    for place, _, names in os.walk(folder, onerror=raise_it):
        for file in names:
            path = f"{place}/{file}"
            if file.startswith(".") or "/." in place[below:] or not file.lower().endswith(IMAGE_ENDINGS):
                passed_over[kind_of(file)] += 1
                continue
            try:
                state = os.stat(path)
            except OSError as error:
                what = "a link to nothing" if os.path.islink(path) else error.strerror
                raise InputError(f"{path}: {what}, expected an image; remove it") from error
            if not stat.S_ISREG(state.st_mode):
                raise InputError(f"{path}: a folder, a device or a pipe, expected an image; remove it")
            usage = file.split("_")[0]
            named = USAGES.index(usage) if named_by_usage and usage in USAGES else split
            yield ImageFile(path[below:], label, named, state.st_size, state.st_mtime_ns)


def raise_it(error: OSError) -> None:
    """What os.walk shall do about a folder that may not be entered."""
    raise error


def kind_of(name: str) -> str:
    """What a file that is no image is called where such files are counted."""
    return "hidden files" if name.startswith(".") else f"files ending in {Path(name).suffix.lower() or 'nothing'}"


def read_images(data_root: Path, files: list[ImageFile], passed_over: Counter[str], emotions: Sequence[str]) -> Splits:
    """Decode all files, several at a time; says on stderr what is passed over and which emotions have no face."""
    warn(data_root, files, passed_over, emotions)
    with ThreadPoolExecutor() as threads:
        decoded = threads.map(read_face, [data_root / file.name for file in files])
        bar = tqdm(decoded, f"reading {data_root.name}", len(files), unit=" images", delay=2, leave=False)
        faces = [face.ravel() for face in bar]
    return by_split(faces, [file.label for file in files], [file.split for file in files])


def warn(data_root: Path, files: list[ImageFile], passed_over: Counter[str], emotions: Sequence[str]) -> None:
    """Print which files are no images, and which emotions a split lacks."""
    if passed_over:
        kinds = ", ".join(f"{count} {kind}" for kind, count in passed_over.most_common(8))
        print(f"{data_root}: passed over {passed_over.total()} files: {kinds}", file=sys.stderr)
    for split in sorted({file.split for file in files}):
        found = {file.label for file in files if file.split == split}
        if missing := [emotion for label, emotion in enumerate(emotions) if label not in found]:
            print(f"warning: {data_root}: no face of {', '.join(missing)} in {SPLITS[split]}", file=sys.stderr)


def read_face(path: Path, content: bytes | None = None) -> np.ndarray:
    """One image, or its `content`, as a grey face, uint8 [48, 48]. Raises InputError when it cannot be decoded."""
    with open_picture(path, LARGEST_PIXELS, "image", content) as image:
        grey = upright(image, path).convert("L")
        if grey.size != (SIDE, SIDE):
            grey = grey.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        return np.array(grey, dtype=np.uint8)
