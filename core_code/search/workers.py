"""Several processes on one study, on this machine."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import connection
from multiprocessing.context import SpawnProcess

import optuna
from tqdm import tqdm

from core_code.core_utils.errors import InputError
from core_code.core_utils.logs import TrainingLog
from core_code.core_utils.signals import catch_signals
from core_code.search.files import StudyFiles
from core_code.search.results import describe_trial, is_counted
from core_code.search.study import fail_abandoned
from core_code.training.loop import log_message

POLL_S = 2.0
PATIENCE_S = 60


def run_workers(
    count: int, work: Callable[[], None], study: optuna.Study, files: StudyFiles, n_trials: int, log: TrainingLog
) -> None:
    """Start `count` processes that call `work`, log their trials as they end, and wait for all processes.

    However this ends, no worker is left and the .pkl is on disk. Raises InputError when all workers failed.
    """
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=work, daemon=True) for _ in range(count)]
    with catch_signals():
        try:
            with quiet_children():
                for worker in workers:
                    worker.start()
            watch(workers, study, n_trials, log)
        finally:
            stop(workers)
            fail_abandoned(study, files.folder)
            files.write(study)
    broken = [worker.exitcode for worker in workers if worker.exitcode != 0]
    if broken:
        log_message(f"{len(broken)} of {count} workers failed (exit status {', '.join(map(str, broken))})", log)
    if len(broken) == count:
        raise InputError(f"all {count} workers failed; {files.results} has the trials that were finished by then")


@contextmanager
def quiet_children() -> Iterator[None]:
    """Processes that start within it show no progress bars, and ignore Ctrl-C: this process ends them."""
    before, bars = signal.signal(signal.SIGINT, signal.SIG_IGN), os.environ.get("TQDM_DISABLE")
    os.environ["TQDM_DISABLE"] = "1"
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if bars is None:
            del os.environ["TQDM_DISABLE"]
        else:
            os.environ["TQDM_DISABLE"] = bars


def watch(workers: Sequence[SpawnProcess], study: optuna.Study, n_trials: int, log: TrainingLog) -> None:
    """Until the last worker has ended: a log line for each trial that ends, and a bar of those that count."""
    before = study.get_trials(deepcopy=False)
    logged = {trial.number for trial in before if trial.state.is_finished()}
    with tqdm(total=n_trials, initial=sum(map(is_counted, before)), desc="study", unit=" trials") as bar:
        alive = list(workers)
        while alive:
            connection.wait([worker.sentinel for worker in alive], POLL_S)
            alive = [worker for worker in workers if worker.is_alive()]
            trials = study.get_trials(deepcopy=False)
            for trial in trials:
                if trial.state.is_finished() and trial.number not in logged:
                    logged.add(trial.number)
                    log_message(describe_trial(study, trial), log)
            bar.n = sum(map(is_counted, trials))
            bar.refresh()


def stop(workers: Sequence[SpawnProcess]) -> None:
    """End the workers that still run; each marks its trial as interrupted."""
    started = [worker for worker in workers if worker.pid]
    for worker in started:
        worker.terminate()
    for worker in started:
        worker.join(PATIENCE_S)
        if worker.is_alive():
            worker.kill()
            worker.join()
