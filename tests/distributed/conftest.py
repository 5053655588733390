"""`job(...)`: a command as one process or as several that know each other."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


@dataclass
class Ended:
    """What a job left behind: the exit status and the words of each of its processes."""

    statuses: list[int]
    out: list[str]
    err: list[str]

    @property
    def went_well(self) -> bool:
        return not any(self.statuses)


@pytest.fixture(scope="session")
def launcher() -> Iterator[subprocess.Popen]:
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{HERE}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(HERE / "launcher.py")]
    with subprocess.Popen(
        command, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        yield process
        process.stdin.close()


@pytest.fixture
def job(launcher, tmp_path) -> Callable[..., Ended]:
    """`job(processes, command, *arguments)` runs a module's main in tmp_path and waits for it."""
    numbers = iter(range(100))

    def run(processes: int, command: str, *arguments: str, fault: dict | None = None) -> Ended:
        said = str(tmp_path / "said" / str(next(numbers)))
        wanted = {"processes": processes, "command": command, "arguments": arguments, "folder": str(tmp_path)}
        launcher.stdin.write(json.dumps({**wanted, "said": said, "fault": fault}) + "\n")
        launcher.stdin.flush()
        statuses = json.loads(launcher.stdout.readline())
        words = [[Path(f"{said}.{rank}.{kind}").read_text() for rank in range(processes)] for kind in ("out", "err")]
        return Ended(statuses, *words)

    return run
