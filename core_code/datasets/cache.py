"""A parsed data set on disk: one file, mapped into memory, made anew when its source has changed."""

import contextlib
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np

from core_code.core_utils.errors import InputError
from core_code.core_utils.files import atomic_write
from core_code.datasets.splits import PHASES, PIXELS, SIDE, Splits

FORMAT = "faces 1"  # part of every header; a new number makes every old cache be made anew
LONGEST_HEADER = 4096


def load_or_make(path: Path, source: str, make: Callable[[], Splits]) -> Splits:
    """The faces cached in `path`, mapped into memory; or `make()`, which is then cached.

    The file is a line of JSON, then a byte a label, then 2304 bytes a face. `source` tells one state of what
    was parsed from any other; a cache of another source, or a damaged one, is replaced. Where it cannot be
    written the faces are used from memory.
    """
    splits = open_cache(path, source)
    if splits is None:
        splits = make()
        # a read-only data folder costs time at every start, and nothing else
        with contextlib.suppress(InputError):
            atomic_write(path, lambda file: write_cache(file, source, splits))
            splits = open_cache(path, source) or splits
    return splits


def write_cache(file: BinaryIO, source: str, splits: Splits) -> None:
    """Write header, labels and faces."""
    header = {
        "format": FORMAT,
        "source": source,
        "counts": splits.counts,
        "checksum": zlib.crc32(splits.faces, zlib.crc32(splits.labels)),
    }
    file.write(json.dumps(header).encode() + b"\n")
    file.write(splits.labels.data)
    file.write(splits.faces.data)


def open_cache(path: Path, source: str) -> Splits | None:
    """Map the cache; None when there is none, when it is of another source, truncated or damaged.

    The mapping is copy-on-write: writing to the faces changes this process's memory, never the file.
    """
    try:
        with open(path, "rb") as file:
            header = json.loads(file.readline(LONGEST_HEADER))
            start = file.tell()
        if (header["format"], header["source"]) != (FORMAT, source):
            return None
        counts = tuple(int(count) for count in header["counts"])
        total = sum(counts)
        content = np.memmap(path, dtype=np.uint8, mode="c", offset=start, shape=(total * (1 + PIXELS),))
        sound = len(counts) == len(PHASES) and path.stat().st_size == start + len(content)
        if not sound or zlib.crc32(content) != header["checksum"]:
            return None
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
    # a plain view of the mapping: slices of np.memmap carry its bookkeeping along
    content = content.view(np.ndarray)
    return Splits(content[total:].reshape(total, SIDE, SIDE), content[:total], counts)
