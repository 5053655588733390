"""A run's log, logs/training_<timestamp>.log, and its history beside it: JSON lines, an epoch each."""

import json
import os
from collections.abc import Sequence
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

from core_code.core_utils.distributed.job import is_main_process
from core_code.core_utils.errors import InputError
from core_code.core_utils.files import append_line, atomic_write, make_folder, read_whole


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


def history_path(logs: Path, name: str, experiment: str, byol: bool = False) -> Path:
    """<logs>/history_[byol_]<net>_<experiment>.jsonl."""
    return Path(logs) / f"history_{'byol_' if byol else ''}{name}_{experiment}.jsonl"


def write_history(path: Path, history: Sequence[dict[str, float]]) -> None:
    """Write all epochs so far, whole or not at all: a line each, such as {"epoch": 1, "loss": 1.5}."""
    lines = "".join(json.dumps(record) + "\n" for record in history)
    atomic_write(path, lambda file: file.write(lines.encode()))


def is_figure(value: object) -> bool:
    """Whether it is a number, and no whole one that is too large for a float."""
    return type(value) is float or (type(value) is int and abs(value) < 1 << 64)


def read_history(path: Path) -> list[dict[str, float]]:
    """The records of write_history. Raises InputError, with the line, for a file that is missing or holds others."""
    try:
        lines = read_whole(path).decode("utf-8").splitlines()
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such history") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as text, expected JSON lines") from error
    history = []
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            record = None
        figures = isinstance(record, dict) and all(map(is_figure, record.values()))
        if not figures or record.get("epoch") != number:
            raise InputError(f"{path}, line {number}: expected the figures of epoch {number} as a JSON object")
        history.append(record)
    return history
