"""A run's log: logs/training_<timestamp>.log."""

import os
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

from core_code.core_utils.distributed.job import is_main_process
from core_code.core_utils.errors import InputError
from core_code.core_utils.files import append_line, make_folder


class TrainingLog:
    """A text file that gets a line at a time, each on disk as soon as it is written.

    Named after the moment it was made; a second run in the same second gets a number behind it. Of several
    processes the main one alone has a log; what the others write is dropped.
    Raises InputError when the folder cannot be written to.
    """

    def __init__(self, folder: Path) -> None:
        self.path = Path(os.devnull)
        if not is_main_process():
            return
        stem = f"training_{datetime.now():%Y-%m-%d_%H-%M-%S}"
        for number in count():
            self.path = make_folder(folder) / f"{stem}{f'_{number}' if number else ''}.log"
            try:
                self.path.touch(exist_ok=False)
                return
            except FileExistsError:
                continue
            except OSError as error:
                raise InputError(f"{self.path}: cannot be written ({error.strerror})") from error

    def line(self, text: str) -> None:
        """Add a line (or several). Raises InputError when the disk takes no more."""
        append_line(self.path, text)

    def parameters(self, values: dict[str, Any]) -> None:
        """Add a line for each setting."""
        self.line("\n".join(f"{name}: {value}" for name, value in values.items()))
