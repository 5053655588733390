"""A training's history on disk: JSON lines, an epoch each, as plain numbers."""

import json
from collections.abc import Sequence
from pathlib import Path

from core_code.core_utils.errors import InputError
from core_code.core_utils.files import atomic_write, read_whole


def history_path(logs: Path, name: str, experiment: str, byol: bool = False) -> Path:
    """<logs>/history_[byol_]<net>_<experiment>.jsonl."""
    return Path(logs) / f"history_{'byol_' if byol else ''}{name}_{experiment}.jsonl"


def write_history(path: Path, history: Sequence[dict[str, float]]) -> None:
    """Write all epochs so far, whole or not at all: a line each, such as {"epoch": 1, "loss": 1.5}."""
    lines = "".join(json.dumps(record) + "\n" for record in history)
    atomic_write(path, lambda file: file.write(lines.encode()))


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
        values = record.values() if isinstance(record, dict) else [None]
        if not all(type(value) in (int, float) for value in values) or record.get("epoch") != number:
            raise InputError(f"{path}, line {number}: expected the figures of epoch {number} as a JSON object")
        history.append(record)
    return history
