"""Carrying out a plan: one command after the other, or several at once; one that fails does not stop the others."""

import json
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import torch
from tqdm import tqdm

from core_code.core_utils.errors import InputError
from core_code.core_utils.files import append_line, make_folder
from core_code.core_utils.signals import catch_sigterm
from core_code.experiments.plan import Step

POLL_S = 0.2
TAIL_BYTES = 4000
REPOSITORY = Path(__file__).resolve().parents[2]
LEDGER = Path("logs/experiments.jsonl")


@dataclass
class Running:
    """A step's process, and the end of what it says on stderr."""

    step: Step
    process: subprocess.Popen[bytes]
    start: float
    said: bytearray = field(default_factory=bytearray)
    listener: threading.Thread | None = None

    def last_words(self) -> str:
        """The error that the command ended with, or the last line that it wrote."""
        lines = [line.strip() for line in self.said.decode(errors="replace").replace("\r", "\n").splitlines()]
        errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
        return (errors or [line for line in lines if line] or ["it said nothing"])[-1]


def carry_out(steps: Sequence[Step], at_once: int, output_root: Path) -> dict[str, str]:
    """Run all steps that are not complete; returns what went wrong, by the step's name.

    Every end is added to logs/experiments.jsonl: command, exit status, seconds, hardware, error. With `at_once`
    above 1 that many steps run side by side, each on its share of the processor, and what they say goes to
    logs/experiments_<step>.txt. Interrupted, it ends the running steps, which save what they have, and raises the
    interruption again.
    """
    done = {step.name for step in steps if step.complete}
    waiting = [step for step in steps if not step.complete]
    failed: dict[str, str] = {}
    running: list[Running] = []
    with catch_sigterm():
        try:
            while waiting or running:
                for step in [step for step in waiting if set(step.needs) & set(failed)]:
                    waiting.remove(step)
                    failed[step.name] = f"needs {' and '.join(set(step.needs) & set(failed))}, which failed"
                ready = [step for step in waiting if set(step.needs) <= done]
                for step in ready[: at_once - len(running)]:
                    waiting.remove(step)
                    running.append(start(step, at_once, output_root))
                time.sleep(POLL_S)
                for run in [run for run in running if run.process.poll() is not None]:
                    running.remove(run)
                    error = finish(run, output_root)
                    if error:
                        failed[run.step.name] = error
                    else:
                        done.add(run.step.name)
        except BaseException:
            end(running)
            raise
    return failed


def start(step: Step, at_once: int, output_root: Path) -> Running:
    """Start a step's command in the repository's own scripts, with this Python."""
    script, *flags = step.command
    environment = dict(os.environ)
    if at_once > 1:
        environment.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // at_once)))
    tqdm.write(f"\n{step.name}: {step.shown}")
    process = subprocess.Popen(
        [sys.executable, str(REPOSITORY / script), *flags], env=environment, stderr=subprocess.PIPE,
        stdout=None if at_once == 1 else subprocess.DEVNULL,
    )  # fmt: skip
    run = Running(step, process, time.perf_counter())
    heard: Callable[[], BinaryIO] = lambda: sys.stderr.buffer  # noqa: E731
    if at_once > 1:
        path = make_folder(output_root / "logs") / f"experiments_{step.name}.txt"
        heard = lambda: open(path, "wb")  # noqa: E731, SIM115
    run.listener = threading.Thread(target=listen, args=(run, heard()), daemon=True)
    run.listener.start()
    return run


def listen(run: Running, listener: BinaryIO) -> None:
    """Pass on what the command says on stderr as it comes, and keep the end of it."""
    assert run.process.stderr
    while heard := os.read(run.process.stderr.fileno(), TAIL_BYTES):
        listener.write(heard)
        listener.flush()
        run.said += heard
        del run.said[:-TAIL_BYTES]


def finish(run: Running, output_root: Path) -> str:
    """Write the step's end into the ledger; returns the error, empty for a success."""
    if run.listener:
        run.listener.join()
    status, seconds = run.process.returncode, time.perf_counter() - run.start
    error = "" if status == 0 else f"exit status {status}: {run.last_words()}"
    record = {
        "step": run.step.name, "command": run.step.shown, "status": status, "seconds": round(seconds, 1),
        "hardware": hardware(), "ended": time.strftime("%Y-%m-%d %H:%M:%S"), "error": error,
    }  # fmt: skip
    append_line(output_root / LEDGER, json.dumps(record, ensure_ascii=False))
    tqdm.write(f"{run.step.name}: {f'FAILED, {error}' if error else f'done in {seconds / 60:.1f} min'}")
    return error


def end(running: Sequence[Running]) -> None:
    """Let the running steps save what they have, and wait for them."""
    for run in running:
        run.process.terminate()
    for run in running:
        run.process.wait()


def read_ledger(output_root: Path) -> dict[str, list[dict]]:
    """What the ledger says of each step, oldest first. Raises InputError for a line that is not JSON."""
    path = output_root / LEDGER
    records: dict[str, list[dict]] = {}
    if not path.exists():
        return records
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            record = json.loads(line)
            records.setdefault(record["step"], []).append(record)
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}, line {number}: not a record of an experiment; remove the line") from error
    return records


def hardware() -> str:
    """The processor, or the GPU where there is one, and torch's version, in words."""
    if torch.cuda.is_available():
        return f"{torch.cuda.get_device_name()}, torch {torch.__version__}"
    return f"{os.cpu_count()} cores of {processor()}, torch {torch.__version__}"


def processor() -> str:
    """The processor's name as the system tells it, with the units that bfloat16 is computed by."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        entries = dict(reversed([tuple(map(str.strip, line.split(":", 1))) for line in lines if ":" in line]))
        units = [unit for unit in ("amx_bf16", "avx512_bf16") if unit in entries.get("flags", "").split()]
        return entries["model name"] + (f" ({units[0]})" if units else "")
    except (OSError, KeyError, ValueError):
        return platform.processor() or platform.machine()
