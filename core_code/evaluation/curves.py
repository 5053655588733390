"""The curves of training runs, plotted again from their histories (JSON lines) or from logs, published ones too:
`python -m core_code.evaluate --from_log`."""

import argparse
import math
import re
from collections.abc import Sequence
from pathlib import Path

from core_code.core_utils.checkpoints import OLD_FIGURES
from core_code.core_utils.errors import InputError
from core_code.core_utils.files import read_whole
from core_code.core_utils.flags import run_name
from core_code.core_utils.logs import read_history
from core_code.core_utils.plots.training import plot_accuracies, plot_byol_losses, plot_losses
from core_code.models.architectures import ARCHITECTURES

Record = dict[str, float]
Run = tuple[str, str, bool]  # net, experiment, whether of BYOL

STAMP = re.compile(r"\S+ \S+,\d+ - INFO - ")  # before the lines of published logs
EPOCH = re.compile(r"epoch:? (?P<epoch>[0-9]{1,9})(/(?P<epochs>[0-9]{1,9}))?")
FIGURE = re.compile(r"(?P<words>[a-z]+( [a-z]+)*):? (?P<number>-?[0-9][0-9.e+-]*)(?P<unit>%| s| secs)?")
STATUS = re.compile(r"epoch \d+/\d+ step \d+ ")  # --verbose, within an epoch
RUN = re.compile(r"(?P<name>net_name|exp_name): (?P<value>.*)")
TRIAL = re.compile(r"n_trials: \d|.*\btrial \d", re.IGNORECASE)  # of optuna_study.py
NAMES = {"epoch_time": "seconds", "time": "seconds", "training_accuracy": "train_accuracy", **OLD_FIGURES}
CLASSIFIER = {"loss", "validation_accuracy"}
BYOL = {"loss", "validation_loss", "feature_std", "projection_std"}


class NoEpochsError(InputError):
    """A log or history without the epochs of one training run."""


def draw_logs(paths: Sequence[Path], folder: Path) -> list[Path]:
    """Plot the curves of every run in the logs and histories; returns the pictures' paths.

    A run that was resumed has several logs, given in order: an epoch of a later one replaces that epoch and all that
    followed. A history replaces the logs of its run. Files without epochs are passed over with a message, unless all
    are. Raises InputError naming the file and the line, before anything is plotted.
    """
    histories: dict[Run, list[Record]] = {}
    empty = []
    for path in sorted(map(Path, paths), key=lambda path: path.suffix == ".jsonl"):
        try:
            run, records = read_run(path) if path.suffix == ".jsonl" else read_log(path)
        except NoEpochsError as error:
            empty.append(str(error))
            continue
        earlier = [record for record in histories.get(run, []) if record["epoch"] < records[0]["epoch"]]
        histories[run] = [*earlier, *records]
    if not histories:
        raise InputError(empty[0] if len(empty) == 1 else f"none of {len(empty)} files has epochs; {empty[0]}")
    for message in empty:
        print(f"passed over: {message}")
    pictures = []
    for (net, experiment, byol), history in histories.items():
        if not byol:
            pictures += plot_accuracies(history, folder, net, experiment)
        plot = plot_byol_losses if byol else plot_losses
        pictures.append(plot(history, folder, net, experiment))
    return pictures


def read_run(path: Path) -> tuple[Run, list[Record]]:
    """The run and the records of history_[byol_]<net>_<exp>.jsonl. Raises InputError."""
    records = read_history(path)
    if not records:
        raise NoEpochsError(f"{path}: no finished epoch in it")
    (byol, *_) = [is_byol(record, f"{path}, line {record['epoch']}") for record in records]
    name = path.stem.removeprefix("history_").removeprefix("byol_" if byol else "")
    net = max((net for net in ARCHITECTURES if name.startswith(f"{net}_")), key=len, default=name.partition("_")[0])
    return (net, name[len(net) + 1 :] or "history", byol), records


