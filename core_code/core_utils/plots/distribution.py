"""The label distribution of a dataset, before and after expansion: as a table and as a picture."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from core_code.core_utils.plots.palette import EMOTION_COLOURS
from core_code.core_utils.plots.saving import save_figure

SERIES = ("before expansion", "after expansion")
PALE, FULL = 0.4, 1.0


def percentages(counts: Sequence[int]) -> list[float]:
    """Each count as percentage of their sum."""
    return [100 * count / max(sum(counts), 1) for count in counts]


def distribution_table(
    emotions: Sequence[str], before: Sequence[int], after: Sequence[int] | None = None
) -> pd.DataFrame:
    """A row an emotion and one of all: faces and their percentage, and the same after expansion where it is given."""
    table = pd.DataFrame({"emotion": [*emotions, "all"]})
    series = {"faces": before} if after is None else dict(zip(SERIES, (before, after), strict=True))
    for name, counts in series.items():
        table[name] = [*counts, sum(counts)]
        table[f"% {name}"] = [*percentages(counts), 100.0]
    return table


def plot_distribution(
    path: Path, dataset: str, emotions: Sequence[str], before: Sequence[int], after: Sequence[int] | None = None
) -> Path:
    """Write a PNG of bars with counts and percentages; pale before and full after expansion where `after` is given."""
    figure = Figure(figsize=(10, 4.5))
    axes = figure.add_subplot()
    width = 0.8 if after is None else 0.42
    series = [(0.0, before, FULL)] if after is None else [(-width / 2, before, PALE), (width / 2, after, FULL)]
    for shift, counts, alpha in series:
        centres = [index + shift for index in range(len(emotions))]
        bars = axes.bar(centres, counts, width * 0.94, color=EMOTION_COLOURS, alpha=alpha)
        labels = [f"{count:,}\n{share:.1f}%" for count, share in zip(counts, percentages(counts), strict=True)]
        axes.bar_label(bars, labels, padding=2, fontsize=8, color="#333333")
    axes.set_xticks(range(len(emotions)), emotions)
    axes.set_ylabel("faces")
    axes.margins(y=0.15)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(f"{dataset}: training faces by emotion", fontsize=11, loc="left")
    if after is not None:
        named = zip(SERIES, series, strict=True)
        patches = [Patch(color="#444444", alpha=alpha, label=f"{name}: {sum(n):,}") for name, (_, n, alpha) in named]
        axes.legend(handles=patches, loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False, fontsize=9)
    return save_figure(figure, path)
