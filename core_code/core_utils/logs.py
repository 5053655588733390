"""A run's log: logs/training_<timestamp>.log."""

import os
from datetime import datetime
from pathlib import Path
from typing import Any

from core_code.core_utils.distributed.job import is_main_process
from core_code.core_utils.errors import InputError
from core_code.core_utils.files import make_folder


class TrainingLog:
    """A text file that gets a line at a time, each on disk as soon as it is written.

    Named after the moment it was opened; a second run in the same second gets a number behind it. Of several
    processes the main one alone has a log; what the others write is dropped.
    Raises InputError when the folder cannot be written to.
    """

    def __init__(self, folder: Path) -> None:
        if not is_main_process():
            self.path = Path(os.devnull)
            self.file = open(self.path, "wb", buffering=0)  # noqa: SIM115
            return
        make_folder(folder)
        stem = f"training_{datetime.now():%Y-%m-%d_%H-%M-%S}"
        number = 0
        while True:
            self.path = Path(folder) / f"{stem}{f'_{number}' if number else ''}.log"
            try:
                # unbuffered: a line that the disk refused must not be tried again, and fail, when the program ends
                self.file = open(self.path, "xb", buffering=0)  # noqa: SIM115 (open as long as the run)
                return
            except FileExistsError:
                number += 1
            except OSError as error:
                raise InputError(f"{self.path}: cannot be written ({error.strerror})") from error

    def line(self, text: str) -> None:
        """Add a line (or several). Raises InputError when the disk takes no more."""
        left = text.encode(errors="backslashreplace") + b"\n"
        try:
            while left:
                left = left[self.file.write(left) :]
        except OSError as error:
            raise InputError(f"{self.path}: cannot be written ({error.strerror})") from error

    def parameters(self, values: dict[str, Any]) -> None:
        """Add a line for each setting."""
        self.line("\n".join(f"{name}: {value}" for name, value in values.items()))
