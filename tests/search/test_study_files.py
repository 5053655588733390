"""A study's .pkl: open to any Optuna user, and to us without running anything that it holds."""

import os
import pickle
import struct
import subprocess
from datetime import datetime

import numpy as np
import optuna
import pytest

from core_code.core_utils.errors import InputError
from core_code.search.files import StudyFiles, read_study

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
        "within a study": pickle.dumps({"study": small_study(), "more": Calls(os.system, command)}),
        "a study of another sampler": pickle.dumps(small_study()),
        "Study called with a database": pickle.dumps(Calls(optuna.Study, "x", f"sqlite:///{marker}")),
        "a class changed": b"\x80\x04\x8c\x12optuna.study.study\x8c\x05Study\x93N}\x8c\x0c__setstate__K\x01s\x86b.",
    }


@pytest.mark.parametrize("name", malicious("x"))
def test_a_malicious_pickle_is_refused_and_does_nothing(written, tmp_path, name):
    study, good = written
    marker = tmp_path / "marker"
    path = tmp_path / "malicious.pkl"
    path.write_bytes(malicious(marker)[name])
    with pytest.raises(InputError) as error:
        read_study(path)
    assert not marker.exists()
    said = str(error.value)
    assert "\n" not in said and str(path) in said and said.isprintable()
    if name not in ("Study called with a database", "a class changed"):
        assert "refused: it asks for" in said and "a .pkl can run any code" in said
    same(read_study(good), study)


def test_what_would_do_harm_does_it_when_it_is_run(tmp_path):
    """The test above proves nothing unless its pickles work."""
    marker = tmp_path / "marker"
    for name in ("os.system", "eval", "old protocol", "INST", "subprocess", "optuna's os"):
        pickle.loads(malicious(marker)[name])
        assert marker.exists()
        marker.unlink()


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
    with pytest.raises(InputError, match="not a study that"):
        read_study(path)


@pytest.mark.parametrize(
    "change",
    [{"net_name": "../resnet18"}, {"exp_name": "$(touch x)"}, {"weights": "a\x1b[2J"}, {"byol": "no"}, {"epochs": []}],
)
def test_settings_that_would_leave_the_folder_or_the_line_are_refused(tmp_path, change):
    path = StudyFiles(tmp_path, "resnet18", "E").write(small_study({**SETTINGS, **change}))
    with pytest.raises(InputError, match="not a study that"):
        read_study(path)


def test_a_missing_file_is_said_to_be_missing(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.pkl: no such study"):
        read_study(tmp_path / "nowhere.pkl")
