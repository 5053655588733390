"""A study on disk: its .pkl, which any Optuna user opens with pickle.load, and a reader that runs nothing in it."""

import math
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import optuna
from optuna import distributions
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from core_code.core_utils.errors import InputError
from core_code.core_utils.files import atomic_write
from core_code.core_utils.flags import run_name
from core_code.core_utils.locks import exclusive_lock
from core_code.models.architectures import ARCHITECTURES
from core_code.search.inert_pickle import StandIn, load_inert

FOLDER = "optuna_study_output"
SETTINGS = "settings"
RESULTS = "optuna_study_results_"
Member = TypeVar("Member", TrialState, StudyDirection)

optuna.logging.set_verbosity(optuna.logging.WARNING)  # the scripts log how trials end


@dataclass(frozen=True)
class StudyFiles:
    """The files of the study of one net and experiment, of fine-tuning or of BYOL."""

    folder: Path
    net_name: str
    experiment: str

    @property
    def run(self) -> str:
        """<net>_<experiment>"""
        return f"{self.net_name}_{self.experiment}"

    @property
    def results(self) -> Path:
        """The study as a pickle."""
        return self.folder / f"{RESULTS}{self.run}.pkl"

    def write(self, study: optuna.Study) -> Path:
        """Write the .pkl as the study stands, whole; processes take turns, so that the newest state is on disk."""
        with exclusive_lock(self.folder, wait=True):
            copy = in_memory(study)
            atomic_write(self.results, lambda file: pickle.dump(copy, file))
        return self.results


def in_memory(study: optuna.Study) -> optuna.Study:
    """A copy in memory, for a study in a database would pickle its connections.

    It has a plain sampler and no pruner; to go on with a study, start optuna_study.py on its storage.
    """
    sampler, pruner = optuna.samplers.RandomSampler(), optuna.pruners.NopPruner()
    copy = optuna.create_study(study_name=study.study_name, direction=study.direction, sampler=sampler, pruner=pruner)
    for name, value in study.user_attrs.items():
        copy.set_user_attr(name, value)
    copy.add_trials(study.get_trials(deepcopy=False))
    return copy


def settings_of(study: optuna.Study) -> dict[str, Any]:
    """What the study was started with."""
    return study.user_attrs[SETTINGS]


