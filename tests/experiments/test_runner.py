"""Running a plan: order, failures, the ledger, several at once, interruption."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from core_code.core_utils.errors import InputError
from core_code.experiments import runner
from core_code.experiments.plan import Step, steps_learned

SCRIPT = """
import sys, time, pathlib
name, seconds, status = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
folder = pathlib.Path(sys.argv[4])
(folder / "order").open("a").write(f"start {name}\\n")
time.sleep(seconds)
(folder / "order").open("a").write(f"end {name}\\n")
print("a line on stdout")
if status:
    print("error: the disk is on fire", file=sys.stderr)
sys.exit(status)
"""


@pytest.fixture
def step(tmp_path, monkeypatch):
    """`step(name, *needs, seconds=, status=, complete=)`: a step whose command writes down when it starts and ends."""
    (tmp_path / "work.py").write_text(SCRIPT)
    monkeypatch.setattr(runner, "REPOSITORY", tmp_path)

    def make(name: str, *needs: str, seconds: float = 0, status: int = 0, complete: bool = False) -> Step:
        command = ("work.py", name, str(seconds), str(status), str(tmp_path))
        return Step(name, command, needs, "training", 1, complete=complete)

    return make


def order(folder: Path) -> list[str]:
    return (folder / "order").read_text().splitlines() if (folder / "order").exists() else []


def ledger(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "logs/experiments.jsonl").read_text().splitlines()]


def test_steps_run_one_after_the_other_when_what_they_need_is_there(tmp_path, step):
    steps = [step("a", "c"), step("b", "a", "d"), step("c"), step("d", complete=True)]
    assert runner.run_steps(steps, 1, tmp_path) == {}
    assert order(tmp_path) == ["start c", "end c", "start a", "end a", "start b", "end b"]
    records = ledger(tmp_path)
    assert [record["step"] for record in records] == ["c", "a", "b"]
    assert all(record["status"] == 0 and record["error"] == "" and record["hardware"] for record in records)
    assert records[0]["command"] == f"python work.py c 0 0 {tmp_path}"
    assert list(runner.read_ledger(tmp_path)) == ["c", "a", "b"]


def test_a_failure_is_recorded_with_its_error_and_the_others_go_on(tmp_path, step):
    steps = [step("a", status=2), step("b", "a"), step("c", "b"), step("d")]
    failed = runner.run_steps(steps, 1, tmp_path)
    assert failed == {
        "a": "exit status 2: the disk is on fire",
        "b": "needs a, which failed",
        "c": "needs b, which failed",
    }
    assert order(tmp_path) == ["start a", "end a", "start d", "end d"]
    assert [(record["step"], record["status"]) for record in ledger(tmp_path)] == [("a", 2), ("d", 0)]
    assert ledger(tmp_path)[0]["error"] == failed["a"]


def test_several_at_once_run_side_by_side_and_write_logs_of_their_own(tmp_path, step):
    steps = [step("a", seconds=3, status=2), step("b", seconds=3), step("c", "b")]
    failed = runner.run_steps(steps, 2, tmp_path)
    assert list(failed) == ["a"]
    assert sorted(order(tmp_path)[:2]) == ["start a", "start b"]
    assert "the disk is on fire" in (tmp_path / "logs/experiments_a.txt").read_text()


def test_after_the_time_that_is_given_no_step_is_started(tmp_path, step, capsys):
    assert runner.run_steps([step("a", seconds=1), step("b"), step("c")], 1, tmp_path, longest_s=0.5) == {}
    assert order(tmp_path) == ["start a", "end a"]
    assert "2 steps are left for the next start" in capsys.readouterr().out


def test_a_module_of_the_repository_is_run_from_any_folder(tmp_path, monkeypatch):
    (tmp_path / "package").mkdir()
    (tmp_path / "package/__main__.py").write_text("import sys, pathlib\npathlib.Path(sys.argv[1]).touch()\n")
    monkeypatch.setattr(runner, "REPOSITORY", tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    step = Step("a", ("-m", "package", "made"), (), "labels", 1)
    assert runner.run_steps([step], 1, tmp_path) == {}
    assert (elsewhere / "made").exists() and ledger(tmp_path)[0]["command"] == "python -m package made"


def test_an_interruption_ends_the_running_steps(tmp_path, step):
    def interrupt() -> None:
        while not order(tmp_path):
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        runner.run_steps([step("a", seconds=600), step("b")], 1, tmp_path)
    assert order(tmp_path) == ["start a"]
    left = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert f"{tmp_path}/work.py a" not in left


KILLED = """
import sys, pathlib
sys.path.insert(0, sys.argv[2])
from core_code.experiments import runner
from core_code.experiments.plan import Step, steps_learned
folder = pathlib.Path(sys.argv[1])
runner.REPOSITORY = folder
runner.run_steps([Step("a", ("work.py", sys.argv[2], str(folder)), (), "training", 1)], 1, folder)
"""
WORK = """
import sys, pathlib, time
sys.path.insert(0, sys.argv[1])
from core_code.core_utils.errors import run_command
def main():
    pathlib.Path(sys.argv[2], "started").touch()
    try:
        time.sleep(600)
    finally:
        pathlib.Path(sys.argv[2], "ended").touch()
run_command(main)
"""


def test_a_step_ends_by_itself_when_the_study_is_killed(tmp_path):
    (tmp_path / "work.py").write_text(WORK)
    study = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path), str(Path.cwd())], stderr=subprocess.PIPE)
    while not (tmp_path / "started").exists():
        time.sleep(0.05)
    assert not (tmp_path / "ended").exists()
    study.kill()
    study.communicate()
    end = time.monotonic() + 60
    while not (tmp_path / "ended").exists() and time.monotonic() < end:
        time.sleep(0.05)
    assert (tmp_path / "ended").exists()


GOOD = json.dumps({"step": "a", "command": "c", "status": 0, "seconds": 1.5, "hardware": "h", "error": ""}).encode()


@pytest.mark.parametrize(
    "line", [b"nonsense", b'{"step": "a"}', b"\xff\xfe", b"[]", b"null", GOOD.replace(b"1.5", b'"x"'),
             *(GOOD.replace(b"1.5", value) for value in (b"-1", b"NaN", b"Infinity", b"9" * 400))]
)  # fmt: skip
def test_the_error_of_a_damaged_ledger_names_the_line(tmp_path, line):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/experiments.jsonl").write_bytes(GOOD + b"\n" + line + b"\n" + GOOD + b"\n")
    with pytest.raises(InputError, match="line 2: not a record"):
        runner.read_ledger(tmp_path)


@pytest.mark.parametrize(
    ("line", "steps"), [(b'{"step": 70}', 70), (b"[" * 100_000, 0), (b'{"step": 1e999}', 0), (b'{"st', 0), (b"", 0)]
)
def test_steps_of_a_damaged_log_of_a_generator_count_as_none(line, steps, tmp_path):
    (tmp_path / "learning.jsonl").write_bytes(line)
    assert steps_learned(tmp_path) == steps


def test_a_ledger_that_a_full_disk_cut_off_goes_on(tmp_path, capsys):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/experiments.jsonl").write_bytes(GOOD + b"\n" + GOOD[:30])
    assert len(runner.read_ledger(tmp_path)["a"]) == 1
    assert "experiments.jsonl: its last line was cut off" in capsys.readouterr().err


def test_the_hardware_is_named():
    found = runner.hardware()
    assert "torch" in found and ("cores of" in found or "NVIDIA" in found)
    assert sys.executable
