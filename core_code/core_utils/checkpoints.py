"""Where a run's checkpoints lie and what they hold."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core_code.core_utils.errors import InputError
from core_code.core_utils.files import load_weights, save_weights

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
        method = "byol_" if self.byol else ""
        return Path(self.folder) / f"ckpt_{method}{self.name}_{self.experiment}_{kind}.pth"

    def save(self, kind: str, state: dict[str, Any]) -> Path:
        """Write a checkpoint with all of KEYS, whole or not at all."""
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
