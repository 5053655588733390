"""A run's log: logs/training_<timestamp>.log."""

from datetime import datetime
from pathlib import Path
from typing import Any

from core_code.core_utils.errors import InputError
from core_code.core_utils.files import make_folder


class TrainingLog:
    """A text file that gets a line at a time, each on disk as soon as it is written.

    Named after the moment it was opened; a second run in the same second gets a number behind it.
    Raises InputError when the folder cannot be written to.
    """

    def __init__(self, folder: Path) -> None:
        make_folder(folder)
        stem = f"training_{datetime.now():%Y-%m-%d_%H-%M-%S}"
        number = 0
        while True:
            self.path = Path(folder) / f"{stem}{f'_{number}' if number else ''}.log"
            try:
                self.file = open(self.path, "x", encoding="utf-8")  # noqa: SIM115 (open as long as the run)
                return
            except FileExistsError:
                number += 1
            except OSError as error:
                raise InputError(f"{self.path}: cannot be written ({error.strerror})") from error

    def line(self, text: str) -> None:
        """Add a line (or several)."""
        self.file.write(text + "\n")
        self.file.flush()

    def parameters(self, values: dict[str, Any]) -> None:
        """Add a line for each setting."""
        self.line("\n".join(f"{name}: {value}" for name, value in values.items()))
