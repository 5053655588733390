"""Pictures of a study: the accuracy of its arms against the share of real faces, and differences with intervals."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

from core_code.core_utils.plots.saving import save_figure
from core_code.core_utils.plots.training import INK, TRAIN_COLOUR, VALIDATION_COLOUR

MARKERS = "osD^v<>PX*"
DODGE = 0.012  # how far neighbouring arms stand apart, as a share of a place on the axis


class Difference(NamedTuple):
    """A named difference, its interval, and whether it is significant."""

    name: str
    mean: float
    low: float
    high: float
    significant: bool


def plot_accuracy_by_share(
    lines: Mapping[str, Sequence[tuple[float, float, float, float]]], path: Path, title: str,
    dashed: Collection[str] = (),
) -> Path:  # fmt: skip
    """A line for each arm, the first one black: (share of the faces, mean, low, high) of each point, all in percent.

    The axis of shares is logarithmic; arms stand a little apart, so that their intervals can be told from each other.
    """
    figure = Figure(figsize=(8.4, 5.2))
    axes = figure.add_subplot()
    colours = matplotlib.colormaps["tab20"].colors  # type: ignore[attr-defined]
    for place, (name, points) in enumerate(lines.items()):
        apart = 1 + DODGE * (place - (len(lines) - 1) / 2)
        shares, means, lows, highs = zip(*points, strict=True)
        errors = [[m - low for m, low in zip(means, lows, strict=True)],
                  [high - m for m, high in zip(means, highs, strict=True)]]  # fmt: skip
        axes.errorbar(
            [share * apart for share in shares], means, errors, label=name, capsize=2, markersize=5,
            marker=MARKERS[place % len(MARKERS)], linewidth=2 if place == 0 else 1.2, elinewidth=1,
            linestyle="--" if name in dashed else "-",
            color=INK if place == 0 else colours[(place - 1) % len(colours)], zorder=3 if place == 0 else 2,
        )  # fmt: skip
    ticks = sorted({point[0] for points in lines.values() for point in points})
    axes.set_xscale("log")
    axes.set_xticks(ticks)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g} %"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlim(ticks[0] * 0.8, ticks[-1] * 1.25)
    axes.set(xlabel="share of the real training faces", ylabel="top-1, %")
    axes.grid(axis="y", color="#e5e5e5", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8)
    axes.set_title(title, fontsize=10, loc="left")
    return save_figure(figure, path)


def plot_differences(differences: Sequence[Difference], path: Path, title: str) -> Path:
    """A row for each difference, in percentage points: its mean, filled where it is significant, and its interval."""
    figure = Figure(figsize=(7.4, 0.9 + 0.32 * len(differences)))
    axes = figure.add_subplot()
    axes.axvline(0, color=INK, linewidth=0.8)
    for place, row in enumerate(differences):
        colour = VALIDATION_COLOUR if row.mean >= 0 else TRAIN_COLOUR
        axes.plot([row.low, row.high], [place, place], color=colour, linewidth=1.6, solid_capstyle="butt")
        axes.plot(row.mean, place, "o", color=colour, markerfacecolor=colour if row.significant else "white")
        axes.annotate(f"{row.mean:+.2f}", (1.02, place), xycoords=("axes fraction", "data"), va="center", fontsize=8)
    axes.set_yticks(range(len(differences)), [row.name for row in differences], fontsize=9)
    axes.set_ylim(len(differences) - 0.5, -0.5)
    axes.set_xlabel("percentage points")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.set_title(title, fontsize=10, loc="left")
    return save_figure(figure, path)
