"""Implementations of the same work take turns, so that other load on the machine is the same for all; flags; report."""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch

from core_code.core_utils import flags
from core_code.core_utils.errors import InputError
from core_code.models.architectures import ARCHITECTURES

MEGABYTE = 1e6
Implementations = dict[str, Callable[[], Iterator[int]]]


class Speed(NamedTuple):
    """Items per second of the clock, and of this process's CPU time (which means nothing for a GPU's work)."""

    per_s: float
    per_cpu_s: float


def make_parser(description: str, names: tuple[str, ...], net: bool = True) -> argparse.ArgumentParser:
    """A parser with what the speed benchmarks share. `names` are the implementations; `net`: one of a network."""
    parser = flags.Parser(description=description)
    if net:
        parser.add_argument("--net_name", choices=tuple(ARCHITECTURES), default="resnet18")
        parser.add_argument("--image_size", type=flags.count, default=224)
        parser.add_argument("--steps", type=flags.count, default=2, help="of each in a round")
    parser.add_argument("--rounds", type=flags.count, default=3)
    parser.add_argument("--only", "--ways", nargs="+", choices=names, help="some alone, to see their peak memory")
    flags.add_data_flags(parser)
    flags.add_device_flags(parser)
    return parser


def print_speeds(
    implementations: Implementations, args: argparse.Namespace, unit: str, device: torch.device, dtype: torch.dtype,
    **facts: str | float,
) -> None:  # fmt: skip
    """Measure the chosen implementations and print one JSON object: `facts`, the hardware, the speeds."""
    chosen = {name: start for name, start in implementations.items() if not args.only or name in args.only}
    speeds = take_turns(chosen, args.rounds, getattr(args, "steps", 1))
    hardware = {"device": str(device), "dtype": str(dtype).removeprefix("torch."), "threads": torch.get_num_threads()}
    print_json(facts | hardware | figures(speeds, unit))


def take_turns(implementations: Implementations, rounds: int, steps: int) -> dict[str, Speed]:
    """Each one's medians over the rounds, in which all take turns; a first round of one step does not count.

    An implementation gives an endless iterator that does a step of its work each time and yields the number of items.
    """
    running = {name: start() for name, start in implementations.items()}
    speeds: dict[str, list[Speed]] = {name: [] for name in implementations}
    for number in range(rounds + 1):
        for name, iterator in running.items():
            measured = speed(iterator, steps if number else 1)
            if number:
                speeds[name].append(measured)
            print(f"round {number} of {rounds}, {name}: {measured.per_s:.2f}/s", file=sys.stderr)
    return {name: Speed(*map(statistics.median, zip(*values, strict=True))) for name, values in speeds.items()}


def speed(steps: Iterator[int], count: int) -> Speed:
    """Over `count` steps."""
    start, cpu_start = time.perf_counter(), time.process_time()
    items = sum(next(steps) for _ in range(count))
    return Speed(items / (time.perf_counter() - start), items / (time.process_time() - cpu_start))


def figures(speeds: dict[str, Speed], unit: str) -> dict[str, Any]:
    """The speeds, and the ratios of the first one's to each other's, by name."""
    first, *others = speeds
    named = {f"{name}_{unit}_per_{clock}": round(value, 2) for name, both in speeds.items()
             for clock, value in zip(("s", "cpu_s"), both, strict=True)}  # fmt: skip
    for other in others:
        for suffix, i in (("", 0), ("_by_cpu_time", 1)):
            named[f"{first}_to_{other}{suffix}"] = round(speeds[first][i] / speeds[other][i], 3)
    return named | {"peak_megabytes": round(peak_megabytes())}


def seconds(work: Callable[[], object]) -> float:
    """The time that it takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def peak_megabytes() -> float:
    """The most memory that this process has held so far."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MEGABYTE


def print_json(result: dict[str, Any]) -> None:
    """What a benchmark prints last, and run_script reads."""
    print(json.dumps(result, indent=2))


def run_script(script: Path | str, *arguments: object) -> dict[str, Any]:
    """The JSON object that a benchmark prints in a process of its own. Raises InputError where it fails."""
    command = [sys.executable, str(script), *map(str, arguments)]
    print(f"$ {' '.join(command[1:])}", file=sys.stderr)
    ended = subprocess.run(command, stdout=subprocess.PIPE)
    if ended.returncode:
        raise InputError(f"{Path(script).name} failed with status {ended.returncode}; see its error above")
    text = ended.stdout.decode()
    return json.loads(text[text.index("{\n") :])
