"""Ways to do the same work that take turns, so that a machine that others use as well is the same for all."""

import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

MEGABYTE = 1e6


class Speed(NamedTuple):
    """Items per second of the clock, and of this process's CPU time (which means nothing for a GPU's work)."""

    per_s: float
    per_cpu_s: float


def take_turns(
    ways: dict[str, Callable[[], Iterator[int]]], rounds: int, steps: dict[str, int] | int
) -> dict[str, Speed]:
    """Each way's medians over the rounds, in which all take turns; a first round of one step does not count.

    A way gives an endless iterator that does a step of its work each time and says how many items that was. `steps`
    are those of a round, for all or for each.
    """
    running = {name: way() for name, way in ways.items()}
    speeds: dict[str, list[Speed]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in running.items():
            count = steps if isinstance(steps, int) else steps[name]
            measured = speed(way, count if number else 1)
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
    """What JSON says of the speeds: each, and what the first way's are to every other's."""
    first, *others = speeds
    named = {f"{name}_{unit}_per_{clock}": round(value, 2) for name, both in speeds.items()
             for clock, value in zip(("s", "cpu_s"), both, strict=True)}  # fmt: skip
    for other in others:
        for suffix, i in (("", 0), ("_by_cpu_time", 1)):
            named[f"{first}_to_{other}{suffix}"] = round(speeds[first][i] / speeds[other][i], 3)
    return named | {"peak_megabytes": round(peak_megabytes())}


def peak_megabytes() -> float:
    """The most memory that this process has held so far."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MEGABYTE


def chosen(ways: dict[str, Callable[[], Iterator[int]]], only: list[str] | None) -> dict[str, Callable]:
    """Some of the ways, in their order, or all."""
    return {name: way for name, way in ways.items() if not only or name in only}
