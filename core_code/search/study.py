"""Running a study: which trials count, when it ends, what becomes of trials that fail, and how it is resumed.

T. Akiba et al., "Optuna: A Next-generation Hyperparameter Optimization Framework", 2019,
https://arxiv.org/abs/1907.10902.
"""

import gc
import itertools
import os
import socket
import time
import traceback
from pathlib import Path

import optuna
import torch
from optuna.trial import FrozenTrial, Trial, TrialState

from core_code.core_utils.errors import InputError
from core_code.core_utils.locks import exclusive_lock
from core_code.core_utils.logs import TrainingLog
from core_code.core_utils.signals import catch_signals
from core_code.search.files import StudyFiles
from core_code.search.objective import Objective
from core_code.search.results import FAILURE, describe_trial, is_counted
from core_code.search.space import make_sampler
from core_code.training.loop import log_message

PROCESS, SAMPLE = "process", "sample"  # attributes of a trial


def run_trials(
    study: optuna.Study, files: StudyFiles, objective: Objective, n_trials: int, deadline: float, seed: int,
    log: TrainingLog | None = None,
) -> None:  # fmt: skip
    """Run trials in this process, writing the .pkl after each, until `n_trials` count; none begins after `deadline`, of
    time.time().

    A KeyboardInterrupt (signals.Terminated for SIGTERM) leaves the running trial failed and not counted.
    """
    with catch_signals():
        while trial := begin_trial(study, files.folder, n_trials, deadline, seed):
            run_trial(study, trial, objective, log)
            log_message(describe_trial(study, study.get_trials(deepcopy=False)[trial.number]), log)
            files.write(study)


def begin_trial(study: optuna.Study, folder: Path, n_trials: int, deadline: float, seed: int) -> Trial | None:
    """A new trial, or None when there are enough or it is too late. Trials that run on this machine count; those
    elsewhere cannot be told from dead ones, so that machines which share a study may each run one trial too many."""
    with exclusive_lock(folder, wait=True):
        trials = study.get_trials(deepcopy=False)
        taken = sum(is_counted(trial) or runs_here(trial) for trial in trials)
        if taken >= n_trials or time.time() >= deadline:
            return None
        in_use = {sample_of(trial) for trial in trials if is_counted(trial) or trial.state == TrialState.RUNNING}
        sample = next(number for number in itertools.count() if number not in in_use)
        trial = study.ask()
        trial.set_user_attr(SAMPLE, sample)
        process = os.getpid()
        trial.set_user_attr(PROCESS, f"{socket.gethostname()} {process} {start_of(process)}".rstrip())
    study.sampler = make_sampler(seed, sample)
    return trial


def sample_of(trial: FrozenTrial) -> int:
    """Which sample of the search space the trial is, from 0: its number, but for interrupted trials before it, whose
    samples are taken again."""
    sample = trial.user_attrs.get(SAMPLE)
    return sample if isinstance(sample, int) else trial.number


def run_trial(study: optuna.Study, trial: Trial, objective: Objective, log: TrainingLog | None = None) -> None:
    """Run one trial and record how it ended. Raises nothing but interruptions."""
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
        reason = " ".join(str(error).split("\n")[0].split())[:300]
        trial.set_user_attr(FAILURE, reason if isinstance(error, InputError) else f"{type(error).__name__}: {reason}")
        if log:
            log.line(traceback.format_exc())
    study.tell(trial, value, state, skip_if_finished=True)
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def process_here(trial: FrozenTrial) -> int:
    """The process of this machine that runs the trial, alive or not; 0 for one that runs elsewhere or not at all."""
    host, process, *_ = *str(trial.user_attrs.get(PROCESS, "")).split(" "), ""
    here = trial.state == TrialState.RUNNING and host == socket.gethostname() and process.isdecimal()
    return int(process[:18]) if here else 0


def runs_here(trial: FrozenTrial) -> bool:
    """Whether a living process of this machine, other than this one, runs the trial. One that began at another moment
    has its number alone: the system gives those of dead processes again."""
    process = process_here(trial)
    if process in (0, os.getpid()):
        return False
    try:
        os.kill(process, 0)
    except (OSError, OverflowError) as error:
        if not isinstance(error, PermissionError):
            return False
    _, _, *began = trial.user_attrs[PROCESS].split(" ")
    return not began or began == [start_of(process)]


def start_of(process: int) -> str:
    """When a process of this machine began, in the system's ticks; nothing where the system (no Linux) does not say."""
    try:
        return Path(f"/proc/{process}/stat").read_text(errors="replace").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def fail_abandoned(study: optuna.Study, folder: Path) -> list[int]:
    """Mark as failed, and not counted, the trials of this machine whose process is gone (kill -9, a power cut).

    Returns their numbers. Other machines mark their own; until then those are not counted either.
    """
    with exclusive_lock(folder, wait=True):
        abandoned = [
            trial.number
            for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
            if process_here(trial) and not runs_here(trial)
        ]
        for number in abandoned:
            study.tell(number, state=TrialState.FAIL, skip_if_finished=True)
    return abandoned
