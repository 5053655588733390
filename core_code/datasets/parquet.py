"""FER2013 in parquet files, as hubs of data sets hold it: a row a face, as an encoded image or as pixels.

A column `image`, `img_bytes` or `pixels`; a column `label`, `labels` or `emotion` with numbers or names; the split in a
column `usage` or `split`, in the file's name (train-00000-of-00001.parquet), or in the name of its folder.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from core_code.core_utils.errors import InputError
from core_code.datasets.fer2013_csv import USAGES, decode_alone, shown
from core_code.datasets.image_folder import LABEL_OF_FOLDER, SPLIT_OF_FOLDER, read_face
from core_code.datasets.splits import PIXELS, SPLITS, Splits, by_split, cached_splits

CACHE_NAME = "parquet.cache"
FACE_COLUMNS = ("image", "img_bytes", "img", "pixels")
LABEL_COLUMNS = ("label", "labels", "emotion")
USAGE_COLUMNS = ("usage", "split")
ROWS_AT_ONCE = 64
MOST_ROWS, LARGEST_GROUP = 1 << 24, 1 << 30  # a group of FER2013's rows with pixels as numbers takes 660 million bytes
SPLIT_OF_USAGE = SPLIT_OF_FOLDER | {usage.lower(): split for split, usage in enumerate(USAGES)}


def find_parquet(data_root: Path) -> list[Path]:
    """The parquet files in a folder and in its sub-folders, sorted by path."""
    return sorted(path for pattern in ("*.parquet", "*/*.parquet") for path in data_root.glob(pattern))


def load_parquet(data_root: Path, files: Sequence[Path]) -> Splits:
    """All faces of the files, each split in the order of files and rows; cached in `data_root`.

    Raises InputError for a file that cannot be read and for a row that is no face with a known label and split.
    """
    states = [(path, path.stat()) for path in files]
    source = " ".join(f"{path.relative_to(data_root)} {state.st_size} {state.st_mtime_ns}" for path, state in states)
    digest = hashlib.sha256(source.encode("utf-8", "surrogateescape")).hexdigest()
    return cached_splits(data_root / CACHE_NAME, digest, lambda: read_files(files))


def read_files(files: Sequence[Path]) -> Splits:
    """Decode every row of every file."""
    named_by_usage = all(split_of_file(path) != SPLITS.index("val") for path in files)
    faces: list[np.ndarray] = []
    labels: list[int] = []
    splits: list[int] = []
    for path in tqdm(files, "reading parquet", unit=" files", delay=2, leave=False):
        for label, split, face in rows_of(path, named_by_usage):
            faces.append(face)
            labels.append(label)
            splits.append(split)
    if not faces:
        others = f" nor in {len(files) - 1} other parquet files" if len(files) > 1 else ""
        raise InputError(f"{files[0]}: there are no faces in it{others}")
    return by_split(faces, labels, splits)


def split_of_file(path: Path) -> int | None:
    """What the words of a file's name, or its folder's name, tell about the split of its rows."""
    words = [*re.split(r"[-_.]", path.name.lower()), path.parent.name.lower()]
    return next((SPLIT_OF_USAGE[word] for word in words if word in SPLIT_OF_USAGE), None)


def rows_of(path: Path, named_by_usage: bool) -> Iterator[tuple[int, int, np.ndarray]]:
    """Label, split and pixels, uint8 [2304], of each row. Raises InputError naming the first row that is wrong."""
    with read_errors(path):
        file, label_names = open_table(path)
    columns = {name.lower(): name for name in file.schema_arrow.names}
    face, label, usage = (
        next((columns[name] for name in names if name in columns), None)
        for names in (FACE_COLUMNS, LABEL_COLUMNS, USAGE_COLUMNS)
    )
    for found, names in ((face, FACE_COLUMNS), (label, LABEL_COLUMNS)):
        if found is None:
            raise InputError(f"{path}: no column {' or '.join(names)}, found {', '.join(columns)}")
    whole_file = split_of_file(path)
    if usage is None and whole_file is None:
        raise InputError(f"{path}: of which split are its faces? expected train, validation or test in the file's name")
    rows = cells_of(path, file, [name for name in (face, label, usage) if name])
    for number, (content, value, *usages) in enumerate(rows, start=1):
        split = usages[0] if usages else None
        where = f"{path}, row {number}"
        place = whole_file if usage is None else SPLIT_OF_USAGE.get(str(split).lower())
        if place is None:
            raise InputError(f"{where}: {usage} {shown_value(split)}, expected one of {', '.join(USAGES)}")
        if usage is None and named_by_usage and isinstance(content, dict):
            named = str(content.get("path") or "").split("/")[-1].split("_")[0]
            place = USAGES.index(named) if named in USAGES else place
        yield label_of(value, label_names, where), place, pixels_of(content, where)


def open_table(path: Path) -> tuple[Any, list[str]]:
    """The opened file, a pyarrow.parquet.ParquetFile, and the names that the hub's metadata give the labels (none:
    numbers are FER2013's). Raises InputError for one that says that it unpacks to more than memory should hold."""
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise InputError(f"{path}: reading parquet files needs pyarrow: pip install pyarrow") from error
    file = pyarrow.parquet.ParquetFile(path)
    groups = [file.metadata.row_group(number).total_byte_size for number in range(file.metadata.num_row_groups)]
    if file.metadata.num_rows > MOST_ROWS or max(groups, default=0) > LARGEST_GROUP:
        found = f"{file.metadata.num_rows} rows in groups of up to {max(groups, default=0)} bytes"
        raise InputError(f"{path}: {found}, expected at most {MOST_ROWS} rows, {LARGEST_GROUP} bytes a group")
    features = (
        json.loads((file.schema_arrow.metadata or {}).get(b"huggingface", b"{}")).get("info", {}).get("features", {})
    )
    names = next((features[name].get("names") for name in LABEL_COLUMNS if name in features), None)
    return file, [str(name).lower() for name in names or []]


