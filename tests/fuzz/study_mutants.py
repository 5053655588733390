"""Studies, damaged: the .pkl as bytes, as a pickle, and in what it holds."""

import copy
import io
import os
import pickle
import struct
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

import optuna
from family import SENTINEL, Family, Mutant
from mutations import DAMAGES, ODD_VALUES, Calls, Random, nested
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial
from torch_files import shared

import optuna_study
from core_code.search.files import in_memory, read_study

FIRST = datetime(2024, 1, 1)
SETTINGS = {"net_name": "resnet18", "exp_name": "E", "byol": False, "epochs": 3, "weights": "none", "image_size": 48}
DRAWN = {
    "batch_size": CategoricalDistribution((32, 64, 128)),
    "lr": FloatDistribution(1e-5, 1e-2, log=True),
    "weight_decay": FloatDistribution(0.0, 1e-4),
    "optimizer": CategoricalDistribution(("adam", "sgd")),
    "scheduler": CategoricalDistribution(("step", "cosine")),
}


@cache
def sound_study() -> optuna.Study:
    """Six trials as optuna_study.py writes them: four complete, one pruned, one failed."""
    study = optuna.create_study(study_name="resnet18_E", direction="maximize")
    study.set_user_attr("settings", SETTINGS)
    states = (TrialState.COMPLETE,) * 4 + (TrialState.PRUNED, TrialState.FAIL)
    for trial, state in enumerate(states):
        params = {"batch_size": 32 << trial % 3, "lr": 1e-4 * (trial + 1), "weight_decay": 1e-5 * trial,
                  "optimizer": ("adam", "sgd")[trial % 2], "scheduler": ("step", "cosine")[trial % 2]}  # fmt: skip
        made = create_trial(
            state=state, value=0.1 + 0.03 * trial if state == TrialState.COMPLETE else None, params=params,
            distributions=DRAWN, user_attrs={"best_epoch": 2, "process": "machine 7"},
            intermediate_values={1: 0.1, 2: 0.1 + 0.03 * trial},
        )  # fmt: skip
        made.datetime_start, made.datetime_complete = FIRST, FIRST + timedelta(seconds=trial + 1)
        study.add_trial(made)
    return in_memory(study)


def pickled(value: Any) -> bytes:
    """As the program and any user of Optuna pickle it."""
    return pickle.dumps(value)


def parts(value: Any, seen: set[int] | None = None) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) below a study: attributes of its objects, entries of its dicts and lists; each once."""
    seen = set() if seen is None else seen
    kept = vars(value) if hasattr(value, "__dict__") and not isinstance(value, (type, Enum)) else value
    if id(kept) in seen:
        return
    seen.add(id(kept))
    items = kept.items() if isinstance(kept, dict) else enumerate(kept) if isinstance(kept, list) else ()
    for key, inner in list(items):
        yield kept, key
        yield from parts(inner, seen)


def info_of(study: optuna.Study) -> Any:
    """The part of it that is read."""
    return study._storage._studies[0]


ODD = (*ODD_VALUES, 10**5000, shared(15), nested(90), (1, 2), {1: 2}, {"a": {"b": {}}}, b"bytes", FIRST, {1}, -1.5,
       TrialState.WAITING, TrialState.RUNNING, 1 << 40, 10**30)  # fmt: skip


def change_part(study: optuna.Study, draw: Random) -> Any:
    """A value somewhere in what is read is an odd one."""
    container, key = draw.choice(list(parts(info_of(study))))
    container[key] = draw.choice(ODD)
    return study


def change_parts(study: optuna.Study, draw: Random) -> Any:
    """Several are."""
    for _ in range(draw.randint(2, 6)):
        change_part(study, draw)
    return study


def drop_part(study: optuna.Study, draw: Random) -> Any:
    """A value is missing."""
    container, key = draw.choice(list(parts(info_of(study))))
    del container[key]
    return study


def exchange_parts(study: optuna.Study, draw: Random) -> Any:
    """A value stands in another's place too."""
    every = list(parts(info_of(study)))
    (one, here), (other, there) = draw.choice(every), draw.choice(every)
    one[here] = copy.deepcopy(other[there])
    return study


