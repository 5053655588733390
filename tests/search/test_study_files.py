"""A study's .pkl: open to any Optuna user, and to us without running anything that it holds."""

import os
import pickle
import shutil
import struct
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import numpy as np
import optuna
import pytest

from core_code.core_utils.errors import InputError
from core_code.search.files import StudyFiles, read_study, settings_of
from core_code.search.results import best_values, describe_counts, trials_table

# Optuna 3.1.1, Python 3.11: pickle.dump of create_study(direction="maximize", sampler=TPESampler(seed=1), pruner=
# MedianPruner(n_startup_trials=2)) after 16 trials of lr, optimizer (Adam, SGD), weight_decay, scheduler (StepLR,
# CosineAnnealingLR) and batch_size, with three reports each; trial 7 raised MemoryError, five were pruned.
OPTUNA_3 = Path(__file__).with_name("optuna_3_study.pkl")
SETTINGS = {"net_name": "resnet18", "exp_name": "E", "byol": False, "epochs": 3}


def small_study(settings=SETTINGS):
    study = optuna.create_study(study_name="resnet18_E", direction="maximize")
    study.set_user_attr("settings", settings)

    def objective(trial):
        lr = trial.suggest_float("lr", 1e-5, 1e-2, log=True)
        size = trial.suggest_categorical("batch_size", [32, 64])
        trial.report(lr, 1)
        trial.set_user_attr("best_epoch", 1)
        if trial.number == 1:
            raise optuna.TrialPruned
        if trial.number == 2:
            raise MemoryError
        return lr * size

    study.optimize(objective, n_trials=6, catch=(MemoryError,))
    return study


@pytest.fixture
def written(tmp_path):
    study = small_study()
    return study, StudyFiles(tmp_path, "resnet18", "E").write(study)


@pytest.mark.parametrize(
    ("epoch", "shown"), [(7, 7), (float("inf"), None), (1e308, None), ("x", None), (1 << 80, None)]
)
def test_a_trial_s_epoch_that_is_none_is_left_out_of_the_table(epoch, shown):
    study = small_study()
    study.add_trial(optuna.trial.create_trial(value=1.0, user_attrs={"best_epoch": epoch}))
    found = trials_table(study, study.trials)["epoch"]
    assert found[0] == 1 and (found[6] == shown if shown else found.isna()[6])


def same(one, other):
    assert (one.study_name, one.direction, one.user_attrs) == (other.study_name, other.direction, other.user_attrs)
    assert (one.best_params, one.best_value) == (other.best_params, other.best_value)
    for ours, theirs in zip(one.trials, other.trials, strict=True):
        assert (ours.number, ours.state, ours.value, ours.params) == (
            theirs.number, theirs.state, theirs.value, theirs.params)  # fmt: skip
        assert (ours.distributions, ours.user_attrs) == (theirs.distributions, theirs.user_attrs)
        assert ours.intermediate_values == theirs.intermediate_values
        assert (ours.datetime_start, ours.duration) == (theirs.datetime_start, theirs.duration)


def test_optuna_users_open_the_file_with_pickle(written):
    study, path = written
    assert path.name == "optuna_study_results_resnet18_E.pkl"
    opened = pickle.loads(path.read_bytes())
    assert isinstance(opened, optuna.Study)
    same(opened, study)


def test_the_reader_finds_the_same_study(written):
    study, path = written
    same(read_study(path), study)
    assert isinstance(read_study(path).trials[0].datetime_start, datetime)


def test_a_file_of_an_older_python_is_read_too(tmp_path, monkeypatch):
    """Python 3.11.0 to 3.11.3 pickle members of an enumeration as calls of getattr."""
    monkeypatch.setattr(
        optuna.trial.TrialState, "__reduce_ex__", lambda state, protocol: (getattr, (type(state), state.name))
    )
    study = small_study()
    assert b"getattr" in pickle.dumps(study)
    same(read_study(StudyFiles(tmp_path, "resnet18", "E").write(study)), study)


