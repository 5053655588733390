"""A chart of top-1: a line for each model, on it a dot for each seed, their mean, and the published figure."""

import math
from collections.abc import Sequence
from html import escape
from typing import Any

MOST_TICKS = 6
MARGIN = 0.06  # of the chart's width, left free at either end


def chart(rows: Sequence[tuple[dict[str, Any], float | None]]) -> str:
    """Inline SVG for the scored models of one net and split, each with its published top-1 in percent, if any.

    All places are percentages of the width, so that the words stay as large on a phone as they are on a desk.
    """
    points = [100 * seed["top1"] for row, _ in rows for seed in row["seeds"].values()]
    points = [value for value in [*points, *(value for _, value in rows if value is not None)] if not math.isnan(value)]
    if not points:
        return ""
    low, high = limits(points)
    marks = ticks(low, high)
    lines = [chart_line(row, published, marks, low, high) for row, published in rows]
    numbers = "".join(f'<text x="{place(mark, low, high)}" y="12">{mark:g}</text>' for mark in marks)
    key = '<span class="key seed"></span>a seed <span class="key mean"></span>mean'
    if any(published is not None for _, published in rows):
        key += ' <span class="key published"></span>published'
    return (
        f'<div class="chart">{"".join(lines)}<span class="key-line">{key}</span>'
        f'<svg class="axis" aria-hidden="true">{numbers}</svg><span class="unit">top-1, %</span></div>'
    )


def limits(points: Sequence[float]) -> tuple[float, float]:
    """The ends of the axis: all points, and some room."""
    low, high = min(points), max(points)
    room = max(MARGIN * (high - low), 0.5)
    return low - room, high + room


def ticks(low: float, high: float) -> list[float]:
    """Round numbers within the axis."""
    step = next(
        (size for power in (0.1, 1, 10) for size in (power, 2 * power, 5 * power) if (high - low) / size <= MOST_TICKS),
        100.0,
    )
    return [round(i * step, 1) for i in range(math.ceil(low / step), math.floor(high / step) + 1)]


def place(value: float, low: float, high: float) -> str:
    """Where a value lies along the axis."""
    return f"{100 * (value - low) / (high - low):.2f}%"


def chart_line(row: dict[str, Any], published: float | None, marks: Sequence[float], low: float, high: float) -> str:
    """One model: its name, its dots, its mean in numbers."""
    name = row["model"]
    grid = "".join(
        f'<line class="grid" x1="{place(mark, low, high)}" x2="{place(mark, low, high)}" y1="0" y2="100%"/>'
        for mark in marks
    )
    seeds = {seed: 100 * one["top1"] for seed, one in row["seeds"].items() if not math.isnan(one["top1"])}
    dots = "".join(
        f'<circle class="seed" cx="{place(value, low, high)}" cy="50%" r="4.5"><title>{escape(name)}, seed '
        f"{escape(str(seed))}: {value:.2f} %</title></circle>"
        for seed, value in seeds.items()
    )
    mean = 100 * row["mean"]["top1"]
    bar = "" if math.isnan(mean) else (
        f'<line class="mean" x1="{place(mean, low, high)}" x2="{place(mean, low, high)}" y1="15%" y2="85%"/>'
    )  # fmt: skip
    mark = "" if published is None else (
        f'<svg class="published" x="{place(published, low, high)}" y="50%"><title>published: {published:.2f} %</title>'
        f'<path d="M0-6.5 6.5 0 0 6.5-6.5 0Z"/></svg>'
    )  # fmt: skip
    said = "–" if math.isnan(mean) else f"{mean:.2f}"
    words = f"{name}: top-1 {said} %" + (f", published {published:.2f} %" if published is not None else "")
    return (
        f'<span class="name">{escape(name)}</span><span class="line"><svg role="img" aria-label="{escape(words)}">'
        f'{grid}<line class="base" x1="0" x2="100%" y1="50%" y2="50%"/>{mark}{dots}{bar}</svg></span>'
        f'<span class="value">{said}</span>'
    )
