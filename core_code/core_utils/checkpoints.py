"""Where a run's checkpoints lie and what they hold."""

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core_code.core_utils.choices import LARGEST_VIEW
from core_code.core_utils.distributed.job import is_main_process
from core_code.core_utils.errors import InputError, shown
from core_code.core_utils.files import load_weights, save_weights
from core_code.core_utils.locks import exclusive_lock

if TYPE_CHECKING:
    from torch import nn

BEST = "best_validation"
LAST = "last_trained_epoch"
FINAL = "final_checkpoint"
KINDS = (BEST, LAST, FINAL)

# What a checkpoint of this program has, and of which type. `net` and `optimizer` are state dicts, `epoch` the number
# of finished epochs, `loss` the last one's training loss, `name` the architecture, `experiment` the run's name,
# `history` a dict of figures for each epoch, `settings` what the run was started with.
TYPES = {"name": str, "experiment": str, "net": dict, "epoch": int, "optimizer": dict, "loss": float,
         "scheduler": dict, "seed": int, "history": list, "settings": dict}  # fmt: skip
PUBLISHED_KEYS = ("net", "epoch", "optimizer", "loss", "name", "experiment")  # all that the published program saved
# What is plotted and compared of each epoch, beside its number.
FIGURES = ("loss", "seconds", "validation_accuracy")
BYOL_FIGURES = ("loss", "seconds", "validation_loss", "feature_std", "projection_std")
OLD_FIGURES = {"feature_spread": "feature_std", "projection_spread": "projection_std"}  # in files of earlier versions
PLAIN = (str, int, float, bool, type(None))


@dataclass(frozen=True)
class CheckpointFiles:
    """The three checkpoints of one net and experiment: ckpt_[byol_]<net>_<experiment>_<kind>.pth."""

    folder: Path
    name: str
    experiment: str
    byol: bool = False

    def path(self, kind: str) -> Path:
        """The file of a kind in KINDS."""
        return Path(self.folder) / f"{self.stem}_{kind}.pth"

    @property
    def stem(self) -> str:
        """What the three names begin with."""
        return f"ckpt_{'byol_' if self.byol else ''}{self.name}_{self.experiment}"

    def exclusive_run(self) -> AbstractContextManager[None]:
        """Within it this run alone trains this net and experiment. Raises InputError where another one does."""
        if not is_main_process():
            return nullcontext()
        return exclusive_lock(self.folder, f".{self.stem}.lock", "give another --exp_name or --output_root")

    def save(self, kind: str, state: dict[str, Any]) -> Path:
        """Write a checkpoint with all of TYPES, whole or not at all; of several processes the main one alone does."""
        if not is_main_process():
            return self.path(kind)
        save_weights(self.path(kind), {**state, "name": self.name, "experiment": self.experiment})
        return self.path(kind)

    def load(self, kind: str, *used: str) -> dict[str, Any]:
        """Read a checkpoint onto the CPU, of which net, epoch and what is named in `used` will be used.

        Raises InputError as read_checkpoint does, and when it is another net's or experiment's.
        """
        path = self.path(kind)
        state = read_checkpoint(path, *used, name=self.name, experiment=self.experiment)
        if "history" in used:
            state["history"] = checked_history(state, BYOL_FIGURES if self.byol else FIGURES, path)
        return state


