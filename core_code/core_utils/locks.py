"""Locks of folders: one run at a time writes there."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from core_code.core_utils.errors import InputError
from core_code.core_utils.files import lock, make_folder

LOCK_NAME = ".lock"


@contextmanager
def exclusive_lock(folder: Path, name: str = LOCK_NAME, instead: str = "use another folder") -> Iterator[None]:
    """Hold the folder's lock; the system releases it when the process ends, kill -9 included.

    Runs that write different files into one folder take locks of different `name`s. Makes the folder where it is
    missing. Raises InputError when another process holds the lock, with what to do `instead` of waiting, or when
    the folder cannot be written.
    """
    with open_lock(folder, name) as file:
        try:
            lock(file, wait=False)
        except BlockingIOError as error:
            raise InputError(f"{folder}: another run is writing here; wait for it, or {instead}") from error
        except OSError as error:
            raise without_locks(folder, error) from error
        yield


@contextmanager
def wait_for_lock(folder: Path) -> Iterator[None]:
    """Wait for the folder's lock and hold it: for short work that several processes of one job do in turn.

    Makes the folder where it is missing. Raises InputError when it cannot be written.
    """
    with open_lock(folder, LOCK_NAME) as file:
        try:
            lock(file)
        except OSError as error:
            raise without_locks(folder, error) from error
        yield


def open_lock(folder: Path, name: str) -> TextIO:
    """A lock file of the folder; closing it releases the lock."""
    path = make_folder(folder) / name
    if path.exists() and not path.is_file():
        raise InputError(f"{path}: no file, expected the lock of this program; remove it")
    try:
        return open(path, "a")
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from error


def without_locks(folder: Path, error: OSError) -> InputError:
    """What to say where the file system has no locks."""
    return InputError(f"{folder}: its file system has no locks ({error.strerror}), which keep two runs apart; take a "
                      f"folder on another one")  # fmt: skip
