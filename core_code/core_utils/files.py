"""Files that appear whole under their names or not at all, and readers that fail in one line."""

import errno
import glob
import json
import math
import os
import re
import secrets
import stat
import sys
import warnings
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, BinaryIO

from core_code.core_utils.errors import InputError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

LARGEST_TEXT = 1 << 28  # bytes
LONGEST_CUT = 1 << 20  # bytes of a line that was cut off


def check_writable(path: Path, inputs: Iterable[Path] = ()) -> None:
    """For commands to call before their long work: make the folder of a file to write. Raises InputError where that
    fails, where the folder may not be written to, where another folder stands in the file's place, and where the file
    is one of the `inputs`."""
    make_folder(path.parent)
    if path.is_dir():
        raise InputError(f"{path}: is a folder, expected a file to write")
    if not os.access(path.parent, os.W_OK):
        raise InputError(f"{path}: cannot be written ({os.strerror(errno.EACCES)})")
    if path.exists() and any(other.exists() and path.samefile(other) for other in inputs):
        raise InputError(f"{path}: would be written over, but it is an input")


def atomic_write(path: Path, write: Callable[[BinaryIO], Any], durable: bool = True) -> None:
    """Let `write` fill a temporary file beside `path`, then rename it onto `path`.

    Readers of `path` see the old file or the new one, never a part, even after kill -9. With `durable` the bytes are
    flushed to the disk before the rename, so that a power cut cannot leave an empty file either, and the temporary
    files of killed processes are removed; turn it off only for files that are many and cheap to make again, and call
    `remove_stale_files` once for them all.

    Raises InputError when the folder cannot be made or the file cannot be written (no space, no permission).
    """
    path = Path(path)
    make_folder(path.parent)
    if path.exists() and not path.is_file() and not path.is_dir():  # /dev/null would be no device any more
        raise InputError(f"{path}: a device or a pipe, expected the name of a file to write")
    if durable:
        remove_stale_files(path.parent, path.name)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")  # known before it is there, whatever interrupts
    try:
        with open_temporary(part) as file:
            write(file)
            file.flush()
            if durable:
                os.fsync(file.fileno())
            if fcntl:  # while it is locked, so that no other process takes it for a stale file
                os.replace(part, path)
        if not fcntl:  # Windows renames no open file
            os.replace(part, path)
    except BaseException as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        if cause := disk_error(error):
            raise InputError(f"{path}: cannot be written ({cause.strerror or cause})") from error
        raise


def open_temporary(part: Path) -> BinaryIO:
    """A new temporary file, open and locked for as long as it is open.

    The lock tells the file of a running process from the stale one of a killed process.
    """
    while True:
        file = open(part, "xb")  # noqa: SIM115  (the caller closes it)
        with suppress(OSError):  # a file system without locks: no process can take the file for a stale one there
            lock(file)
        if part.exists():
            return file
        file.close()  # removed as a stale file before it was locked


def remove_stale_files(folder: Path, name: str | None = None) -> None:
    """Remove the stale temporary files of killed processes in `folder`: of the file `name`, or all of them.

    Files that a process is writing at this moment stay, and so do those that cannot be removed, and others' files: a
    name must be one of atomic_write's, and no link is followed.
    """
    temporary = re.compile(rf"\.{re.escape(name) if name else '.+'}\.[0-9a-f]{{8}}\.part", re.DOTALL)
    for part in Path(folder).glob(f".{glob.escape(name) if name else '*'}.*.part"):
        if not temporary.fullmatch(part.name) or not stat.S_ISREG(part.lstat().st_mode):
            continue
        with suppress(OSError), open(part, "rb") as file:
            lock(file, wait=False)
            if fcntl:
                part.unlink()
        if not fcntl:  # Windows removes no open file: neither this process's nor one that another is writing
            with suppress(OSError):
                part.unlink()


def lock(file: IO[Any], wait: bool = True) -> None:
    """Lock a file for this process until it is closed; where the system has no fcntl (Windows) nothing is locked.

    Raises BlockingIOError when another process holds the lock and this one shall not `wait`.
    """
    if fcntl:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))


def disk_error(error: BaseException) -> OSError | None:
    """The disk's error, also where torch.save raised a RuntimeError of its own because of it."""
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
    """Write `value` as indented JSON, whole or not at all; names that are no UTF-8 as JSON's escapes, and null for NaN
    and the infinities, which JSON does not have."""
    text = json.dumps(finite(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    atomic_write(path, lambda file: file.write(text.encode(errors="backslashreplace")))


def finite(value: Any) -> Any:
    """Plain values with None for each float that is not finite."""
    if isinstance(value, dict):
        return {key: finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def append_line(path: Path, line: str) -> None:
    """Add one line to a text file that only grows, such as a log, whole or not at all."""
    make_folder(Path(path).parent)
    drop_cut_line(path)
    try:
        with open(path, "ab", buffering=0) as file:
            size, left = file.tell(), line.encode(errors="backslashreplace") + b"\n"
            try:
                while left:
                    left = left[file.write(left) :]
            except OSError:
                file.truncate(size)
                raise
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from error


def drop_cut_line(path: Path) -> None:
    """Cut off what stands behind the last line break of a file that grows by lines, which a full disk or a power cut
    leaves there, with a message on stderr."""
    if not os.path.isfile(path):
        return
    with open(path, "r+b") as file:
        file.seek(-min(LONGEST_CUT, os.path.getsize(path)), os.SEEK_END)
        start, tail = file.tell(), file.read()
        whole = tail.rfind(b"\n") + 1
        if whole < len(tail) and (whole or not start):
            print(f"{path}: its last line was cut off in the middle, and is dropped", file=sys.stderr)
            file.truncate(start + whole)


def read_whole(path: Path) -> bytes:
    """The content of a file of settings, records or a log. Raises InputError for a device, a pipe (which may never end)
    and what is too large for any of these, OSError for what cannot be read."""
    state = os.stat(path)
    if not stat.S_ISREG(state.st_mode) and not stat.S_ISDIR(state.st_mode):
        raise InputError(f"{path}: a device or a pipe, expected a file")
    if state.st_size > LARGEST_TEXT:
        raise InputError(f"{path}: {state.st_size} bytes, expected a file of at most {LARGEST_TEXT}")
    return Path(path).read_bytes()


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object. Raises InputError when it is missing, damaged or not an object."""
    try:
        value = json.loads(read_whole(path).decode("utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
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

    if not Path(path).is_file():
        raise InputError(f"{path}: no such {what}")
    try:
        file = open(path, "rb")  # noqa: SIM115  (closed below)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    try:
        with file, warnings.catch_warnings(action="ignore"):
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
