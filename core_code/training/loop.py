"""The one loop that owns the epoch bookkeeping: progress bar, log line, checkpoints, resume, interruption.

In a job of several processes all run it side by side; the main process alone writes files and messages. What happens
in an epoch is a Task's: see classifier.py and byol.py.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from tqdm import tqdm

from core_code.core_utils.checkpoints import BEST, FINAL, LAST, CheckpointFiles, best_epoch, load_net
from core_code.core_utils.distributed.job import barrier, check_same, is_main_process, rank
from core_code.core_utils.ema import WeightEMA
from core_code.core_utils.errors import InputError
from core_code.core_utils.logs import TrainingLog, history_path, write_history
from core_code.core_utils.seeding import seed_for
from core_code.core_utils.signals import catch_signals, exit_with_message
from core_code.core_utils.weights import load_optimizer
from core_code.training.settings import FINE_TUNE_CHANGED, IMAGES_KEY, with_current_names
from core_code.training.synthetic_norms import saved_net, whole_net

CHECK_EVERY = 10
STATUS_EVERY = 100
Record = dict[str, float]


class Task(Protocol):
    """What the loop trains. `best_by` is the measured figure that decides which epoch is the best one."""

    optimizer: torch.optim.Optimizer
    scheduler: torch.optim.lr_scheduler.LRScheduler | None
    seed: int
    faces_per_epoch: int
    best_by: str
    higher_is_better: bool
    ema: WeightEMA | None  # of the net's weights: what is measured and kept, where there is one

    @property
    def net(self) -> nn.Module:
        """What learns, on its device."""

    def steps(self, epoch: int) -> Iterator[tuple[Tensor, int]]:
        """Train for one epoch; after each step yield its loss (a scalar on any device) and how many faces it saw.

        Both are of the whole batch, of which each of several processes computes its shard.
        """

    def measure(self) -> Record:
        """Figures after an epoch, `best_by` among them."""


def run_epochs(
    task: Task, epochs: int, settings: dict[str, Any], files: CheckpointFiles | None = None,
    log: TrainingLog | None = None, resume: bool = False, verbose: bool = False,
    after_epoch: Callable[[Record], None] | None = None,
) -> list[Record]:  # fmt: skip
    """Train from where the checkpoint ends (with `resume`) to `epochs`; return the history, a record an epoch.

    A record holds epoch, loss, what the task measures, lr and seconds. `settings` are plain values that decide the
    result; a checkpoint made with others is refused. Without `files` nothing is saved. With `verbose` every
    hundredth step is logged. `after_epoch` sees each record and may raise to stop.

    Raises InputError for a checkpoint that does not fit and for a loss that is not finite. An interruption is
    raised again with a message of what is saved: KeyboardInterrupt for SIGINT, SystemExit(143) for SIGTERM. Without
    `files` it is raised as it is, for the caller's exit handler (signals.Terminated for SIGTERM).
    """
    history = load_progress(task, files, settings) if resume and files else []
    check_same(len(history), "epochs in the last checkpoint")
    saved = len(history)
    save_history(files, log, history)
    with catch_signals():
        try:
            for epoch in range(len(history) + 1, epochs + 1):
                start = time.perf_counter()
                lr = task.optimizer.param_groups[0]["lr"]
                loss = train_one_epoch(task, epoch, epochs, files, log if verbose else None)
                record = {"epoch": epoch, "loss": loss, **task.measure(), "lr": lr}
                record["seconds"] = time.perf_counter() - start
                if task.scheduler:
                    task.scheduler.step()
                history.append(record)
                log_message(describe(record, epochs), log)
                if files:
                    save_progress(task, files, settings, history)
                    save_history(files, log, history)
                    saved = epoch
                if after_epoch:
                    after_epoch(record)
        except KeyboardInterrupt as interrupt:
            if files is None:
                raise
            end_interrupted(interrupt, files, saved, epochs, log)
    if files:
        files.save(FINAL, checkpoint(task, settings, history))
        barrier()  # the main process's files are there for all
    return history


def train_one_epoch(
    task: Task, epoch: int, epochs: int, files: CheckpointFiles | None, log: TrainingLog | None
) -> float:
    """One epoch with its progress bar; returns the mean loss of a face. Raises InputError when it is not finite."""
    # dropout masks must differ between processes, which see different faces
    torch.manual_seed(seed_for(task.seed, epoch, f"net{rank() or ''}"))
    task.net.train()
    total, faces = torch.zeros(()), 0
    with tqdm(total=task.faces_per_epoch, desc=f"epoch {epoch}/{epochs}", unit=" faces", leave=False) as bar:
        for step, (loss, count) in enumerate(task.steps(epoch), start=1):
            total = total.to(loss.device) + loss.detach() * count
            faces += count
            bar.update(count)
            if step % CHECK_EVERY == 0:
                bar.set_postfix(loss=f"{finite(total, faces, epoch, files):.4f}")
            if log and step % STATUS_EVERY == 0:
                log.line(f"epoch {epoch}/{epochs} step {step} faces {faces} loss {total.item() / faces:.4f}")
    weights = torch.stack([parameter.detach().sum() for parameter in task.net.parameters()]).sum()
    finite(weights, 1, epoch, files, "the sum of the weights")
    return finite(total, faces, epoch, files)


def finite(total: Tensor, count: int, epoch: int, files: CheckpointFiles | None, what: str = "the loss") -> float:
    """`total` / `count`. Raises InputError, naming the last good checkpoint, when it is not a finite number."""
    value = total.item() / max(count, 1)
    if math.isfinite(value):
        return value
    saved = f"the last good checkpoint is {files.path(LAST)}" if files and epoch > 1 else "nothing is saved yet"
    raise InputError(f"{what} became {value} in epoch {epoch}, expected a finite number; {saved}; try a lower --lr")


def checkpoint(task: Task, settings: dict[str, Any], history: list[Record]) -> dict[str, Any]:
    """What a checkpoint holds, beside the names that CheckpointFiles adds.

    `net` is the weights' moving average where there is one, and `unaveraged_net` what training goes on from.
    """
    averaged = {"unaveraged_net": task.net.state_dict(), "ema_steps": task.ema.steps} if task.ema else {}
    return {
        **saved_net((task.ema or task).net),
        **averaged,
        "epoch": len(history),
        "optimizer": task.optimizer.state_dict(),
        "scheduler": task.scheduler.state_dict() if task.scheduler else None,
        "loss": history[-1]["loss"],
        "seed": task.seed,
        "history": list(history),
        "settings": settings,
    }


def save_progress(task: Task, files: CheckpointFiles, settings: dict[str, Any], history: list[Record]) -> None:
    """Write the checkpoint of the epoch just finished; where it is the best one so far, that one first.

    Interrupted between the two, the epoch is trained again and is the best one again.
    """
    state = checkpoint(task, settings, history)
    if best_epoch(history, task.best_by, task.higher_is_better) == len(history):
        files.save(BEST, state)
    files.save(LAST, state)


def save_history(files: CheckpointFiles | None, log: TrainingLog | None, history: list[Record]) -> None:
    """Write the history beside the log, where there is one; a resumed run goes on from that in the checkpoint."""
    if files and log and is_main_process():
        write_history(history_path(log.path.parent, files.name, files.experiment, files.byol), history)


def load_progress(task: Task, files: CheckpointFiles, settings: dict[str, Any]) -> list[Record]:
    """Put the task where its last checkpoint ends; an empty history where there is none.

    Raises InputError when the checkpoint was made with other settings or does not fit the net.
    """
    path = files.path(LAST)
    if not path.exists():
        log_message(f"nothing to resume: {path} is not there; starting with epoch 1")
        return []
    state = files.load(LAST, "optimizer", "history", "settings")
    made_with = with_current_names(state["settings"], files.byol)
    images = [key for key in made_with if key.startswith(IMAGES_KEY)]  # fewer of an earlier version's
    expected = dict.fromkeys(images) | settings
    for key, value in expected.items():
        if images and key.startswith(IMAGES_KEY) and key not in images:
            continue
        if made_with.get(key) != value:
            if key == "training_data":  # two checksums would tell nobody anything
                raise InputError(f"{path}: made with other training faces: resume with the same --dataset, --data_root "
                                 f"and --max_faces, or start anew without --resume")  # fmt: skip
            changed = FINE_TUNE_CHANGED if key == "trained" and "fine_tune" in state["settings"] else ""
            raise InputError(
                f"{path}: made with {key} {made_with.get(key)}, expected {value}: resume with the same "
                f"settings, or start anew without --resume{changed}"
            )
    state["net"] = whole_net(state)
    if task.ema:
        load_net(task.ema.net, state, path)
        steps, net = state.get("ema_steps"), state.get("unaveraged_net")
        if type(steps) is not int or steps < 0 or not isinstance(net, dict):
            raise InputError(f"{path}: its ema_steps or its unaveraged_net are damaged: start anew without --resume")
        task.ema.steps, state["net"] = steps, net
    load_net(task.net, state, path)
    try:
        load_optimizer(task.optimizer, state["optimizer"])
    except ValueError as error:
        raise InputError(f"{path}: the optimizer's state does not fit ({error})") from error
    if task.scheduler:  # all else that it holds follows from the settings
        epochs, rates = state["epoch"], [group["lr"] for group in task.optimizer.param_groups]
        task.scheduler.load_state_dict({"last_epoch": epochs, "_step_count": epochs + 1, "_last_lr": rates})
    log_message(f"resumed: {path} has {state['epoch']} epochs")
    return list(state["history"])


def describe(record: Record, epochs: int) -> str:
    """A record as one line: accuracies in percent, time to the tenth of a second."""
    parts = [f"epoch {record['epoch']}/{epochs}"]
    for name, value in record.items():
        if name == "epoch":
            continue
        words = name.replace("_", " ")
        if name.endswith("accuracy"):
            parts.append(f"{words} {100 * value:.2f}%")
        elif name == "seconds":
            parts.append(f"time {value:.1f} s")
        else:
            parts.append(f"{words} {value:.3g}" if name == "lr" else f"{words} {value:.4f}")
    return "  ".join(parts)


def open_log(
    folder: Path, flags: Mapping[str, Any], task: Task, device: torch.device, dtype: torch.dtype
) -> TrainingLog:
    """A log that begins with the script's flags and the net; prints where it is."""
    log = TrainingLog(folder)
    log.parameters({**flags, "device": device, "dtype": dtype, "training_faces": task.faces_per_epoch})
    log.line(str(task.net))
    print(f"{flags['net_name']} on {task.faces_per_epoch} faces, {device} in {dtype}, log in {log.path}")
    return log


def log_message(text: str, log: TrainingLog | None = None) -> None:
    """Print a line, above a progress bar, and add it to the log."""
    tqdm.write(text)
    if log:
        log.line(text)


def end_interrupted(
    interrupt: KeyboardInterrupt, files: CheckpointFiles, saved: int, epochs: int, log: TrainingLog | None
) -> None:
    """Log what is saved and raise what ends the command with the shell's status for the signal."""
    if not is_main_process():
        raise interrupt
    message = f"{saved} of {epochs} epochs are saved"
    if saved:
        message += f" in {files.path(LAST)}; the same command with --resume True goes on from there"
    if log:
        log.line(f"interrupted: {message}")
    exit_with_message(interrupt, message)
