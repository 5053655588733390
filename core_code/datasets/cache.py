"""Arrays in one file that is mapped into memory, and written again when their source has changed."""

import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np

from core_code.core_utils.errors import InputError
from core_code.core_utils.files import atomic_write, remove_stale_files

FORMAT = "arrays 1"  # part of every header; a new number makes every old cache be written anew
HEADER_BYTES = 512

Layout = Mapping[str, tuple[type, tuple[int, ...]]]  # of each array: its dtype, and the shape of one item
Arrays = dict[str, np.ndarray]
Pieces = Callable[[], Iterator[np.ndarray]]  # an array that is computed piece by piece, each time that it is called


def load_or_make(
    path: Path, source: str, layout: Layout, make: Callable[[], Mapping[str, np.ndarray | Pieces]]
) -> Arrays:
    """The arrays cached in `path`, mapped into memory; or those of `make()`, which are then cached.

    The file is a header of JSON, filled up with spaces to HEADER_BYTES, then the arrays in the order of `layout`.
    `source` identifies the state of the source of the arrays; a cache of another source, or a damaged one, is
    replaced. Where it cannot be written, the arrays are used from memory. Raises what `make` and its pieces do.
    """
    arrays = map_arrays(path, source, layout)
    if arrays is not None:
        return arrays
    made = make()
    remove_stale_files(path.parent, path.name)
    try:
        # not flushed to the disk: what a power cut damages, the checksum tells
        atomic_write(path, lambda file: write_arrays(file, source, layout, made), durable=False)
    except InputError as error:
        if not isinstance(error.__cause__, OSError):  # an error of `made`, not of the disk
            raise
    # a read-only folder costs time at every start, and nothing else
    return map_arrays(path, source, layout) or {
        name: np.concatenate([np.empty((0, *item), dtype), *pieces_of(made[name])])
        for name, (dtype, item) in layout.items()
    }


def pieces_of(array: np.ndarray | Pieces) -> Iterable[np.ndarray]:
    """The array in pieces, of which one that is computed already has but one."""
    return [array] if isinstance(array, np.ndarray) else array()


def write_arrays(file: BinaryIO, source: str, layout: Layout, arrays: Mapping[str, np.ndarray | Pieces]) -> None:
    """Write the arrays, then the header before them."""
    file.write(bytes(HEADER_BYTES))
    lengths, checksum = dict.fromkeys(layout, 0), 0
    for name in layout:
        for piece in pieces_of(arrays[name]):
            file.write(piece.data)
            lengths[name] += len(piece)
            checksum = zlib.crc32(piece.data, checksum)
    checksum = zlib.crc32(json.dumps(lengths).encode(), checksum)
    header = {"format": FORMAT, "source": source, "lengths": lengths, "checksum": checksum}
    file.seek(0)
    file.write(json.dumps(header).encode().ljust(HEADER_BYTES))


def map_arrays(path: Path, source: str, layout: Layout) -> Arrays | None:
    """Map the cached arrays; None when there is no file, when it is of another source, truncated or damaged.

    The mapping is copy-on-write: writing to the arrays changes this process's memory, never the file.
    """
    try:
        if not path.is_file():  # a pipe would be waited for
            return None
        with open(path, "rb") as file:
            header = json.loads(file.read(HEADER_BYTES))
        lengths = header["lengths"]
        if (header["format"], header["source"], list(lengths)) != (FORMAT, source, list(layout)):
            return None
        # a plain view of the mapping: slices of np.memmap carry its bookkeeping along
        content = np.memmap(path, dtype=np.uint8, mode="c").view(np.ndarray)[HEADER_BYTES:]
        if zlib.crc32(json.dumps(lengths).encode(), zlib.crc32(content.data)) != header["checksum"]:
            return None
        arrays, start = {}, 0
        for name, (dtype, item) in layout.items():
            stop = start + lengths[name] * np.dtype((dtype, item)).itemsize
            arrays[name] = content[start:stop].view(dtype).reshape(lengths[name], *item)
            start = stop
        return arrays if start == len(content) else None
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
