"""The Optuna study: what is searched, what a trial is, which trials count, and what becomes of those that fail.

T. Akiba et al., "Optuna: A Next-generation Hyperparameter Optimization Framework", 2019,
https://arxiv.org/abs/1907.10902. Searched by TPE (J. Bergstra et al., "Algorithms for Hyper-Parameter
Optimization", 2011); a trial whose best figure so far is worse than the median of the others' at the same epoch is
pruned.
"""

import gc
import math
import multiprocessing
import os
import socket
import time
import traceback
import warnings
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import torch
from optuna.trial import BaseTrial, FrozenTrial, Trial, TrialState

from core_code.core_utils.errors import InputError
from core_code.core_utils.interrupts import catch_sigterm
from core_code.core_utils.locks import wait_for_lock
from core_code.core_utils.logs import TrainingLog
from core_code.models.architectures import ARCHITECTURES, BYOL_STUDY_BATCH_SIZES
from core_code.search.files import StudyFiles
from core_code.search.results import FAILURE, describe_trial, describe_values, is_counted
from core_code.training.loop import Record, Task, best_epoch, log_message, run_epochs

PROCESS = "process"
Values = dict[str, Any]
Objective = Callable[[Trial], float]


@dataclass(frozen=True)
class Budget:
    """When a study ends: after `trials` that count, or when `deadline` (as time.time() tells it) has passed.

    A trial that has begun by then is finished.
    """

    trials: int
    deadline: float


def batch_sizes(net_name: str, byol: bool) -> tuple[int, ...]:
    """The batch sizes to choose from."""
    return BYOL_STUDY_BATCH_SIZES if byol else ARCHITECTURES[net_name].study_batch_sizes


def suggest(trial: BaseTrial, sizes: Sequence[int]) -> Values:
    """A point of the search space, named as train_model.py names its flags."""
    return {
        "batch_size": trial.suggest_categorical("batch_size", list(sizes)),
        "lr": trial.suggest_float("lr", 1e-5, 1e-2, log=True),
        "weight_decay": trial.suggest_float("weight_decay", 0.0, 1e-4),
        "optimizer": trial.suggest_categorical("optimizer", ["adam", "sgd"]),
        "scheduler": trial.suggest_categorical("scheduler", ["step", "cosine"]),
    }


def make_sampler(seed: int, number: int) -> optuna.samplers.BaseSampler:
    """The TPE sampler of one trial. What it draws depends on the seed, the trial's number and the trials before it.

    So a study that goes on draws what an unbroken one draws, and no two workers draw the same. Values are drawn one
    by one: with `multivariate` some would be drawn before the trial has its number.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(
            seed=zlib.crc32(f"{seed} {number} trial".encode()), multivariate=False, constant_liar=True
        )


def make_objective(
    make_task: Callable[[Values], Task], sizes: Sequence[int], epochs: int, log: TrainingLog | None = None
) -> Objective:
    """What a trial does: train the task that its values make, for `epochs`; the figure of its best epoch."""

    def objective(trial: Trial) -> float:
        values = suggest(trial, sizes)
        log_message(f"trial {trial.number}: {describe_values(values)}", log)
        task = make_task(values)

        def after_epoch(record: Record) -> None:
            parent = multiprocessing.parent_process()
            if parent and not parent.is_alive():
                raise KeyboardInterrupt
            trial.report(record[task.best_by], record["epoch"])
            if record["epoch"] < epochs and trial.should_prune():
                raise optuna.TrialPruned

        history = run_epochs(task, epochs, {}, log=log, after_epoch=after_epoch)
        best = history[best_epoch(history, task) - 1]
        check_figures(best, task.best_by)
        trial.set_user_attr("best_epoch", best["epoch"])
        return best[task.best_by]

    return objective


def check_figures(best: Record, best_by: str) -> None:
    """Raise InputError where the figure is not a number, or is BYOL's perfect loss of a collapsed representation."""
    if not math.isfinite(best[best_by]):
        raise InputError(f"{best_by} is {best[best_by]} in all epochs, expected a finite number")
    spreads = {name: value for name, value in best.items() if name.endswith("_spread")}
    if spreads:
        from core_code.training.byol import COLLAPSED

        for name, value in spreads.items():
            if not value >= COLLAPSED:
                raise InputError(f"the representation has collapsed: {name} {value:.4f}, expected {COLLAPSED} or more")