def odd_keys(study: optuna.Study, draw: Random) -> Any:
    """A name is something else, or there is one more."""
    dicts = [c[k] for c, k in parts(info_of(study)) if isinstance(c[k], dict)]
    changed = draw.choice(dicts)
    odd = draw.choice((None, 7, -1, 1 << 40, 0.5, (), b"lr", float("nan"), "a\nb", "\x1b[2J", "x" * 5000, "٣", ""))
    changed[odd] = changed.pop(draw.choice(list(changed))) if changed and draw.random() < 0.5 else draw.choice(ODD)
    return study


def change_setting(study: optuna.Study, draw: Random) -> Any:
    """What it was started with is odd: it names files and becomes part of a command."""
    odd = ("../../x", "$(touch x)", "; ls", "-x", "a b", "x" * 5000, "", "a\nb", None, 7, True, [], {}, 10**5000, 0.5)
    info_of(study).user_attrs["settings"][draw.choice((*SETTINGS, "dataset", "data_root"))] = draw.choice(odd)
    return study


def another_object(study: optuna.Study, draw: Random) -> Any:
    """No study, or one that takes more along."""
    return draw.choice((
        None, 7, [], {"study": study}, [study, study], shared(15), nested(90), object(),
        study._storage, info_of(study), FIRST, optuna.samplers.TPESampler(), optuna.pruners.MedianPruner(),
    ))  # fmt: skip


def change_numbers(study: optuna.Study, draw: Random) -> Any:
    """Numbers are others of their kind; a trial has ended otherwise."""
    numbers = [(c, k) for c, k in parts(info_of(study)) if type(c[k]) in (int, float, TrialState)]
    for container, key in draw.sample(numbers, draw.choice((1, 1, 2, 5))):
        kind = type(container[key])
        odd = {int: (0, -1, 1, 2, 1000, 1 << 30, 1 << 62), TrialState: tuple(TrialState),
               float: (0.0, -0.0, -1.0, 1e-320, 1e300, 1e308, float("inf"), float("-inf"), float("nan"))}  # fmt: skip
        container[key] = draw.choice(odd[kind])
    return study


def drop_trials(study: optuna.Study, draw: Random) -> Any:
    """Some trials alone, in any order, or one of them again and again."""
    trials = info_of(study).trials
    info_of(study).trials = draw.choice(([], draw.sample(trials, draw.randint(1, 6)), [draw.choice(trials)] * 5))
    return study


def calls(study: optuna.Study, draw: Random) -> Any:
    """Functions that would be called, in place of the study or of a part of it."""
    command = draw.choice((
        Calls(os.system, f"touch {SENTINEL}"), Calls(eval, f"open({SENTINEL!r}, 'w')"), Calls(open, SENTINEL, "w"),
        Calls(optuna.create_study), Calls(optuna.Study, "x", f"sqlite:///{SENTINEL}"), Calls(bytearray, 1 << 30),
        Calls(getattr, "x", "__class__"), Calls(print, "x"),
    ))  # fmt: skip
    if draw.random() < 0.5:
        return command
    container, key = draw.choice(list(parts(info_of(study))))
    container[key] = command
    return study


INSIDE: dict[str, Callable[[Any, Random], Any]] = {
    change.__name__: change
    for change in (change_part, calls, change_setting, change_numbers, odd_keys, exchange_parts, drop_trials, drop_part,
                   another_object, change_parts)
}  # fmt: skip


def long_claims(draw: Random) -> bytes:
    """A pickle whose lengths and numbers are far beyond its size."""
    huge = draw.choice((1 << 27, 1 << 30, (1 << 31) - 1))
    return draw.choice((
        b"\x80\x04Nr" + struct.pack("<I", huge) + b".", b"\x80\x04Np%d\n." % huge,
        b"\x80\x05\x96" + struct.pack("<Q", huge) + b"abc.", b"\x80\x05\x8e" + struct.pack("<Q", huge) + b"abc.",
        b"\x80\x04\x95" + struct.pack("<Q", huge << 20) + b"abc.", b"\x80\x04\x8b" + struct.pack("<I", huge) + b"a.",
        b"\x80\x04\x8d" + struct.pack("<Q", huge) + b"abc.", b"\x80\x04L" + b"9" * 100_000 + b"L\n.",
    ))  # fmt: skip