def read_log(path: Path) -> tuple[Run, list[Record]]:
    """The run of a log, and a record for each finished epoch: epoch, loss, accuracies in [0,1], lr, seconds.

    A published log that names no net and experiment is called published and by its file's name. Raises InputError for a
    file that is missing or damaged, NoEpochsError for the log of another command.
    """
    try:
        lines = read_whole(path).decode("utf-8", errors="replace").splitlines()
    except OSError as error:
        raise InputError(f"{path}: no log that can be read ({error.strerror})") from error
    names: dict[str, str] = {}
    records: list[Record] = []
    for number, line in enumerate(lines, start=1):
        where = f"{path}, line {number}"
        stamp = STAMP.match(line)
        text = line[stamp.end() :] if stamp else line
        named = RUN.fullmatch(text)
        if TRIAL.match(text):
            raise NoEpochsError(f"{path}: the log of a study, with no finished epoch of a training run")
        if named and not records:
            try:
                names[named["name"]] = run_name(named["value"])  # it will be part of the pictures' names
            except argparse.ArgumentTypeError as error:
                raise InputError(f"{where}: {named['name']}: {error}") from error
        elif text.startswith("Epoch: " if stamp else "epoch ") and not STATUS.match(text):
            record = read_epoch(text, where)
            before = records[-1] if records else {**record, "epoch": record["epoch"] - 1}
            if record["epoch"] != before["epoch"] + 1 or is_byol(record) != is_byol(before):
                found = f"epoch {record['epoch']} after epoch {before['epoch']}, or other figures than there"
                raise InputError(f"{where}: {found}: expected the log of one training run")
            records.append(record)
            if stamp:
                names = {"net_name": "published", "exp_name": re.sub(r"[^\w-]", "_", path.stem)[:50], **names}
            if len(names) < 2:
                raise InputError(f"{where}: an epoch, expected lines 'net_name: ...' and 'exp_name: ...' above it")
    if not records:
        raise NoEpochsError(f"{path}: no finished epoch in its {len(lines)} lines, expected 'epoch 1/100  loss ...'")
    return (names["net_name"], names["exp_name"], is_byol(records[0])), records


def read_epoch(line: str, where: str) -> Record:
    """A line of a finished epoch as a record, to the digits that it was written with. Raises InputError.

    Today's is `epoch 1/9  loss 1.9  validation accuracy 30.00%  lr 0.0002  time 1.5 s`, a published one
    `Epoch: 1 | Loss: 1.9 | Validation accuracy: 30.000% | Epoch Time: 1.50 secs`.
    """
    head, *figures = re.split(r"  | \| ", line.lower().rstrip())
    epoch = EPOCH.fullmatch(head)
    try:
        if not epoch or not 1 <= int(epoch["epoch"]) <= int(epoch["epochs"] or epoch["epoch"]):
            raise ValueError(head)
        record = {"epoch": int(epoch["epoch"])} | dict(map(read_figure, figures))
    except ValueError as error:
        raise InputError(f"{where}: expected 'epoch 1/100  loss ...', found {str(error)[:60]!r}") from error
    is_byol(record, where)
    return record


def read_figure(text: str) -> tuple[str, float]:
    """`validation accuracy 52.52%` -> ("validation_accuracy", 0.5252). Raises ValueError."""
    parts = FIGURE.fullmatch(text)
    if not parts or parts["words"] == "epoch":
        raise ValueError(text)
    name, value = parts["words"].replace(" ", "_"), float(parts["number"])
    share = name.endswith("accuracy")
    if not math.isfinite(value) or (share and not (parts["unit"] == "%" and 0 <= value <= 100)):
        raise ValueError(text)
    return NAMES.get(name, name), value / 100 if share else value


def is_byol(record: Record, where: str = "") -> bool:
    """Whether an epoch has BYOL's figures. Raises InputError where it has a classifier's neither."""
    names = set(record)
    if not (names >= CLASSIFIER or names >= BYOL):
        raise InputError(f"{where}: expected a loss and a validation accuracy, or BYOL's figures, found {list(record)}")
    return names >= BYOL
