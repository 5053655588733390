"""NumPy arrays in one .npz file, which is written whole or not at all and read without trusting it."""

import math
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from core_code.core_utils.errors import InputError
from core_code.core_utils.files import atomic_write


def write_npz(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """np.savez, whole or not at all. Raises InputError where it cannot be written."""
    atomic_write(path, lambda file: np.savez(file, **arrays))  # type: ignore[arg-type]


def read_npz(path: Path, what: str) -> dict[str, np.ndarray]:
    """All arrays of a file of np.savez; no objects, and no more bytes than the file has.

    `what` names the file in the error. Raises InputError for a file that is missing, damaged or something else.
    """
    if not os.path.isfile(path):
        raise InputError(f"{path}: no such {what}")
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > os.path.getsize(path):
                raise ValueError("compressed, or its entries overlap")
            for entry in archive.infolist():
                with archive.open(entry) as member:
                    if np.lib.format.read_magic(member) != (1, 0):
                        raise ValueError("of another version")
                    shape, _, dtype = np.lib.format.read_array_header_1_0(member)
                    if math.prod(shape) * dtype.itemsize > entry.file_size:
                        raise ValueError("an array that is larger than its entry")
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except Exception as error:  # damaged files raise nearly anything
        raise InputError(f"{path}: not a readable {what}: truncated, damaged, or no file of np.savez") from error
