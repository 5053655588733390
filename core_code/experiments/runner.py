"""Run a plan: one command after the other, or several at once; one that fails does not stop the others."""

import json
import math
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from core_code.core_utils.cores import cores
from core_code.core_utils.devices import hardware
from core_code.core_utils.errors import InputError
from core_code.core_utils.files import append_line, drop_cut_line, make_folder
from core_code.core_utils.signals import PARENT, catch_signals
from core_code.core_utils.streams import LIVE_BARS
from core_code.experiments.plan import Step

POLL_S = 0.2
TAIL_BYTES = 4000
REPOSITORY = Path(__file__).resolve().parents[2]
LEDGER = Path("logs/experiments.jsonl")
RECORD: dict[str, type | tuple[type, ...]] = {
    "step": str,
    "command": str,
    "status": int,
    "seconds": (int, float),
    "hardware": str,
    "error": str,
}


@dataclass
class Running:
    """A step's process; its stderr is copied to `log` (None: to our stderr) and its end is kept."""

    step: Step
    process: subprocess.Popen[bytes]
    log: Path | None
    start: float = field(default_factory=time.perf_counter)
    tail: bytearray = field(default_factory=bytearray)

    def __post_init__(self) -> None:
        self.reader = threading.Thread(target=self.copy_stderr, daemon=True)
        self.reader.start()

    def copy_stderr(self) -> None:
        """Copy what the command writes to stderr as it comes."""
        assert self.process.stderr
        output = open(self.log, "wb") if self.log else sys.stderr.buffer  # noqa: SIM115
        while read := os.read(self.process.stderr.fileno(), TAIL_BYTES):
            with suppress(OSError):  # nobody listens; the command must not wait for that
                output.write(read)
                output.flush()
            self.tail += read
            del self.tail[:-TAIL_BYTES]

    def finish(self, output_root: Path) -> str:
        """Write the ended step into the ledger; returns its last error, or else line, and nothing for a success."""
        self.reader.join()
        status, seconds = self.process.returncode, time.perf_counter() - self.start
        lines = [line.strip() for line in self.tail.decode(errors="replace").replace("\r", "\n").splitlines()]
        errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
        last = (errors or [line for line in lines if line] or ["without a message"])[-1]
        error = f"exit status {status}: {last}" if status else ""
        record = {
            "step": self.step.name, "command": self.step.shown, "status": status, "seconds": round(seconds, 1),
            "hardware": hardware(), "ended": time.strftime("%Y-%m-%d %H:%M:%S"), "error": error,
        }  # fmt: skip
        append_line(output_root / LEDGER, json.dumps(record, ensure_ascii=False))
        tqdm.write(f"{self.step.name}: {f'FAILED, {error}' if error else f'done in {seconds / 60:.1f} min'}")
        return error


def within(steps: Sequence[Step], seconds: Mapping[str, float], longest_s: float) -> list[Step]:
    """The first steps that are expected to take no more than so many seconds together, and all complete ones.

    The plan goes by importance: what comes after the first that does not fit is left too.
    """
    total, chosen = 0.0, list[Step]()
    for step in steps:
        total += seconds.get(step.name, 0.0)
        if step.complete or total <= longest_s:
            chosen.append(step)
    return chosen


def run_steps(steps: Sequence[Step], at_once: int, output_root: Path, longest_s: float = math.inf) -> dict[str, str]:
    """Run all steps that are not complete; returns the error of each that failed, by the step's name.

    After `longest_s` seconds no further step is started, and those that run are waited for.

    Every end is added to logs/experiments.jsonl: command, exit status, seconds, hardware, error. With `at_once`
    above 1 that many steps run side by side, each on its share of the processor, and their messages go to
    logs/experiments_<step>.txt. Interrupted, it ends the running steps, which save what they have, and raises the
    interruption again.
    """
    done = {step.name for step in steps if step.complete}
    waiting = [step for step in steps if not step.complete]
    failed: dict[str, str] = {}
    running: list[Running] = []
    end = time.monotonic() + longest_s
    with catch_signals():
        try:
            while waiting or running:
                if waiting and time.monotonic() > end:
                    tqdm.write(f"the time is used up: {len(waiting)} steps are left for the next start")
                    waiting.clear()
                for step in [step for step in waiting if set(step.needs) & set(failed)]:
                    waiting.remove(step)
                    failed[step.name] = f"needs {' and '.join(set(step.needs) & set(failed))}, which failed"
                ready = [step for step in waiting if set(step.needs) <= done]
                for step in ready[: at_once - len(running)]:
                    waiting.remove(step)
                    running.append(start(step, at_once, output_root))
                    tqdm.write(f"{step.name} ({len(steps) - len(waiting)} of {len(steps)}): {step.shown}")
                time.sleep(POLL_S)
                for run in [run for run in running if run.process.poll() is not None]:
                    running.remove(run)
                    if error := run.finish(output_root):
                        failed[run.step.name] = error
                    else:
                        done.add(run.step.name)
        except BaseException:
            for run in running:
                run.process.terminate()
            for run in running:
                run.process.wait()
            raise
    return failed


def start(step: Step, at_once: int, output_root: Path) -> Running:
    """Start a step's command, a script of the repository or a module of it, with this Python."""
    command = step.command if step.command[0] == "-m" else (str(REPOSITORY / step.command[0]), *step.command[1:])
    environment, log = {**os.environ, PARENT: str(os.getpid())}, None
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(REPOSITORY), environment.get("PYTHONPATH"))))
    if at_once > 1:
        environment.setdefault("OMP_NUM_THREADS", str(max(1, cores() // at_once)))
        log = make_folder(output_root / "logs") / f"experiments_{step.name}.txt"
    elif sys.stderr.isatty():
        environment[LIVE_BARS] = "1"
    process = subprocess.Popen(
        [sys.executable, *command], env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL if log else None
    )
    return Running(step, process, log)


def read_ledger(output_root: Path) -> dict[str, list[dict]]:
    """The ledger's records of each step, oldest first; a last line that was cut off is dropped. Raises InputError for a
    line that is no record."""
    path, records = output_root / LEDGER, dict[str, list[dict]]()
    drop_cut_line(path)
    lines = path.read_bytes().splitlines() if path.is_file() else []
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
            if any(not isinstance(record[name], kind) for name, kind in RECORD.items()):
                raise ValueError("another type")
            if not 0 <= record["seconds"] <= sys.float_info.max:
                raise ValueError("no time")
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise InputError(f"{path}, line {number}: not a record of an experiment; remove the line") from error
        records.setdefault(record["step"], []).append(record)
    return records