def read_checkpoint(path: Path, *used: str, **expected: str) -> dict[str, Any]:
    """Read a checkpoint onto the CPU: name, experiment, net, epoch and what is named in `used` are of their types.

    A checkpoint of the published program has PUBLISHED_KEYS alone; it gets empty settings, and its name and experiment
    (which may be None) are not compared. Raises InputError when it is missing, damaged, no checkpoint, lacks what is
    used, or is one of another name than is `expected`.
    """
    from core_code.core_utils.weights import unwrapped

    state = load_weights(path, "checkpoint")
    published = state.keys() <= {*PUBLISHED_KEYS}
    for key in PUBLISHED_KEYS if published else TYPES:
        if key not in state:
            raise InputError(f"{path}: not a training checkpoint: {key!r} is missing")
    if published:
        state["settings"], expected = {}, {}
    for key in used:
        if key not in state:
            raise InputError(f"{path}: a checkpoint of the published program, which has no {key}: it can be evaluated, "
                             f"and its weights can be started from, but no training can go on from it")  # fmt: skip
    for key in ("name", "experiment", "net", "epoch", *used):
        value, kind = state[key], TYPES[key]
        if published and value is None and key in ("name", "experiment"):
            continue  # of BYOL
        if not isinstance(value, kind) or (kind is int and abs(state[key]) >= 1 << 63):
            wanted = "int of 64 bits" if kind is int else kind.__name__
            raise InputError(f"{path}: its {key} is of type {type(value).__name__}, expected {wanted}")
        if key in expected and value != expected[key]:
            raise InputError(f"{path}: a checkpoint of {key} {shown(value)}, expected {shown(expected[key])}")
    if "settings" in used:
        check_settings(state["settings"], path)
    state["net"] = unwrapped(state["net"])
    return state


def check_settings(settings: dict[Any, Any], path: Path) -> None:
    """Raise InputError unless these are plain values by name, and what rebuilds the net makes sense."""
    plain = all(isinstance(name, str) and isinstance(value, PLAIN) for name, value in settings.items())
    if not plain or any(isinstance(value, int) and abs(value) >= 1 << 64 for value in settings.values()):
        raise InputError(f"{path}: its settings hold more than plain values")
    size, weights = settings.get("image_size", 1), settings.get("weights", "none")
    if type(size) is not int or not 1 <= size <= LARGEST_VIEW:
        raise InputError(f"{path}: its image_size is {shown(size)}, expected a whole number from 1 to {LARGEST_VIEW}")
    if not isinstance(weights, str):
        raise InputError(f"{path}: its weights are {shown(weights)}, expected a text")


def checked_history(state: dict[str, Any], figures: tuple[str, ...], path: Path) -> list[dict[str, float]]:
    """A checkpoint's history under the names of today; InputError unless it has these figures of each epoch."""
    history: list[Any] = [
        {OLD_FIGURES.get(name, name): value for name, value in record.items()} if isinstance(record, dict) else record
        for record in state["history"]
    ]
    if not history or len(history) != state["epoch"]:
        raise InputError(f"{path}: its history is of {len(history)} epochs, its epoch {state['epoch']}")
    for epoch, record in enumerate(history, start=1):
        types = {name: type(value) for name, value in record.items()} if isinstance(record, dict) else {}
        if types.pop("epoch", None) is not int or record["epoch"] != epoch:
            raise InputError(f"{path}: its history has something else in place of epoch {epoch}")
        plain = {*types.values()} == {float} and {*map(type, types)} == {str}
        if not types.keys() >= {*figures} or not plain or record["seconds"] <= 0:
            raise InputError(f"{path}: its history lacks figures of epoch {epoch}, expected {', '.join(figures)}")
    return history


def best_epoch(history: Sequence[dict[str, float]], key: str, higher_is_better: bool) -> int:
    """The number of the first epoch whose figure `key` is the best; one that is not finite is worse than any other."""
    sign = 1 if higher_is_better else -1
    figures = [sign * record[key] if math.isfinite(record[key]) else -math.inf for record in history]
    return figures.index(max(figures)) + 1


def load_net(net: "nn.Module", state: dict[str, Any], path: Path) -> None:
    """Load a checkpoint's `net`, in 8 bits too, into a module, strictly; raise InputError when it is of another
    architecture."""
    from core_code.core_utils.weights import dequantised, state_dict_mismatch, with_counters

    own = net.state_dict()
    weights = with_counters(dequantised(state["net"], own), own)
    if wrong := state_dict_mismatch(weights, own):
        raise InputError(f"{path}: the weights are not of this net ({wrong[:200]})")
    net.load_state_dict(weights)
