"""Damaged files of every kind that the program reads: each works or is refused in one line that names it.

The mutants are made from seeds: the same ones every time. `pytest` tries the first of each family (every kind of
damage among them, or nearly), `pytest -m ""` all. They are read in a process of their own, whose memory is limited
and in which starting a program is noticed; see family.try_mutant for what must hold of each.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from plan import PLAN

WORKER = Path(__file__).with_name("fuzz_worker.py")
PLANNED = 3500
WORKS, REFUSED = "works", "refused"  # as family.py says them


class Try(NamedTuple):
    """How one mutant ended: `outcome` is WORKS, REFUSED, or what went wrong."""

    number: int
    kind: str
    outcome: str


class Worker:
    """The process that reads mutants; started once for all families."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, str(WORKER), str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )  # fmt: skip

    def tries(self, family: str, first: int, last: int) -> Iterator[Try]:
        """Let it try the mutants; a process that dies is the last one's fault."""
        self.process.stdin.write(f"{family} {first} {last}\n")
        self.process.stdin.flush()
        number = kind = "none"
        for line in self.process.stdout:
            word, _, rest = line.strip().partition(" ")
            if word == "begin":
                number, _, kind = rest.partition(" ")
            elif word == "done":
                return
            else:
                yield Try(int(number), kind, rest if word == "end" else json.loads(rest))
        output = (self.folder / "output.txt").read_text(errors="replace")[-2000:]
        pytest.fail(f"{family} {number} ({kind}) ended the process with {self.process.wait()}: {output}")

    def end(self) -> None:
        self.process.stdin.close()
        self.process.wait(60)


@pytest.fixture(scope="module")
def worker(tmp_path_factory) -> Iterator[Worker]:
    worker = Worker(tmp_path_factory.mktemp("fuzz"))
    yield worker
    worker.end()


def check(worker: Worker, name: str, count: int) -> None:
    """Try the first `count` of a family; fail with all that escaped and how to see one of them again."""
    if name == "parquet":
        pytest.importorskip("pyarrow.parquet")
    tries = list(worker.tries(name, 0, count))
    assert [one.number for one in tries] == list(range(count))
    wrong = [one for one in tries if one.outcome not in (WORKS, REFUSED)]
    again = f"python {WORKER} FOLDER {name} NUMBER"
    shown = "\n".join(f"{name} {one.number} ({one.kind}): {one.outcome}" for one in wrong[:10])
    assert not wrong, f"{len(wrong)} of {count}; one alone: {again}\n{shown}"
    outcomes = {one.outcome for one in tries}
    assert REFUSED in outcomes or name == "cache", "no mutant was refused: are they damaged at all?"


@pytest.mark.parametrize("name", PLAN)
def test_damaged_files_work_or_are_refused_in_one_line(worker, name):
    check(worker, name, PLAN[name].quick)


@pytest.mark.slow
@pytest.mark.parametrize("name", PLAN)
def test_all_damaged_files_work_or_are_refused_in_one_line(worker, name):
    check(worker, name, PLAN[name].total)


def test_the_plan_has_as_many_mutants_as_is_said():
    assert sum(share.total for share in PLAN.values()) >= PLANNED
    assert all(0 < share.quick < share.total for share in PLAN.values())
