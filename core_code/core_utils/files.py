"""The one writer: a file appears whole under its name, or not at all. And readers that fail in one line."""

import json
import os
import pickle
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from core_code.core_utils.errors import InputError


def write_whole(path: Path, write: Callable[[BinaryIO], Any], durable: bool = True) -> None:
    """Let `write` fill a temporary file beside `path`, then rename it onto `path`.

    Whoever reads `path` sees the old file or the new one, never a part, even after kill -9. With `durable`
    the bytes are flushed to the disk before the rename, so that a power cut cannot leave an empty file either;
    turn it off only for files that are many and cheap to make again.

    Raises InputError when the folder cannot be made or the file cannot be written (no space, no permission).
    """
    path = Path(path)
    make_folder(path.parent)
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from error
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException as error:
        Path(name).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise InputError(f"{path}: cannot be written ({error.strerror or error})") from error
        raise


def make_folder(path: Path) -> Path:
    """Make the folder and its parents; raise InputError when the name is taken by something else."""
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise InputError(f"{path}: is a file, expected a folder") from error
    except NotADirectoryError as error:
        raise InputError(f"{path}: a part of this path is a file, expected folders") from error
    except OSError as error:
        raise InputError(f"{path}: the folder cannot be made ({error.strerror})") from error
    return path


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, whole or not at all."""
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    write_whole(path, lambda file: file.write(text.encode()))


def append_line(path: Path, line: str) -> None:
    """Add one line to a text file that only grows, such as a log."""
    make_folder(Path(path).parent)
    try:
        with open(path, "a", encoding="utf-8") as file:
            file.write(line + "\n")
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from error


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object. Raises InputError when it is missing, damaged or not an object."""
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except (OSError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read as JSON ({str(error).splitlines()[0]})") from error
    if not isinstance(value, dict):
        raise InputError(f"{path}: expected a JSON object, found {type(value).__name__}")
    return value


def save_weights(path: Path, value: dict[str, Any]) -> None:
    """torch.save, whole or not at all."""
    import torch

    write_whole(path, lambda file: torch.save(value, file))


def load_weights(path: Path, what: str) -> dict[str, Any]:
    """torch.load of a dict onto the CPU with `weights_only=True`: tensors and plain values, no code is run.

    `what` names the thing in the error ("generator", "checkpoint"). Raises InputError when the file is missing,
    truncated, holds other objects, or is not a dict.
    """
    import torch

    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such {what}")
    try:
        value = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, ValueError, KeyError, AttributeError, IndexError, TypeError,
            AssertionError, OverflowError, MemoryError, ImportError, UnicodeDecodeError,
            pickle.UnpicklingError, zipfile.BadZipFile) as error:  # fmt: skip
        raise InputError(
            f"{path}: not a readable {what}: truncated, damaged, or holding more than tensors "
            f"(expected a file of torch.save with a dict of tensors)"
        ) from error
    if not isinstance(value, dict):
        raise InputError(f"{path}: not a {what}: expected a dict of tensors, found {type(value).__name__}")
    return value