def read_study(path: Path) -> optuna.Study:
    """The study of any .pkl of an Optuna study, rebuilt in memory from its plain values; no code in the file is run.

    A study without our settings gets those that its file's name and its direction tell: net, experiment, and BYOL
    where the value was minimised. Raises InputError for a missing or damaged file, one that holds something else, and
    one whose net is not known.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such study; optuna_study.py writes {RESULTS}<net>_<experiment>.pkl")
    try:
        study = rebuild(load_inert(path.read_bytes()))
        if SETTINGS not in study.user_attrs:
            study.set_user_attr(SETTINGS, settings_from_name(path, study.direction))
        check_settings(settings_of(study))
    except Exception as error:  # damaged pickles raise nearly anything
        reason = (str(error) or type(error).__name__).splitlines()[0][:200]
        raise InputError(f"{path}: not a study of Optuna, or damaged ({reason!r})") from error
    return study


def rebuild(pickled: Any) -> optuna.Study:
    """A study in memory out of the attributes of a pickled one; raises anything when they are not those of one."""
    if not hasattr(pickled, "_storage"):
        what = pickled.name if isinstance(pickled, StandIn) else type(pickled).__name__
        raise ValueError(f"expected a Study, found {what}")
    if not hasattr(pickled._storage, "_studies") or hasattr(pickled._storage, "_backend"):
        raise ValueError("its trials are in a database, not in this file")
    info = pickled._storage._studies[pickled._study_id]
    if len(info.directions) != 1:
        raise ValueError(f"expected a study of one value, found {len(info.directions)}")
    name, direction = checked("text", info.name), member(StudyDirection, info.directions[0])
    study = optuna.create_study(study_name=name, direction=direction)
    for name, value in attributes(info.user_attrs).items():
        study.set_user_attr(name, value)
    if SETTINGS in info.user_attrs:
        study.set_user_attr(SETTINGS, plain_dict(info.user_attrs[SETTINGS]))
    study.add_trials([rebuild_trial(trial) for trial in info.trials])
    return study


def rebuild_trial(pickled: Any) -> FrozenTrial:
    """A trial out of the attributes of a pickled one."""
    steps = pickled.intermediate_values.items()
    return FrozenTrial(
        number=checked("whole number", pickled._number),
        state=member(TrialState, pickled.state),
        value=None,
        values=None if pickled._values is None else [number(value) for value in pickled._values],
        datetime_start=checked("moment", pickled._datetime_start),
        datetime_complete=checked("moment", pickled.datetime_complete),
        params=plain_dict(pickled._params),
        distributions={
            checked("text", name): rebuild_distribution(value) for name, value in pickled._distributions.items()
        },
        user_attrs=attributes(pickled._user_attrs),
        system_attrs={},
        intermediate_values={checked("whole number", step): float(value) for step, value in steps},
        trial_id=checked("whole number", pickled._trial_id),
    )


def rebuild_distribution(pickled: Any) -> distributions.BaseDistribution:
    """The range or the choices of a value."""
    if "Categorical" in pickled.name:
        return distributions.CategoricalDistribution([plain(choice) for choice in pickled.choices])
    log, step = bool(getattr(pickled, "log", "Log" in pickled.name)), getattr(pickled, "step", None)
    if "Int" in pickled.name:
        low, high, step = (checked("whole number", value) for value in (pickled.low, pickled.high, pickled.step))
        return distributions.IntDistribution(low, high, log, step)
    step = None if step is None else number(step)
    return distributions.FloatDistribution(number(pickled.low), number(pickled.high), log, step)


def member(kind: type[Member], pickled: Any) -> Member:
    """A member of an enumeration, which is pickled as a call of its class, or of getattr by Python 3.11.0 to 3.11.3."""
    *_, value = pickled.arguments
    return kind[value] if pickled.name == "getattr" else kind(value)


def is_plain(value: Any) -> bool:
    """Whether it is a number that a file can hold or a printable text."""
    if isinstance(value, str):
        return value.isprintable()
    return value is None or isinstance(value, float) or (isinstance(value, int) and abs(value) < 1 << 63)


CHECKS: dict[str, Callable[[Any], bool]] = {
    "text": lambda value: isinstance(value, str) and value.isprintable(),
    "whole number": lambda value: type(value) is int and 0 <= value < 1 << 31,
    "number": lambda value: isinstance(value, (int, float)) and math.isfinite(value),
    "moment": lambda value: value is None or isinstance(value, datetime),
    "number or a text": is_plain,
}


def checked(kind: str, value: Any) -> Any:
    """The value, where it is of a kind in CHECKS; raises ValueError otherwise."""
    if not CHECKS[kind](value):
        raise ValueError(f"expected a {kind}, found {type(value).__name__}")
    return value


def number(value: Any) -> float:
    """A finite number; raises ValueError otherwise."""
    return float(checked("number", value))


def plain(value: Any) -> str | float | None:
    """The value, where it is plain; of a class or a function its name. Raises ValueError otherwise."""
    is_name = isinstance(value, type) and issubclass(value, StandIn)
    return checked("number or a text", value.name if is_name else value)


def plain_dict(values: dict[Any, Any]) -> dict[str, Any]:
    """Plain values by name. Raises ValueError for others."""
    return {checked("text", name): plain(value) for name, value in values.items()}


def attributes(values: dict[Any, Any]) -> dict[str, Any]:
    """The plain ones of a user's attributes, which may be anything."""
    return {name: value for name, value in values.items() if CHECKS["text"](name) and is_plain(value)}


def settings_from_name(path: Path, direction: StudyDirection) -> dict[str, Any]:
    """The settings of a study without any, from the name optuna_study_results_<net>_<experiment>.pkl."""
    if not path.stem.startswith(RESULTS):
        raise ValueError(f"without settings of optuna_study.py; name it {RESULTS}<net>_<experiment>.pkl")
    run = path.stem.removeprefix(RESULTS)
    net = max((name for name in ARCHITECTURES if f"{run}_".startswith(f"{name}_")), key=len, default=run.split("_")[0])
    experiment = run[len(net) + 1 :] or "Regular"
    return {"net_name": net, "exp_name": experiment, "byol": direction == StudyDirection.MINIMIZE}


def check_settings(settings: dict[str, Any]) -> None:
    """Raise an error unless these are the settings of a study; they name files and become part of a command."""
    for name in ("net_name", "exp_name"):
        run_name(settings[name])
    if not isinstance(settings["byol"], bool):
        raise ValueError("its settings do not tell whether it is BYOL's")
