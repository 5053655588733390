"""A study on disk: its .pkl, which any Optuna user opens with pickle.load, and a reader that runs nothing in it."""

import argparse
import io
import math
import pickle
import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import optuna
from optuna import distributions
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from core_code.core_utils.errors import InputError
from core_code.core_utils.files import atomic_write
from core_code.core_utils.flags import run_name
from core_code.core_utils.locks import wait_for_lock

SETTINGS = "settings"

optuna.logging.set_verbosity(optuna.logging.WARNING)  # the scripts say themselves how trials end

# What a pickled study is made of. Each name is read as what stands beside it: a bag of attributes (None), a number
# or a moment; not even Optuna's own classes are called while a file is read.
PLAIN_TYPES: dict[tuple[str, str], Callable[..., Any] | None] = {
    ("optuna.study.study", "Study"): None,
    ("optuna.storages._in_memory", "InMemoryStorage"): None,
    ("optuna.storages._in_memory", "_StudyInfo"): None,
    ("optuna.trial._frozen", "FrozenTrial"): None,
    ("optuna.distributions", "CategoricalDistribution"): None,
    ("optuna.distributions", "FloatDistribution"): None,
    ("optuna.samplers._random", "RandomSampler"): None,
    ("optuna.samplers._lazy_random_state", "LazyRandomState"): None,
    ("optuna.pruners._nop", "NopPruner"): None,
    ("optuna.study._study_direction", "StudyDirection"): int,
    ("optuna.trial._state", "TrialState"): int,
    ("datetime", "datetime"): datetime,
}


@dataclass(frozen=True)
class StudyFiles:
    """Where the study of one net and experiment lies, BYOL's or the classifier's."""

    folder: Path
    net_name: str
    experiment: str

    @property
    def results(self) -> Path:
        """The study as a pickle."""
        return self.folder / f"optuna_study_results_{self.net_name}_{self.experiment}.pkl"

    @property
    def database(self) -> Path:
        """The SQLite file that the study lives in unless --storage names another place."""
        return self.folder / f"optuna_study_{self.net_name}_{self.experiment}.db"

    def picture(self, kind: str) -> Path:
        """The file of a plot."""
        return self.folder / f"{kind}_{self.net_name}_{self.experiment}.png"

    def write(self, study: optuna.Study) -> Path:
        """Write the .pkl as the study stands, whole; of several processes each waits for its turn, so that what is
        on disk is the newest."""
        with wait_for_lock(self.folder):
            copy = in_memory(study)
            atomic_write(self.results, lambda file: dump(copy, file))
        return self.results


def dump(study: optuna.Study, file: BinaryIO) -> None:
    """pickle.dump, with states and directions as plain calls of their class: Python 3.11.0 to 3.11.3 would pickle
    them as calls of getattr, which no careful reader admits."""
    pickler = pickle.Pickler(file)
    pickler.dispatch_table = {kind: lambda value: (type(value), (int(value),)) for kind in (TrialState, StudyDirection)}
    pickler.dump(study)


def in_memory(study: optuna.Study) -> optuna.Study:
    """A copy to look at, held in memory: a study that lives in a database would take its connections into a pickle.

    It has a plain sampler and no pruner, whose private state a reader would have to admit; to go on with a study,
    start optuna_study.py on its storage.
    """
    copy = optuna.create_study(
        study_name=study.study_name,
        direction=study.direction,
        storage=optuna.storages.InMemoryStorage(),
        sampler=optuna.samplers.RandomSampler(),
        pruner=optuna.pruners.NopPruner(),
    )
    for name, value in study.user_attrs.items():
        copy.set_user_attr(name, value)
    copy.add_trials(study.get_trials(deepcopy=False))
    return copy


