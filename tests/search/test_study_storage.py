"""A study in a SQLite file, in a journal file and in PostgreSQL; the error of storages that do not work."""

import glob
import importlib.util
import os
import shutil
import sqlite3
import subprocess
import tempfile
import time
from contextlib import closing
from pathlib import Path

import optuna
import pytest
from optuna.study import StudyDirection

from core_code.core_utils.errors import InputError
from core_code.search.files import StudyFiles, read_study
from core_code.search.results import ranking
from core_code.search.storage import open_storage, open_study, storage_url, without_password
from core_code.search.study import run_trials

SETTINGS = {"net_name": "resnet18", "exp_name": "E", "byol": False, "epochs": 2, "data_root": "data"}
HOW = (
    "no PostgreSQL: install a server (apt-get install postgresql) and a driver (pip install 'psycopg[binary]'), and "
    "the test starts one of its own; or name a running one, whose tables it may fill, in TEST_POSTGRESQL_URL "
    "(postgresql+psycopg://user:password@host/database)"
)


@pytest.fixture
def files(tmp_path):
    return StudyFiles(tmp_path / "studies", "resnet18", "E")


@pytest.fixture(scope="module")
def postgresql():
    """The URL of an empty PostgreSQL server that lives as long as these tests."""
    if url := os.environ.get("TEST_POSTGRESQL_URL"):
        yield url
        return
    programs = {name: find_program(name) for name in ("initdb", "pg_ctl")}
    if not all(programs.values()) or not importlib.util.find_spec("psycopg"):
        pytest.skip(HOW)
    folder = Path(tempfile.mkdtemp(prefix="pg"))  # short, for the path of a socket
    user = {}
    if os.geteuid() == 0:  # PostgreSQL does not run as root
        user = {"user": "postgres", "group": "postgres", "extra_groups": []}
        try:
            shutil.chown(folder, "postgres", "postgres")
        except LookupError:
            pytest.skip(HOW + "; as root it needs the user postgres")
    data = folder / "data"

    def run(*command: str) -> None:
        subprocess.run(command, check=True, capture_output=True, cwd=folder, **user)

    run(programs["initdb"], "-D", str(data), "-U", "study", "-A", "trust", "--no-sync")
    options = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off"
    with open(folder / "log", "w") as log:  # pg_ctl's child keeps its output open
        subprocess.run(
            [programs["pg_ctl"], "-D", str(data), "-w", "-o", options, "start"],
            check=True, cwd=folder, stdout=log, stderr=log, **user,
        )  # fmt: skip
    try:
        yield f"postgresql+psycopg://study:secret@/postgres?host={folder}"
    finally:
        run(programs["pg_ctl"], "-D", str(data), "-m", "immediate", "stop")
        shutil.rmtree(folder)


