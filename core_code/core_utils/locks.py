"""One writer at a time in a folder."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core_code.core_utils.errors import InputError
from core_code.core_utils.files import make_folder

LOCK_NAME = ".lock"


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; the system gives it back however the process ends, kill -9 included.

    Makes the folder where it is missing. Raises InputError when another process holds the lock, or when the
    folder cannot be written.
    """
    path = make_folder(folder) / LOCK_NAME
    try:
        file = open(path, "a")  # noqa: SIM115 (the with below closes it)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(f"{folder}: another run is writing here; wait for it, or use another folder") from error
        yield