def read_study(path: Path) -> optuna.Study:
    """The study of a .pkl that optuna_study.py wrote, rebuilt from its plain values.

    A pickle can name any function and have it called. This reader admits PLAIN_TYPES and nothing else.
    Raises InputError for a missing or damaged file, one that asks for anything else, and one without our settings.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such study; optuna_study.py writes optuna_study_results_<net>_<experiment>.pkl")
    try:
        content = path.read_bytes()
        check_memos(content)
        study = rebuild(PlainUnpickler(io.BytesIO(content)).load())
        check_settings(study.user_attrs[SETTINGS])
    except Refused as error:
        raise InputError(
            f"{path}: refused: it asks for {error}, expected a study that optuna_study.py wrote; a .pkl can run any "
            f"code, so nothing but the plain data types of such a study is read from one"
        ) from error
    except Exception as error:  # damaged pickles raise nearly anything
        reason = (str(error) or type(error).__name__).splitlines()[0][:200]
        raise InputError(f"{path}: not a study that optuna_study.py wrote, or damaged ({reason!r})") from error
    return study


def check_memos(content: bytes) -> None:
    """Raise ValueError where a pickle numbers its objects higher than it has bytes.

    Python makes room for as many objects as the highest number, which makes gigabytes of nine bytes.
    """
    for opcode, argument, _ in pickletools.genops(content):
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and argument > len(content):
            raise ValueError(f"object {argument} in {len(content)} bytes")


class Refused(pickle.UnpicklingError):
    """A pickle asked for something that is not among PLAIN_TYPES."""


class PlainUnpickler(pickle.Unpickler):
    """Reads numbers, texts, containers and PLAIN_TYPES.

    The bags of attributes are made anew for each file, so that nothing that a file does to them outlives it.
    """

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self.types = {name: stand_in or type(name[1], (), {}) for name, stand_in in PLAIN_TYPES.items()}

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in for exactly this name; dotted names find nothing either."""
        if (module, name) not in self.types:
            raise Refused(ascii(f"{module}.{name}"[:100]))
        return self.types[module, name]


def rebuild(bag: Any) -> optuna.Study:
    """A study in memory out of the attributes of a pickled one; raises anything when they are not those of one."""
    (info,) = bag._storage._studies.values()
    (direction,) = info.directions
    study = optuna.create_study(study_name=text(info.name), direction=StudyDirection(direction))
    for name, value in info.user_attrs.items():
        study.set_user_attr(text(name), plain_dict(value) if name == SETTINGS else plain(value))
    study.add_trials([rebuild_trial(trial) for trial in info.trials])
    return study


def rebuild_trial(bag: Any) -> FrozenTrial:
    """A trial out of the attributes of a pickled one."""
    return FrozenTrial(
        number=whole(bag._number),
        state=TrialState(bag.state),
        value=None,
        values=[number(value) for value in bag._values] if bag._values is not None else None,
        datetime_start=moment(bag._datetime_start),
        datetime_complete=moment(bag.datetime_complete),
        params=plain_dict(bag._params),
        distributions={text(name): rebuild_distribution(value) for name, value in bag._distributions.items()},
        user_attrs=plain_dict(bag._user_attrs),
        system_attrs={},
        intermediate_values={whole(step): float(value) for step, value in bag.intermediate_values.items()},
        trial_id=whole(bag._trial_id),
    )


def rebuild_distribution(bag: Any) -> distributions.BaseDistribution:
    """What a value was drawn from."""
    if type(bag).__name__ == "CategoricalDistribution":
        return distributions.CategoricalDistribution([plain(choice) for choice in bag.choices])
    step = None if bag.step is None else number(bag.step)
    return distributions.FloatDistribution(number(bag.low), number(bag.high), log=bool(bag.log), step=step)


def plain(value: Any) -> str | int | float | bool | None:
    """The value, where it is one of these; raises ValueError otherwise. Texts are printable, for they are shown."""
    if value is None or isinstance(value, float) or (isinstance(value, int) and abs(value) < 1 << 63):
        return value
    return text(value)


def plain_dict(values: dict[Any, Any]) -> dict[str, str | int | float | bool | None]:
    """Plain values by name."""
    return {text(name): plain(value) for name, value in values.items()}


def text(value: Any) -> str:
    """A printable text; raises ValueError otherwise."""
    if isinstance(value, str) and value.isprintable():
        return value
    raise ValueError(f"expected a number or a text, found {type(value).__name__}")


def whole(value: Any) -> int:
    """A number of things; raises ValueError otherwise."""
    if type(value) is int and 0 <= value < 1 << 31:
        return value
    raise ValueError(f"expected a whole number, found {type(value).__name__}")


def number(value: Any) -> float:
    """A finite number; raises ValueError otherwise."""
    if isinstance(value, (int, float)) and math.isfinite(value):
        return float(value)
    raise ValueError(f"expected a number, found {type(value).__name__}")


def moment(value: Any) -> datetime | None:
    """A moment, or none; raises ValueError otherwise."""
    if value is None or isinstance(value, datetime):
        return value
    raise ValueError(f"expected a moment, found {type(value).__name__}")


def check_settings(settings: dict[str, Any]) -> None:
    """Raise ValueError unless these are the settings of a study; they name files and become part of a command."""
    for name in ("net_name", "exp_name"):
        try:
            run_name(settings[name])
        except argparse.ArgumentTypeError as error:
            raise ValueError(str(error)) from error
    if not isinstance(settings["byol"], bool):
        raise ValueError("its settings do not say whether it is BYOL's")


def settings_of(study: optuna.Study) -> dict[str, Any]:
    """What the study was started with."""
    return study.user_attrs[SETTINGS]
