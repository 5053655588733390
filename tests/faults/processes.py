"""The program's commands as processes of their own, with what they say in files; and what they have left behind."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from PIL import Image
from training_runs import differences

from core_code.search.files import read_study

ROOT = Path(__file__).parents[2]
SMALL_NET = str(Path(__file__).with_name("small_net.py"))
PATIENCE_S = 1800  # for whatever should happen soon, on however busy a machine
POLL_S = 0.002
# what two runs that end alike may have different: logs tell times, a database tells moments and processes
OWN = re.compile(r"(^|/)(logs/|\.[^/]*lock$|[^/]*\.(db|pkl|cache)$)")


class Process:
    """A command that runs in `folder`; what it says is in files of `folder`_said, so that no pipe can fill up."""

    def __init__(self, command: Sequence[str], folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        said = folder.with_name(f"{folder.name}_said")
        said.mkdir(exist_ok=True)
        number = len(list(said.iterdir())) // 2
        self.command, self.folder = [sys.executable, *command], folder
        self.paths = [said / f"{number:03d}.{name}" for name in ("out", "err")]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"}
        with open(self.paths[0], "wb") as out, open(self.paths[1], "wb") as err:
            self.process = subprocess.Popen(self.command, cwd=folder, stdout=out, stderr=err, env=environment)

    @property
    def out(self) -> str:
        return self.paths[0].read_text(errors="replace")

    @property
    def err(self) -> str:
        return self.paths[1].read_text(errors="replace")

    @property
    def lives(self) -> bool:
        return self.process.poll() is None

    def wait_until(self, happened: Callable[[], bool], seconds: float = PATIENCE_S) -> bool:
        """Whether it happened while the process lived, before so many seconds had passed."""
        deadline = time.monotonic() + seconds
        while self.lives and time.monotonic() < deadline:
            if happened():
                return True
            time.sleep(POLL_S)
        return False

    def kill(self) -> bool:
        """kill -9; whether that, and nothing else, ended it."""
        self.process.kill()
        return self.process.wait(PATIENCE_S) == -signal.SIGKILL

    def end(self) -> int:
        """Wait for the exit status; there must be no traceback."""
        status = self.process.wait(PATIENCE_S)
        assert "Traceback" not in self.out + self.err, self.story()
        return status

    def story(self) -> str:
        """What was run and said, for who reads a failed test."""
        return f"{' '.join(self.command)}\n{self.out}\n{self.err}"


@contextmanager
def started(command: Sequence[str], folder: Path) -> Iterator[Process]:
    """A process that does not outlive the test."""
    process = Process(command, folder)
    try:
        yield process
    finally:
        if process.lives:
            process.kill()


def finish(command: Sequence[str], folder: Path) -> Process:
    """Run a command to its end, which must be a good one."""
    with started(command, folder) as process:
        assert process.end() == 0, process.story()
    return process


def errors_of(process: Process) -> list[str]:
    """The lines of error that it ended with."""
    return [line for line in process.err.splitlines() if line.startswith("error: ")]


def parts(folder: Path) -> list[Path]:
    """Half-written files below the folder."""
    return list(folder.rglob("*.part"))


def check_whole(folder: Path) -> None:
    """No half-written file, and all that are there can be read."""
    assert not parts(folder)
    for path in files_of(folder):
        if path.suffix == ".pth":
            torch.load(path, weights_only=True)
        elif path.suffix == ".png":
            with Image.open(path) as image:
                image.load()
        elif path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".jsonl":
            assert [json.loads(line) for line in path.read_text().splitlines()]
        elif path.suffix == ".pkl":
            assert read_study(path).trials


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def without_seconds(path: Path) -> bytes | list[dict[str, str]]:
    """A file's content; of a history as CSV all but the seconds of its epochs."""
    if path.suffix != ".csv":
        return path.read_bytes()
    with open(path, newline="") as file:
        return [{name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(file)]


def unlike(folder: Path, unbroken: Path) -> list[str]:
    """How the files of two runs differ: checkpoints tensor for tensor, all others byte for byte, seconds apart."""
    ours, theirs = (
        {name for path in files_of(root) if not OWN.search(name := path.relative_to(root).as_posix())}
        for root in (folder, unbroken)
    )
    found = [f"{name} is in one alone" for name in ours ^ theirs]
    for name in sorted(ours & theirs):
        one, other = folder / name, unbroken / name
        if name.endswith(".pth"):
            found += [
                f"{name}{at}" for at in differences(*(torch.load(path, weights_only=True) for path in (one, other)))
            ]
        elif without_seconds(one) != without_seconds(other):
            found.append(name)
    return found
