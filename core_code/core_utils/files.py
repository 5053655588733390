"""The one writer: a file appears whole under its name, or not at all. And readers that fail in one line."""

import fcntl
import glob
import json
import os
import secrets
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from core_code.core_utils.errors import InputError


def atomic_write(path: Path, write: Callable[[BinaryIO], Any], durable: bool = True) -> None:
    """Let `write` fill a temporary file beside `path`, then rename it onto `path`.

    Whoever reads `path` sees the old file or the new one, never a part, even after kill -9. With `durable`
    the bytes are flushed to the disk before the rename, so that a power cut cannot leave an empty file either, and
    the temporary files of killed writers are removed; turn it off only for files that are many and cheap to make
    again, and call `remove_stale_files` once for them all.

    Raises InputError when the folder cannot be made or the file cannot be written (no space, no permission).
    """
    path = Path(path)
    make_folder(path.parent)
    if durable:
        remove_stale_files(path.parent, path.name)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")  # known before it is there, whatever interrupts
    try:
        with open_temporary(part) as file:
            write(file)
            file.flush()
            if durable:
                os.fsync(file.fileno())
            os.replace(part, path)
    except BaseException as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        if cause := disk_error(error):
            raise InputError(f"{path}: cannot be written ({cause.strerror or cause})") from error
        raise


def open_temporary(part: Path) -> BinaryIO:
    """A new temporary file, open and locked for as long as it is open.

    The lock tells the file of a living writer from one that a killed writer left behind.
    """
    while True:
        file = open(part, "xb")  # noqa: SIM115  (the caller closes it)
        with suppress(OSError):  # a file system without locks: nobody can take the file for a left-over there
            fcntl.flock(file, fcntl.LOCK_EX)
        if part.exists():
            return file
        file.close()  # taken for a left-over before it was locked


def remove_stale_files(folder: Path, name: str | None = None) -> None:
    """Remove the temporary files that killed writers have left in `folder`: of the file `name`, or all of them.

    Files that somebody is writing at this moment are let be, and so are those that cannot be removed.
    """
    for part in Path(folder).glob(f".{glob.escape(name) if name else '*'}.*.part"):
        with suppress(OSError), open(part, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            part.unlink()


def disk_error(error: BaseException) -> OSError | None:
    """The error of the disk that this is, or that torch's writer has covered with a RuntimeError of its own."""
    if isinstance(error, RuntimeError):
        error = error.__context__ or error
    return error if isinstance(error, OSError) else None


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
    atomic_write(path, lambda file: file.write(text.encode()))


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

    atomic_write(path, lambda file: torch.save(value, file))


def load_weights(path: Path, what: str) -> dict[str, Any]:
    """torch.load of a dict onto the CPU with `weights_only=True`: tensors and plain values, no code is run.

    `what` names the thing in the error ("generator", "checkpoint"). Raises InputError when the file is missing,
    truncated or changed since it was written, holds other objects, or is not a dict with texts as keys.
    """
    import torch

    from core_code.core_utils.weights import check_file

    if not os.path.isfile(path):
        raise InputError(f"{path}: no such {what}")
    try:
        with open(path, "rb") as file, warnings.catch_warnings(action="ignore"):
            check_file(file)
            file.seek(0)
            value = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged files raise nearly anything
        raise InputError(
            f"{path}: not a readable {what}: truncated, damaged, or holding more than tensors "
            f"(expected a file of torch.save with a dict of tensors)"
        ) from error
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise InputError(f"{path}: not a {what}: expected a dict of tensors by name, found {type(value).__name__}")
    return value
