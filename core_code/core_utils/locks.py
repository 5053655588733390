"""Locks of folders: one run at a time writes there."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core_code.core_utils.errors import InputError
from core_code.core_utils.files import lock, make_folder

LOCK_NAME = ".lock"


@contextmanager
def exclusive_lock(
    folder: Path, name: str = LOCK_NAME, instead: str = "use another folder", wait: bool = False
) -> Iterator[None]:
    """Hold the folder's lock; the system releases it when the process ends, kill -9 included.

    Runs that write different files into one folder take locks of different `name`s. Makes the folder where it is
    missing. Raises InputError when the folder cannot be written or has no locks, and, with what to do `instead`, when
    another process holds the lock and this one shall not `wait` for it.
    """
    path = make_folder(folder) / name
    if path.exists() and not path.is_file():
        raise InputError(f"{path}: no file, expected the lock of this program; remove it")
    try:
        file = open(path, "a")  # noqa: SIM115 (closed below)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from error
    with file:
        try:
            lock(file, wait)
        except BlockingIOError as error:
            raise InputError(f"{folder}: another run is writing here; wait for it, or {instead}") from error
        except OSError as error:
            raise InputError(f"{folder}: its file system has no locks ({error.strerror}), which keep two runs apart; "
                             f"take a folder on another one") from error  # fmt: skip
        yield
