"""The curves of training runs, drawn again from nothing but their logs.

python -m core_code.evaluate --from_log logs/training_*.log
"""

import argparse
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from core_code.core_utils.checkpoints import OLD_FIGURES
from core_code.core_utils.errors import InputError
from core_code.core_utils.flags import run_name
from core_code.core_utils.plots.training import plot_accuracies, plot_byol_losses, plot_losses

Record = dict[str, float]

# What epochs.describe writes of a finished epoch; two spaces part the figures.
EPOCH = re.compile(r"epoch (?P<epoch>\d{1,9})/(?P<epochs>\d{1,9})  (?P<figures>.*)")
STATUS = re.compile(r"epoch \d+/\d+ step \d+ ")  # --verbose, within an epoch
FIGURE = re.compile(r"(?P<words>[a-z]+(?: [a-z]+)*) (?P<number>\S+?)(?P<unit>%| s)?")
RUN = re.compile(r"(?P<name>net_name|exp_name): (?P<value>.*)")
CLASSIFIER = {"loss", "validation_accuracy"}
BYOL = {"loss", "validation_loss", "feature_std", "projection_std"}


class Run(NamedTuple):
    """Whose epochs a log holds."""

    net_name: str
    exp_name: str
    byol: bool


def draw_logs(paths: Sequence[Path], folder: Path) -> list[Path]:
    """Draw the curves of every run in the logs, files in the order of their epochs; returns the pictures' paths.

    A run that was resumed is in several logs: an epoch of a later one takes the place of that epoch and of all that
    followed. Nothing is drawn when one log is bad. Raises InputError naming the file and the line.
    """
    histories: dict[Run, list[Record]] = {}
    for path in paths:
        run, records = read_log(path)
        earlier = [record for record in histories.get(run, []) if record["epoch"] < records[0]["epoch"]]
        histories[run] = [*earlier, *records]
    pictures = []
    for run, history in histories.items():
        if run.byol:
            pictures.append(plot_byol_losses(history, folder, run.net_name, run.exp_name))
        else:
            pictures += plot_accuracies(history, folder, run.net_name, run.exp_name)
            pictures.append(plot_losses(history, folder, run.net_name, run.exp_name))
    return pictures


def read_log(path: Path) -> tuple[Run, list[Record]]:
    """Whose log it is, and a record for each finished epoch: epoch, loss, accuracies in [0,1], lr, seconds.

    Raises InputError for a file that is missing or no log of one training run.
    """
    lines = read_lines(path)
    names: dict[str, str] = {}
    records: list[Record] = []
    for number, line in enumerate(lines, start=1):
        where = f"{path}, line {number}"
        said = RUN.fullmatch(line)
        if said and not records:
            names[said["name"]] = checked_name(said["value"], said["name"], where)
        elif line.startswith("epoch ") and not STATUS.match(line):
            records.append(read_epoch(line, where))
            check_order(records, where)
            if len(names) < 2:
                raise InputError(f"{where}: an epoch, expected lines 'net_name: ...' and 'exp_name: ...' above it")
    if not records:
        raise InputError(f"{path}: no finished epoch in its {len(lines)} lines, expected 'epoch 1/100  loss ...'")
    return Run(names["net_name"], names["exp_name"], set(records[0]) >= BYOL), records


def read_lines(path: Path) -> list[str]:
    """The lines of a text file. Raises InputError."""
    try:
        return Path(path).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such log") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}, line {line}: not text, expected a log of a training run") from error


def checked_name(value: str, name: str, where: str) -> str:
    """A name that will be part of the pictures' names. Raises InputError."""
    try:
        return run_name(value)
    except argparse.ArgumentTypeError as error:
        raise InputError(f"{where}: {name}: {error}") from error


def read_epoch(line: str, where: str) -> Record:
    """A line of epochs.describe as a record again, to the digits that it was written with."""
    parts = EPOCH.fullmatch(line)
    if not parts:
        raise InputError(f"{where}: expected 'epoch 1/100  loss ...', found {line[:60]!r}")
    record: Record = {"epoch": int(parts["epoch"])}
    if not 1 <= record["epoch"] <= int(parts["epochs"]):
        raise InputError(f"{where}: epoch {parts['epoch']} of {parts['epochs']}, expected one of them")
    for text in parts["figures"].rstrip().split("  "):
        name, value = read_figure(text, where)
        record[name] = value
    if not any(wanted <= set(record) for wanted in (CLASSIFIER, BYOL)):
        raise InputError(f"{where}: expected a loss and a validation accuracy (or BYOL's figures), found {line[:60]!r}")
    return record


def read_figure(text: str, where: str) -> tuple[str, float]:
    """`validation accuracy 52.52%` -> ("validation_accuracy", 0.5252); `time 40.0 s` -> ("seconds", 40.0)."""
    parts = FIGURE.fullmatch(text)
    try:
        value = float(parts["number"]) if parts else math.nan
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{where}: expected a name and a number, found {text[:60]!r}")
    if parts["unit"] == " s":
        return "seconds", value
    name = parts["words"].replace(" ", "_")
    name = OLD_FIGURES.get(name, name)
    if name.endswith("accuracy"):
        value /= 100
        if parts["unit"] != "%" or not 0 <= value <= 1:
            raise InputError(f"{where}: expected an accuracy from 0% to 100%, found {text[:60]!r}")
    return name, value


def check_order(records: list[Record], where: str) -> None:
    """Raise InputError unless the last epoch follows the one before it and has figures of the same kind."""
    if len(records) < 2:
        return
    before, last = records[-2:]
    if last["epoch"] != before["epoch"] + 1:
        raise InputError(
            f"{where}: epoch {last['epoch']} after epoch {before['epoch']}, expected the log of one training run"
        )
    if (set(last) >= BYOL) != (set(before) >= BYOL):
        raise InputError(f"{where}: other figures than in the epoch before, expected the log of one training run")