def run_trials(
    study: optuna.Study, files: StudyFiles, objective: Objective, budget: Budget, seed: int,
    log: TrainingLog | None = None,
) -> None:  # fmt: skip
    """Run trials in this process, after each of them with the .pkl on disk, until the budget is spent.

    A KeyboardInterrupt (interrupts.Terminated for SIGTERM) leaves the trial that it met failed and not counted.
    """
    with catch_sigterm():
        while trial := begin_trial(study, files.folder, budget, seed):
            run_trial(study, trial, objective, log)
            log_message(describe_trial(study, study.get_trials(deepcopy=False)[trial.number]), log)
            files.write(study)


def begin_trial(study: optuna.Study, folder: Path, budget: Budget, seed: int) -> Trial | None:
    """A new trial, or None when the budget is spent. Trials that run on this machine count; those elsewhere cannot
    be told from dead ones, so that machines which share a study may end it with a trial too many each."""
    with wait_for_lock(folder):
        trials = study.get_trials(deepcopy=False)
        taken = sum(is_counted(trial) or runs_here(trial) for trial in trials)
        if taken >= budget.trials or time.time() >= budget.deadline:
            return None
        trial = study.ask()
        trial.set_user_attr(PROCESS, f"{socket.gethostname()} {os.getpid()}")
    study.sampler = make_sampler(seed, trial.number)
    return trial


def run_trial(study: optuna.Study, trial: Trial, objective: Objective, log: TrainingLog | None = None) -> None:
    """Run one trial and record how it ended. Only an interruption is raised on."""
    state, value = TrialState.FAIL, None
    try:
        value = objective(trial)
        state = TrialState.COMPLETE
    except optuna.TrialPruned:
        state = TrialState.PRUNED
    except KeyboardInterrupt:
        study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)
        raise
    except Exception as error:
        trial.set_user_attr(FAILURE, reason_of(error))
        if log:
            log.line(traceback.format_exc())
    study.tell(trial, value, state, skip_if_finished=True)
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def reason_of(error: Exception) -> str:
    """What went wrong in a trial, one line."""
    first = " ".join(str(error).split("\n")[0].split())[:300]
    return first if isinstance(error, InputError) else f"{type(error).__name__}: {first}"


def runs_here(trial: FrozenTrial) -> bool:
    """Whether a living process of this machine, other than this one, is at the trial."""
    host, process = process_of(trial)
    return host == socket.gethostname() and process != os.getpid() and is_alive(process)


def process_of(trial: FrozenTrial) -> tuple[str, int]:
    """The machine and the process that a trial runs in; ("", 0) for one that does not run."""
    if trial.state != TrialState.RUNNING:
        return "", 0
    host, _, process = trial.user_attrs.get(PROCESS, " 0").rpartition(" ")
    return host, int(process)


def is_alive(process: int) -> bool:
    """Whether a process of this machine lives."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def fail_abandoned(study: optuna.Study, folder: Path) -> list[int]:
    """Mark as failed, and not counted, the trials of this machine whose process is gone (kill -9, a power cut).

    Returns their numbers. Other machines' trials are theirs to mark; unfinished, they are not counted either.
    """
    with wait_for_lock(folder):
        abandoned = [
            trial.number
            for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
            if process_of(trial)[0] == socket.gethostname() and not runs_here(trial)
        ]
        for number in abandoned:
            study.tell(number, state=TrialState.FAIL, skip_if_finished=True)
    return abandoned
