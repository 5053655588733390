"""The results of a study: counts, tables of its trials, the best values, and the command that trains with them."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from core_code.core_utils import flags
from core_code.core_utils.errors import InputError
from core_code.core_utils.tables import as_markdown
from core_code.search.files import is_plain, read_study, settings_of
from core_code.training.next_command import next_command
from core_code.training.recipes import PUBLISHED

FAILURE = "failure"
BEST_SHOWN = 10


def one_of(*names: str) -> Callable[[str], str]:
    """The one that a text begins with, as "CosineAnnealingLR" with cosine."""

    def choose(value: str) -> str:
        if chosen := [name for name in names if value.lower().startswith(name)]:
            return chosen[0]
        raise argparse.ArgumentTypeError(f"expected {' or '.join(names)}, found {value!r}")

    return choose


VALUES: dict[str, Callable[[str], Any]] = {
    "batch_size": flags.count, "lr": flags.positive, "weight_decay": flags.non_negative,
    "optimizer": one_of("adam", "sgd"), "scheduler": one_of("step", "cosine"),
}  # fmt: skip
OTHER_NAMES = {"lr": "learning_rate", "scheduler": "lr_scheduler"}  # in studies of other programs


def is_counted(trial: FrozenTrial) -> bool:
    """Whether the trial counts towards --n_trials: complete, pruned, or failed for a reason of its own.

    One that was interrupted or killed has no such reason.
    """
    if trial.state == TrialState.FAIL:
        return FAILURE in trial.user_attrs
    return trial.state.is_finished()


def rounded(value: Any) -> Any:
    """A float with three significant digits; anything else as it is."""
    return float(f"{value:.3g}") if isinstance(value, float) else value


def describe_trial(study: optuna.Study, trial: FrozenTrial) -> str:
    """How a trial ended, one line."""
    seconds = f"{trial.duration.total_seconds():.0f} s" if trial.duration else ""
    value = trial.value or 0.0
    figure = f"{value:.4f}" if settings_of(study)["byol"] else f"{100 * value:.2f}%"
    if trial.state == TrialState.COMPLETE:
        what = f"{figure} in epoch {trial.user_attrs.get('best_epoch', '?')}"
    elif trial.state == TrialState.PRUNED:
        what = f"pruned after epoch {trial.last_step}"
    elif trial.state == TrialState.FAIL:
        what = f"failed: {trial.user_attrs.get(FAILURE, 'interrupted')}"
    else:
        what = "running"
    return f"trial {trial.number}: {what}  {seconds}".rstrip()


def describe_counts(study: optuna.Study) -> str:
    """How many trials there are of each kind, one line."""
    kinds = [
        trial.state.name.lower() if trial.state != TrialState.FAIL else "failed" if is_counted(trial) else "interrupted"
        for trial in study.get_trials(deepcopy=False)
    ]
    shown = ("complete", "pruned", "failed", "interrupted", "running")
    return ", ".join(f"{kinds.count(kind)} {kind}" for kind in shown if kind in kinds) or "no trials yet"


def ranking(study: optuna.Study) -> list[FrozenTrial]:
    """The complete trials, the best first; of equals the earlier one."""
    sign = -1 if study.direction == StudyDirection.MAXIMIZE else 1
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return sorted(trials, key=lambda trial: (sign * (trial.value or 0.0), trial.number))


def trials_table(study: optuna.Study, trials: Sequence[FrozenTrial]) -> pd.DataFrame:
    """A row a trial: number, state, value (accuracy in [0,1] or loss), its epoch, the parameters, seconds."""
    value = "loss" if settings_of(study)["byol"] else "accuracy"
    rows = [
        {"trial": trial.number, "state": trial.state.name.lower(), value: trial.value,
         "epoch": epoch if isinstance(epoch := trial.user_attrs.get("best_epoch"), int) and is_plain(epoch) else None,
         **trial.params,
         "seconds": round(trial.duration.total_seconds(), 1) if trial.duration else None}
        for trial in trials
    ]  # fmt: skip
    table = pd.DataFrame(rows).astype({"epoch": "Int64"})
    return table[[name for name in table if name != "seconds"] + ["seconds"]]


def best_table(study: optuna.Study) -> str:
    """The ten best trials as Markdown; accuracy in percent."""
    table = trials_table(study, ranking(study)[:BEST_SHOWN]).drop(columns="state").dropna(axis="columns", how="all")
    if "accuracy" in table:
        table["accuracy"] = [f"{100 * value:.2f} %" for value in table["accuracy"]]
    return as_markdown(table.map(rounded))


def chosen_table(study: optuna.Study) -> str:
    """The hyper-parameters of the best trial as Markdown. Raises InputError."""
    values = best_values(study)
    names = [name for name in ("lr", "optimizer", "weight_decay", "scheduler", "batch_size") if name in values]
    row = {"net": settings_of(study)["net_name"], **{name.replace("_", " "): rounded(values[name]) for name in names}}
    return as_markdown(pd.DataFrame([row]))


def best_values(study: optuna.Study) -> dict[str, Any]:
    """Those of batch_size, lr, weight_decay, optimizer and scheduler that the best trial has, as flags take them.

    Raises InputError where no trial is complete, and for values that are none.
    """
    if not (best := ranking(study)):
        raise InputError(f"study {study.study_name}: no trial is complete ({describe_counts(study)})")
    params, values = best[0].params, {}
    for name, check in VALUES.items():
        given = params.get(name, params.get(OTHER_NAMES.get(name, name)))
        if given is not None:
            try:
                values[name] = check(str(given))
            except argparse.ArgumentTypeError as error:
                raise InputError(f"study {study.study_name}: {name} of its best trial: {error}") from error
    return values


def winner_command(study: optuna.Study) -> str:
    """The line that trains with the best trial's values, exact to the last digit. Raises InputError."""
    settings = settings_of(study)
    given: dict[str, Any] = {"net_name": settings["net_name"], "exp_name": settings["exp_name"], "fine_tune": True}
    if settings["byol"]:
        return next_command("train_byol_model.py", settings, **given, **best_values(study))
    if settings.get("weights") == "none":
        given["recipe"] = PUBLISHED  # every trial's, which is not the default for random weights
    return next_command("train_model.py", settings, **given, emotion_transform_prob=0, **best_values(study))


def read_complete(path: Path) -> optuna.Study:
    """The study of a .pkl that has a best trial with valid values. Raises InputError."""
    study = read_study(path)
    try:
        best_values(study)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return study


def read_best_values(path: Path, net_name: str) -> dict[str, Any]:
    """`best_values` of a classifier's study in a .pkl.

    Raises InputError for a bad file, for another net's study, and for one that has none of these values.
    """
    study = read_complete(path)
    settings = settings_of(study)
    if settings["byol"]:
        raise InputError(f"{path}: a study of BYOL pre-training, expected one of fine-tuning {net_name}")
    if settings["net_name"] != net_name:
        raise InputError(f"{path}: a study of {settings['net_name']}, expected one of {net_name}")
    values = best_values(study)
    if not values:
        raise InputError(f"{path}: its best trial has none of {', '.join(VALUES)}")
    return values