def cells_of(path: Path, file: Any, columns: list[str]) -> Iterator[tuple[Any, ...]]:
    """The cells of these columns, row by row; few rows are unpacked at a time, for a large value may be repeated by a
    few bytes."""
    with read_errors(path):
        for batch in file.iter_batches(ROWS_AT_ONCE, columns=columns):
            table = batch.to_pandas(ignore_metadata=True)
            yield from zip(*(table[name] for name in columns), strict=True)


@contextmanager
def read_errors(path: Path) -> Iterator[None]:
    """Within it, what a damaged file raises, which is nearly anything, becomes an InputError."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{path}: not a readable parquet file: truncated, damaged, or of another format") from error


def label_of(value: Any, names: Sequence[str], where: str) -> int:
    """The label of a number, or of an emotion's name."""
    word = str(value).lower()
    if 0 <= (place := whole_number(word)) < len(names):
        word = names[place]
    label = LABEL_OF_FOLDER.get(word, whole_number(word))
    if not 0 <= label <= 6:
        raise InputError(f"{where}: label {shown_value(value)}, expected a whole number from 0 to 6 or an emotion")
    return label


def whole_number(word: str) -> int:
    """The number that a word of a few digits is; -1 for another word."""
    return int(word) if word.isascii() and word.isdigit() and len(word) < 10 else -1


def pixels_of(content: Any, where: str) -> np.ndarray:
    """One face, uint8 [2304], of an encoded image, of pixels in text or of a list of them."""
    if isinstance(content, dict):
        content = content.get("bytes")
    if isinstance(content, bytes):
        return read_face(Path(where), content).ravel()
    if isinstance(content, str):
        return decode_alone(content.encode(), where)
    try:
        pixels = np.stack([np.asarray(row) for row in content]).ravel()
    except (TypeError, ValueError):
        pixels = np.empty(0)
    if len(pixels) != PIXELS or pixels.dtype.kind not in "iu" or pixels.min() < 0 or pixels.max() > 255:
        raise InputError(f"{where}: no face, expected an image or {PIXELS} whole numbers from 0 to 255")
    return pixels.astype(np.uint8)


def shown_value(value: Any) -> str:
    """A cell as an error message quotes it."""
    return shown(str(value).encode()) if isinstance(value, str | int | float | np.generic) else type(value).__name__