def find_program(name):
    """PostgreSQL's programs are often outside PATH."""
    return shutil.which(name) or next(iter(sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"), reverse=True)), None)


def a_study_is_resumed(storage, files):
    """Trials in a storage, opened anew as each start of the script does, with other settings refused."""
    deadline = time.time() + 1000

    def objective(trial):
        trial.report(0.1 * trial.number, 1)
        if trial.number == 1:
            raise MemoryError
        return trial.suggest_float("lr", 1e-5, 1e-2, log=True)

    for trials in (2, 2, 4):
        study = open_study(storage, files, StudyDirection.MAXIMIZE, SETTINGS)
        run_trials(study, files, objective, trials, deadline, seed=1)
        assert len(study.trials) == trials
    again = open_study(storage, files, StudyDirection.MAXIMIZE, {**SETTINGS, "data_root": "elsewhere"})
    kept = read_study(files.results)
    assert [trial.params for trial in kept.trials] == [trial.params for trial in again.trials]
    assert kept.best_trial.number == ranking(again)[0].number and len(kept.trials) == 4
    for change in ({"epochs": 5}, {"byol": True}, {"image_size": 64}):
        with pytest.raises(InputError) as error:
            open_study(storage, files, StudyDirection.MAXIMIZE, {**SETTINGS, **change})
        assert f"{next(iter(change))} " in str(error.value) and "another --exp_name" in str(error.value)
        assert "secret" not in str(error.value)


def test_sqlite_beside_the_pkl_by_default(files):
    storage = storage_url(None, files)
    a_study_is_resumed(storage, files)
    assert sorted(path.name for path in files.folder.iterdir() if path.name[0] != ".") == [
        "optuna_study_resnet18_E.db", "optuna_study_results_resnet18_E.pkl"]  # fmt: skip


def test_a_journal_file(files, tmp_path):
    storage = storage_url(str(tmp_path / "new" / "journal.log"), files)
    a_study_is_resumed(storage, files)
    assert (tmp_path / "new" / "journal.log").is_file()


def test_postgresql(files, postgresql):
    a_study_is_resumed(postgresql, files)


def test_a_storage_is_shown_without_its_password():
    assert "secret" not in without_password("postgresql+psycopg://study:secret@host/database")
    assert without_password("a/journal.log") == "a/journal.log"


@pytest.mark.parametrize(
    "storage",
    ["{here}/text.txt", "{here}/picture.png", "sqlite:///{here}/text.txt", "sqlite:////proc/no/such.db", "nonsense://x",
     "mysql+nodriver://study:secret@nowhere/x", "postgresql+psycopg://study:secret@/x?host=/nowhere", "://", "{here}"],
)  # fmt: skip
def test_a_storage_that_does_not_work_is_an_error_of_one_line(files, tmp_path, storage):
    (tmp_path / "text.txt").write_text("These are the notes of a user.\n" * 100)
    (tmp_path / "picture.png").write_bytes(bytes(range(128, 256)) * 9)
    with pytest.raises(InputError) as error:
        open_study(storage.format(here=tmp_path), files, StudyDirection.MAXIMIZE, SETTINGS)
    message = str(error.value)
    assert "\n" not in message and "secret" not in message
    assert (tmp_path / "text.txt").read_text().startswith("These are the notes")


def test_a_study_without_our_settings_is_not_changed(files):
    import optuna

    storage = storage_url(None, files)
    files.folder.mkdir()
    other = optuna.create_study(storage=storage, study_name="resnet18_E")
    other.optimize(lambda trial: 1.0, n_trials=1)
    with pytest.raises(InputError, match="another --exp_name"):
        open_study(storage, files, StudyDirection.MAXIMIZE, SETTINGS)


def test_a_journal_that_a_full_disk_cut_off_goes_on(files, tmp_path, capsys):
    journal = tmp_path / "study.log"
    study = open_study(str(journal), files, StudyDirection.MAXIMIZE, SETTINGS)
    study.add_trial(optuna.trial.create_trial(value=0.5))
    whole = journal.read_bytes()
    for cut in (1, 5, 40):
        journal.write_bytes(whole + whole.splitlines()[-1][:cut])
        again = open_study(str(journal), files, StudyDirection.MAXIMIZE, SETTINGS)
        assert "study.log: its last line was cut off" in capsys.readouterr().err
        again.add_trial(optuna.trial.create_trial(value=0.25))
        again = open_study(str(journal), files, StudyDirection.MAXIMIZE, SETTINGS)
        assert [trial.value for trial in again.trials] == [0.5, 0.25]


def test_a_question_mark_in_the_folder_is_part_of_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for root in ("a?mode=ro", "b?", "100% ?"):
        files = StudyFiles(Path(root) / "studies", "resnet18", "E")
        open_study(storage_url(None, files), files, StudyDirection.MAXIMIZE, SETTINGS)
        assert (tmp_path / root / "studies" / "optuna_study_resnet18_E.db").is_file()
    assert {path.name for path in tmp_path.iterdir()} == {"a?mode=ro", "b?", "100% ?"}


@pytest.mark.parametrize(
    "url", ["postgresql+psycopg://me@host/db?password=hidden", "mysql://host/db?passwd=hidden&x=1",
            "postgresql://me:hidden@host/db?sslpassword=hidden"],
)  # fmt: skip
def test_a_password_in_the_query_is_shown_to_nobody(files, url):
    assert "hidden" not in without_password(url)
    with pytest.raises(InputError) as error:
        open_study(url + "&connect_timeout=1", files, StudyDirection.MAXIMIZE, SETTINGS)
    assert "hidden" not in str(error.value)


def test_a_database_that_is_given_as_a_journal_is_called_one(files):
    open_study(storage_url(None, files), files, StudyDirection.MAXIMIZE, SETTINGS)
    with pytest.raises(InputError, match="a database of SQLite, expected a journal file: give --storage sqlite:///"):
        open_study(str(files.folder / "optuna_study_resnet18_E.db"), files, StudyDirection.MAXIMIZE, SETTINGS)


@pytest.mark.parametrize("odd", ["99", "-4", "null"])
def test_a_damaged_line_of_a_journal_is_one_line(files, tmp_path, odd):
    journal = tmp_path / "study.log"
    open_study(str(journal), files, StudyDirection.MAXIMIZE, SETTINGS).ask()
    journal.write_bytes(journal.read_bytes().replace(b'"op_code":4', b'"op_code":' + odd.encode()))
    with pytest.raises(InputError, match=r"study\.log: this storage does not work \("):
        open_study(str(journal), files, StudyDirection.MAXIMIZE, SETTINGS)


@pytest.mark.parametrize(
    "change",
    ["trials SET state = 'NOPE'", "trials SET datetime_start = 'nonsense'", "trial_params SET param_value = 'abc'",
     "trial_params SET distribution_json = '{\"name\": \"X\"}'"],
)  # fmt: skip
def test_a_database_with_a_damaged_trial_is_one_line(files, tmp_path, change):
    storage = f"sqlite:///{tmp_path}/study.db"
    open_study(storage, files, StudyDirection.MAXIMIZE, SETTINGS).ask().suggest_categorical(
        "optimizer", ["adam", "sgd"]
    )
    with closing(sqlite3.connect(tmp_path / "study.db")) as database:
        database.execute(f"UPDATE {change}")
        database.commit()
    with pytest.raises(InputError, match=r"study\.db: this storage does not work \("):
        open_study(storage, files, StudyDirection.MAXIMIZE, SETTINGS)


@pytest.mark.parametrize("what", ["a pipe", "a device", "a folder"])
def test_a_journal_that_is_no_file_is_refused(tmp_path, what):
    path = {"a pipe": tmp_path / "pipe", "a device": "/dev/zero", "a folder": tmp_path}[what]
    if what == "a pipe":
        os.mkfifo(path)
    with pytest.raises(InputError, match="no file, expected the path of a journal file"):
        open_storage(str(path))


def test_a_study_whose_direction_was_changed_by_hand_is_one_line(files, tmp_path):
    url = f"sqlite:///{tmp_path}/study.db"
    open_study(url, files, StudyDirection.MAXIMIZE, SETTINGS)
    with closing(sqlite3.connect(tmp_path / "study.db")) as database, database:
        database.execute("UPDATE study_directions SET direction = 'MINIMIZE'")
    with pytest.raises(InputError, match="study resnet18_E is to minimize its value, expected to maximize it"):
        open_study(url, files, StudyDirection.MAXIMIZE, SETTINGS)