def deep(draw: Random) -> bytes:
    """Lists, tuples or dicts within each other, a hundred thousand of them."""
    return draw.choice((
        b"\x80\x04" + b"]" * 100_000 + b"a" * 99_999 + b".", b"\x80\x04N" + b"\x85" * 100_000 + b".",
        b"\x80\x04" + b"}K\x01" * 100_000 + b"N" + b"s" * 100_000 + b".", b"\x80\x04" + b"(" * 100_000 + b".",
    ))  # fmt: skip


PICKLES = {"long_claims": long_claims, "deep": deep}
MUST_FAIL = ("another_object", *PICKLES)


def damaged(kind: str, draw: Random) -> bytes:
    """A .pkl, damaged."""
    if kind in PICKLES:
        return PICKLES[kind](draw)
    study = copy.deepcopy(sound_study())
    return pickled(INSIDE[kind](study, draw)) if kind in INSIDE else DAMAGES[kind](pickled(study), draw)


def mutate(folder: Path, kind: str, draw: Random) -> Mutant:
    """Write a damaged .pkl; one that is as it was is damaged again."""
    path = folder / "optuna_study_results_resnet18_E.pkl"
    content = damaged(kind, draw)
    while content == pickled(copy.deepcopy(sound_study())):
        content = damaged(kind, draw)
    path.write_bytes(content)
    return Mutant(path, refused=kind in MUST_FAIL, may_write=(".png", ".csv", "optuna_study_output"))


@cache
def sound_names() -> set[tuple[str, str]]:
    """The classes that a sound study's pickle names."""
    names: set[tuple[str, str]] = set()

    class Names(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            names.add((module, name))
            return super().find_class(module, name)

    Names(io.BytesIO(pickled(sound_study()))).load()
    return names


class OnlyStudies(pickle.Unpickler):
    """pickle.load, for comparison, that calls nothing but what a sound study calls."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in sound_names():
            raise pickle.UnpicklingError
        return super().find_class(module, name)


def read(mutant: Mutant) -> optuna.Study:
    """Read it; all that a study has is plain, and what pickle.load gives where that is safe."""
    study = read_study(mutant.path)
    try:
        opened = OnlyStudies(io.BytesIO(mutant.path.read_bytes())).load()
    except Exception:  # it holds more than a sound study, or what Optuna itself refuses
        return study
    info = opened._storage._studies[opened._study_id]
    assert (study.study_name, [study.direction]) == (info.name, list(info.directions))
    for ours, theirs in zip(study.trials, info.trials, strict=True):
        assert (ours.state, ours.params) == (theirs.state, theirs._params)
        for own, original in ((ours.user_attrs, theirs._user_attrs), (study.user_attrs, info.user_attrs)):
            assert all(own[name] == original[name] for name in own if name in original)
        assert repr(ours.values) == repr(theirs._values and [float(value) for value in theirs._values])
        steps = {step: float(value) for step, value in theirs.intermediate_values.items()}
        assert repr(ours.intermediate_values) == repr(steps)
        assert (ours.datetime_start, ours.datetime_complete) == (theirs._datetime_start, theirs.datetime_complete)
    return study


def plot_study(mutant: Mutant) -> None:
    """Plot it and print its tables, as --plot_results does."""
    optuna_study.main(["--plot_results", str(mutant.path), "--output_root", str(mutant.path.parent)])
    assert len(list(mutant.path.parent.glob("optuna_study_output/*.png"))) == 4


KINDS = (*INSIDE, *PICKLES, *DAMAGES)
FAMILIES = (
    Family("study", KINDS, mutate, read),
    Family("drawn_study", ("change_numbers", "drop_trials", "change_part"), mutate, plot_study),
)
