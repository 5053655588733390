"""What a study has found: counts, the ten best trials, and the command that trains with the winner."""

import shlex
from pathlib import Path
from typing import Any

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from core_code.core_utils.errors import InputError
from core_code.search.files import read_study, settings_of

FAILURE = "failure"
BEST_SHOWN = 10
VALUES = ("batch_size", "lr", "weight_decay", "optimizer", "scheduler")
# The flags that the winner's command repeats where they differ from what the training scripts take by themselves.
REPEATED = {
    "dataset": "fer2013", "data_root": "data/fer2013", "weights": "imagenet", "image_size": 224,
    "augmentations_folder": "data/fer2013_augmentations",
}  # fmt: skip


def is_counted(trial: FrozenTrial) -> bool:
    """Whether the trial counts towards --n_trials: complete, pruned, or failed for a reason of its own.

    One that was interrupted or killed has no such reason.
    """
    if trial.state == TrialState.FAIL:
        return FAILURE in trial.user_attrs
    return trial.state.is_finished()


def figure(study: optuna.Study, value: float) -> str:
    """A trial's value as people read it: accuracy in percent, or BYOL's loss."""
    return f"{value:.4f}" if settings_of(study)["byol"] else f"{100 * value:.2f}%"


def describe_values(values: dict[str, Any]) -> str:
    """A point of the search space, one line."""
    texts = [f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}" for name, value in values.items()]
    return "  ".join(texts)


def describe_trial(study: optuna.Study, trial: FrozenTrial) -> str:
    """How a trial ended, one line."""
    seconds = f"{trial.duration.total_seconds():.0f} s" if trial.duration else ""
    if trial.state == TrialState.COMPLETE:
        what = f"{figure(study, trial.value)} in epoch {trial.user_attrs.get('best_epoch', '?')}"
    elif trial.state == TrialState.PRUNED:
        what = f"pruned after epoch {trial.last_step}"
    elif trial.state == TrialState.FAIL:
        what = f"failed: {trial.user_attrs.get(FAILURE, 'interrupted')}"
    else:
        what = "running"
    return f"trial {trial.number}: {what}  {seconds}".rstrip()


def describe_counts(study: optuna.Study) -> str:
    """How many trials there are of each kind, one line."""
    trials = study.get_trials(deepcopy=False)
    kinds = {
        "complete": sum(trial.state == TrialState.COMPLETE for trial in trials),
        "pruned": sum(trial.state == TrialState.PRUNED for trial in trials),
        "failed": sum(trial.state == TrialState.FAIL and is_counted(trial) for trial in trials),
        "interrupted": sum(trial.state == TrialState.FAIL and not is_counted(trial) for trial in trials),
        "running": sum(trial.state == TrialState.RUNNING for trial in trials),
    }
    return ", ".join(f"{number} {kind}" for kind, number in kinds.items() if number) or "no trials yet"


def ranking(study: optuna.Study) -> list[FrozenTrial]:
    """The complete trials, the best first; of equals the earlier one."""
    sign = -1 if study.direction == StudyDirection.MAXIMIZE else 1
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return sorted(trials, key=lambda trial: (sign * trial.value, trial.number))


def as_table(study: optuna.Study) -> str:
    """The ten best trials, a line each."""
    head = ["trial", "loss" if settings_of(study)["byol"] else "accuracy", "epoch", *VALUES, "seconds"]
    rows = [head]
    for trial in ranking(study)[:BEST_SHOWN]:
        values = [trial.params.get(name, "") for name in VALUES]
        seconds = f"{trial.duration.total_seconds():.0f}" if trial.duration else ""
        numbers = [str(trial.number), figure(study, trial.value), str(trial.user_attrs.get("best_epoch", ""))]
        texts = [f"{value:.3g}" if isinstance(value, float) else str(value) for value in values]
        rows.append([*numbers, *texts, seconds])
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def best_values(study: optuna.Study) -> dict[str, Any]:
    """The best trial's batch_size, lr, weight_decay, optimizer and scheduler. Raises InputError where there is none."""
    best = ranking(study)
    if not best:
        raise InputError(f"study {study.study_name}: no trial is complete ({describe_counts(study)})")
    missing = [name for name in VALUES if name not in best[0].params]
    if missing:
        raise InputError(f"study {study.study_name}: its best trial has no {missing[0]}")
    return {name: best[0].params[name] for name in VALUES}


def winner_command(study: optuna.Study) -> str:
    """The line that trains with the best trial's values, exact to the last digit. Raises InputError."""
    settings = settings_of(study)
    flags: dict[str, Any] = {"net_name": settings["net_name"], "exp_name": settings["exp_name"]}
    flags |= {"fine_tune": True} if settings["byol"] else {"fine_tune": True, "emotion_transform_prob": 0}
    flags |= best_values(study)
    flags |= {name: settings[name] for name, usual in REPEATED.items() if settings.get(name, usual) != usual}
    script = "train_byol_model.py" if settings["byol"] else "train_model.py"
    return shlex.join(["python", script, *(str(text) for name in flags for text in (f"--{name}", flags[name]))])


def read_complete(path: Path) -> optuna.Study:
    """The study of a .pkl that has a winner. Raises InputError."""
    study = read_study(path)
    try:
        best_values(study)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return study


def read_best_values(path: Path, net_name: str) -> dict[str, Any]:
    """`best_values` of a classifier's study in a .pkl. Raises InputError for a bad file and for another net's study."""
    study = read_complete(path)
    settings = settings_of(study)
    if settings["byol"]:
        raise InputError(f"{path}: a study of BYOL pre-training, expected one of fine-tuning {net_name}")
    if settings["net_name"] != net_name:
        raise InputError(f"{path}: a study of {settings['net_name']}, expected one of {net_name}")
    return best_values(study)