def test_a_study_from_a_database_takes_no_connection_along(tmp_path):
    settings = {**SETTINGS, "exp_name": "D"}
    storage = f"sqlite:///{tmp_path}/study.db"
    study = optuna.create_study(storage=storage, study_name="d", direction="minimize")
    study.set_user_attr("settings", settings)
    study.optimize(lambda trial: trial.suggest_float("lr", 0, 1), n_trials=2)
    path = StudyFiles(tmp_path, "resnet18", "D").write(study)
    assert b"sqlite" not in path.read_bytes() and b"sqlalchemy" not in path.read_bytes()
    same(read_study(path), study)


class Calls:
    """Pickles as a call of `function(*arguments)`."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def stack_global(module, name, argument):
    """A pickle that calls module:name(argument), dots in the name looked up one by one."""

    def text(value):
        return b"\x8c" + struct.pack("B", len(value)) + value.encode()

    return b"\x80\x04" + text(module) + text(name) + b"\x93" + text(argument) + b"\x85R."


def malicious(marker):
    """Pickles that make the file `marker` when they are run, and some that only try what a study does not need."""
    command = f"touch {marker}"
    return {
        "os.system": pickle.dumps(Calls(os.system, command)),
        "eval": pickle.dumps(Calls(eval, f"open({str(marker)!r}, 'w')")),
        "old protocol": f"cos\nsystem\n(S'{command}'\ntR.".encode(),
        "INST": f"(S'{command}'\nios\nsystem\n.".encode(),
        "subprocess": pickle.dumps(Calls(subprocess.getoutput, command)),
        "dotted through optuna": stack_global("optuna.storages._in_memory", "copy.copyreg.sys.modules", command),
        "dotted through a class": stack_global("optuna.study.study", "Study.__init__.__globals__", command),
        "optuna's os": stack_global("optuna.storages.journal._file", "os.system", command),
        "an Optuna function": pickle.dumps(Calls(optuna.create_study)),
        "a class of Optuna's that connects": stack_global("optuna.storages", "RDBStorage", f"sqlite:///{marker}"),
        "Python's getattr": stack_global("builtins", "getattr", command),
        "NumPy": pickle.dumps(np.zeros(2)),
        "within a dict": pickle.dumps({"study": small_study(), "more": Calls(os.system, command)}),
        "Study called with a database": pickle.dumps(Calls(optuna.Study, "x", f"sqlite:///{marker}")),
        "a class changed": b"\x80\x04\x8c\x12optuna.study.study\x8c\x05Study\x93N}\x8c\x0c__setstate__K\x01s\x86b.",
        "a class's class changed": b"\x80\x04\x8c\x01a\x8c\x01b\x93N}\x8c\x09__class__\x8c\x01a\x8c\x01b\x93s\x86b.",
        "datetime changed": b"\x80\x04\x8c\x08datetime\x8c\x08datetime\x93N}\x8c\x03now\x8c\x01a\x8c\x01b\x93s\x86b.",
    }  # fmt: skip


@pytest.mark.parametrize("name", malicious("x"))
def test_a_malicious_pickle_does_nothing_and_is_no_study(written, tmp_path, name):
    study, good = written
    marker = tmp_path / "marker"
    path = tmp_path / "optuna_study_results_resnet18_malicious.pkl"
    path.write_bytes(malicious(marker)[name])
    with pytest.raises(InputError, match="not a study of Optuna, or damaged") as error:
        read_study(path)
    assert not marker.exists()
    message = str(error.value)
    assert "\n" not in message and str(path) in message and message.isprintable()
    same(read_study(good), study)
    assert datetime.now().year > 2000


class Unknown:
    """An object of an unknown class that pickles as the given call."""

    def __init__(self, call):
        self.call = call

    def __reduce__(self):
        return self.call


def harmful_parts(marker):
    """Objects whose unpickling makes the file `marker`."""
    command = f"touch {marker}"
    here = Path(__file__).parent
    (marker.parent / "unknown_module.py").write_text(f"open({str(marker)!r}, 'w')\nclass A: pass\n")
    return {
        "a call": Unknown((os.system, (command,))),
        "a call by a state": Unknown((dict, (), {"a": 1}, None, None, subprocess.getoutput)),
        "items of a call": Unknown((list, (), None, iter([Unknown((os.system, (command,)))]))),
        "entries of a call": Unknown((dict, (), None, None, iter([("a", Unknown((os.system, (command,))))]))),
        "a call of a call": Unknown((getattr, (Unknown((__import__, ("os",))), "system"))),
        "eval": Unknown((eval, (f"open({str(marker)!r}, 'w')",))),
        "a file": Unknown((open, (str(marker), "w"))),
        "another path": Unknown((sys.path.append, (str(here),))),
    }


@pytest.mark.parametrize("name", harmful_parts(Path("/tmp/x")))
@pytest.mark.parametrize("where", ["sampler", "pruner", "_more"])
def test_harmful_parts_of_a_study_stay_inert(tmp_path, name, where):
    marker = tmp_path / "marker"
    study = small_study()
    setattr(study, where, harmful_parts(marker)[name])
    path = tmp_path / "optuna_study_results_resnet18_E.pkl"
    path.write_bytes(pickle.dumps(study))
    before, modules = list(sys.path), set(sys.modules)
    read = read_study(path)
    assert not marker.exists() and sys.path == before and set(sys.modules) == modules
    assert [trial.params for trial in read.trials] == [trial.params for trial in study.trials]


def test_a_module_that_is_named_is_not_imported(tmp_path, monkeypatch):
    marker = tmp_path / "marker"
    harmful_parts(marker)
    monkeypatch.syspath_prepend(tmp_path)
    content = pickle.dumps(small_study())
    (tmp_path / "bad.pkl").write_bytes(stack_global("unknown_module", "A", "x"))
    with pytest.raises(InputError, match="expected a Study, found A"):
        read_study(tmp_path / "bad.pkl")
    named = content.replace(b"\x8c\x16optuna.pruners._median", b"\x8c\x0eunknown_module")
    assert named != content
    path = tmp_path / "optuna_study_results_resnet18_E.pkl"
    path.write_bytes(named[:2] + named[11:])  # without the frame, whose length has changed
    assert len(read_study(path).trials) == 6
    assert not marker.exists() and "unknown_module" not in sys.modules


def test_what_would_do_harm_does_it_when_it_is_run(tmp_path):
    """The tests above prove nothing unless their pickles work."""
    marker = tmp_path / "marker"
    pickles = [malicious(marker)[name] for name in ("os.system", "eval", "old protocol", "INST", "subprocess")]
    parts = harmful_parts(marker)
    pickles += [
        pickle.dumps(parts[name]) for name in ("a call", "items of a call", "entries of a call", "eval", "a file")
    ]
    for content in [*pickles, malicious(marker)["optuna's os"]]:
        pickle.loads(content)
        assert marker.exists()
        marker.unlink()


@pytest.fixture
def optuna_3(tmp_path):
    return Path(shutil.copy(OPTUNA_3, tmp_path / "optuna_study_results_densenet201_Regular_2.pkl"))


def test_a_study_of_optuna_3_with_its_sampler_and_pruner_is_read(optuna_3):
    study = read_study(optuna_3)
    assert describe_counts(study) == "10 complete, 5 pruned, 1 interrupted"
    assert settings_of(study) == {"net_name": "densenet201", "exp_name": "Regular_2", "byol": False}
    assert study.best_trial.number == 13 and study.best_value == pytest.approx(0.4 + 10 * study.best_params["lr"])
    assert study.best_params["scheduler"] == "CosineAnnealingLR"
    for trial in study.trials:
        factor = 10 * (trial.params["optimizer"] == "Adam")
        for step, value in trial.intermediate_values.items():
            lr, late = trial.params["lr"], 0.01 * (trial.number == 11)
            assert value == pytest.approx(0.2 + 0.1 * step + factor * lr - late)
    assert best_values(study) == {
        "batch_size": 64, "lr": study.best_params["lr"], "weight_decay": study.best_params["weight_decay"],
        "optimizer": "adam", "scheduler": "cosine",
    }  # fmt: skip


def test_a_study_of_the_installed_optuna_with_its_sampler_is_read(tmp_path):
    study = optuna.create_study(direction="minimize", sampler=optuna.samplers.TPESampler(seed=1))
    study.set_user_attr("anything", ["a list", {1: 2}])

    def objective(trial):
        trial.set_user_attr("net", torch_like())
        return trial.suggest_float("learning_rate", 0.1, 1) + trial.suggest_int("layers", 1, 9)

    study.optimize(objective, n_trials=12)
    path = tmp_path / "optuna_study_results_resnet18_BYOL.pkl"
    path.write_bytes(pickle.dumps(study))
    read = read_study(path)
    assert [(trial.params, trial.value, trial.distributions) for trial in read.trials] == [
        (trial.params, trial.value, trial.distributions) for trial in study.trials]  # fmt: skip
    assert settings_of(read)["byol"] is True and best_values(read) == {"lr": study.best_params["learning_rate"]}


def torch_like():
    return np.zeros((2, 2))


@pytest.mark.parametrize(
    ("name", "net", "experiment"),
    [("resnet18_Regular", "resnet18", "Regular"), ("densenet201", "densenet201", "Regular"),
     ("vgg16_a_b", "vgg16", "a_b")],
)  # fmt: skip
def test_the_files_name_tells_net_and_experiment(optuna_3, name, net, experiment):
    settings = settings_of(read_study(optuna_3.rename(optuna_3.with_name(f"optuna_study_results_{name}.pkl"))))
    assert (settings["net_name"], settings["exp_name"]) == (net, experiment)


def test_a_study_of_no_known_net_is_an_error_that_tells_how_to_name_it(optuna_3):
    with pytest.raises(InputError, match="name it optuna_study_results_<net>_<experiment>"):
        read_study(optuna_3.rename(optuna_3.with_name("study.pkl")))


def test_a_study_whose_trials_are_in_a_database_is_an_error(tmp_path):
    study = optuna.create_study(storage=f"sqlite:///{tmp_path}/study.db")
    path = tmp_path / "optuna_study_results_resnet18_E.pkl"
    path.write_bytes(pickle.dumps(study))
    with pytest.raises(InputError, match="in a database, not in this file"):
        read_study(path)


def test_damaged_files_are_errors_of_one_line(written, tmp_path):
    _, good = written
    content = good.read_bytes()
    random = np.random.default_rng(0)
    damaged = [content[:length] for length in range(0, len(content) - 1, len(content) // 25)]
    for _ in range(150):
        changed = bytearray(content)
        changed[random.integers(len(content))] = random.integers(256)
        damaged.append(bytes(changed))
    path = tmp_path / "damaged.pkl"
    refused = 0
    for content in damaged:
        path.write_bytes(content)
        try:
            assert isinstance(read_study(path), optuna.Study)
        except InputError as error:
            refused += 1
            assert "\n" not in str(error) and str(path) in str(error)
    assert refused > 30


@pytest.mark.parametrize("value", [{}, [1], None, "text", {"settings": SETTINGS}])
def test_other_pickles_are_not_studies(tmp_path, value):
    path = tmp_path / "other.pkl"
    path.write_bytes(pickle.dumps(value))
    with pytest.raises(InputError, match="not a study of Optuna"):
        read_study(path)


@pytest.mark.parametrize(
    "change",
    [{"net_name": "../resnet18"}, {"exp_name": "$(touch x)"}, {"weights": "a\x1b[2J"}, {"byol": "no"}, {"epochs": []}],
)
def test_settings_that_would_leave_the_folder_or_the_line_are_refused(tmp_path, change):
    path = StudyFiles(tmp_path, "resnet18", "E").write(small_study({**SETTINGS, **change}))
    with pytest.raises(InputError, match="not a study of Optuna"):
        read_study(path)


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.pkl: no such study"):
        read_study(tmp_path / "nowhere.pkl")
