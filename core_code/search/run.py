"""A whole search: open or resume the study, run its trials here or in workers, keep and report what was found."""

import os
import sys
from contextlib import suppress
from functools import partial
from typing import Any

import optuna
import torch

from core_code.core_utils.errors import run_command
from core_code.core_utils.logs import TrainingLog
from core_code.core_utils.signals import exit_with_message
from core_code.search.files import FOLDER, StudyFiles
from core_code.search.objective import MakeTask, SearchSettings, direction_of, make_objective, prepare
from core_code.search.report import report
from core_code.search.results import describe_counts
from core_code.search.space import batch_sizes
from core_code.search.storage import open_study, storage_errors, storage_url, without_password
from core_code.search.study import fail_abandoned, run_trials
from core_code.search.workers import run_workers


def run_search(settings: SearchSettings, parameters: dict[str, Any]) -> None:
    """Run trials until the budget is spent, and report. `parameters` are what the log begins with.

    Raises InputError.
    """
    make_task, study, files = set_up(settings)
    storage = storage_url(settings.storage, files)
    shown = without_password(storage)
    log = TrainingLog(settings.output_root / "logs")
    log.parameters({**parameters, "storage": shown})
    with storage_errors(storage):
        for number in fail_abandoned(study, files.folder):
            print(f"trial {number} was abandoned by a process that has ended: marked as failed, not counted")
        print(f"study {study.study_name} in {shown}: {describe_counts(study)}; log in {log.path}")
        try:
            if settings.workers > 1:
                run_workers(settings.workers, partial(work, settings), study, files, settings.n_trials, log)
            else:
                run_here(settings, make_task, study, files, log)
        except KeyboardInterrupt as interrupt:
            kept = f"{describe_counts(study)}; all finished trials are kept in {shown} and {files.write(study)}"
            log.line(f"interrupted: {kept}")
            exit_with_message(interrupt, f"{kept}; the same command goes on from there")
        print(f"study: {files.write(study)}")
    report(study, files.folder)


def set_up(settings: SearchSettings) -> tuple[MakeTask, optuna.Study, StudyFiles]:
    """What makes a trial's task, the study, and its files."""
    make_task, deciding = prepare(settings)
    files = StudyFiles(settings.output_root / FOLDER, settings.net_name, settings.exp_name)
    study = open_study(storage_url(settings.storage, files), files, direction_of(settings.byol), deciding)
    return make_task, study, files


def run_here(
    settings: SearchSettings, make_task: MakeTask, study: optuna.Study, files: StudyFiles, log: TrainingLog
) -> None:
    """Run trials in this process until the budget is spent."""
    objective = make_objective(make_task, batch_sizes(settings.net_name, settings.byol), settings.epochs, log)
    run_trials(study, files, objective, settings.n_trials, settings.deadline, settings.seed, log)


def work(settings: SearchSettings) -> None:
    """A worker process: trials until the budget is spent. It prints errors alone; the rest is in its log."""
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115 (as long as the process)
    torch.set_num_threads(max(1, torch.get_num_threads() // settings.workers))

    def run_alone() -> None:
        with suppress(KeyboardInterrupt):  # the process that started this one logs what is kept
            make_task, study, files = set_up(settings)
            log = TrainingLog(settings.output_root / "logs")
            with storage_errors(storage_url(settings.storage, files)):
                run_here(settings, make_task, study, files, log)

    run_command(run_alone)
