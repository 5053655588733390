"""Where a run's checkpoints lie and what they hold."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core_code.core_utils.distributed import is_writer
from core_code.core_utils.errors import InputError
from core_code.core_utils.files import load_weights, save_weights
from core_code.core_utils.locks import only_writer

if TYPE_CHECKING:
    from torch import nn

BEST = "best_validation"
LAST = "last_trained_epoch"
FINAL = "final_checkpoint"
KINDS = (BEST, LAST, FINAL)

# What a net must have to be a checkpoint of this program. `net` and `optimizer` are state dicts, `epoch` the number
# of finished epochs, `loss` the last one's training loss, `name` the architecture, `experiment` the run's name,
# `history` a dict of figures for each epoch, `settings` what the run was started with.
KEYS = ("net", "epoch", "optimizer", "loss", "name", "experiment", "scheduler", "seed", "history", "settings")


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

    def only_run(self) -> AbstractContextManager[None]:
        """Within it this run alone trains this net and experiment. Raises InputError where another one does."""
        if not is_writer():
            return nullcontext()
        return only_writer(self.folder, f".{self.stem}.lock", "give another --exp_name or --output_root")

    def save(self, kind: str, state: dict[str, Any]) -> Path:
        """Write a checkpoint with all of KEYS, whole or not at all; of several processes the writer alone does."""
        if not is_writer():
            return self.path(kind)
        missing = [key for key in KEYS if key not in {"name", "experiment"} and key not in state]
        assert not missing, f"a checkpoint lacks {missing}"
        save_weights(self.path(kind), {**state, "name": self.name, "experiment": self.experiment})
        return self.path(kind)

    def load(self, kind: str) -> dict[str, Any]:
        """Read a checkpoint onto the CPU.

        Raises InputError when it is missing, truncated, no checkpoint, or another net's or experiment's.
        """
        path = self.path(kind)
        state = load_weights(path, "checkpoint")
        for key in KEYS:
            if key not in state:
                raise InputError(f"{path}: not a training checkpoint: {key!r} is missing")
        for key, expected in (("name", self.name), ("experiment", self.experiment)):
            if state[key] != expected:
                raise InputError(f"{path}: a checkpoint of {key} {state[key]!r}, expected {expected!r}")
        return state


def load_net(net: "nn.Module", state: dict[str, Any], path: Path) -> None:
    """Load a checkpoint's `net` into a module, strictly; raise InputError when it is of another architecture."""
    try:
        net.load_state_dict(state["net"], strict=True)
    except (RuntimeError, TypeError, AttributeError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: the weights are not of this net ({reason})") from error
