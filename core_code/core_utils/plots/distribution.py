"""How many faces of each emotion a data set holds, before and after expansion: as text and as a picture."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib.figure import Figure

from core_code.core_utils.files import atomic_write
from core_code.core_utils.plots.palette import EMOTION_COLOURS

DPI = 150


def distribution_table(emotions: Sequence[str], before: Sequence[int], after: Sequence[int] | None = None) -> str:
    """A line an emotion: its faces and their share of all, and the same after expansion where `after` is given."""
    columns = [before] if after is None else [before, after]
    names = ["faces"] if after is None else ["before", "after expansion"]
    lines = [f"{'emotion':<10}" + "".join(f"{name:>24}" for name in names)]
    for index, emotion in enumerate([*emotions, "all"]):
        cells = []
        for counts in columns:
            number = sum(counts) if emotion == "all" else counts[index]
            cells.append(f"{number:>16,}{number / max(sum(counts), 1):>8.1%}")
        lines.append(f"{emotion:<10}" + "".join(cells))
    return "\n".join(lines)


def plot_distribution(
    path: Path, dataset: str, emotions: Sequence[str], before: Sequence[int], after: Sequence[int] | None = None
) -> Path:
    """Write a PNG of bars, one colour an emotion; pale before and full after expansion where `after` is given.

    Returns the path. Raises InputError when it cannot be written.
    """
    figure = Figure(figsize=(8, 4))
    axes = figure.add_subplot()
    width = 0.8 if after is None else 0.4
    series = [(0.0, before, 1.0)] if after is None else [(-width / 2, before, 0.4), (width / 2, after, 1.0)]
    for shift, counts, alpha in series:
        places = [index + shift for index in range(len(emotions))]
        axes.bar(places, counts, width * 0.95, color=EMOTION_COLOURS, alpha=alpha)
        for place, count in zip(places, counts, strict=True):
            axes.annotate(f"{count:,}", (place, count), ha="center", va="bottom", fontsize=6.5, color="#333333")
    axes.set_xticks(range(len(emotions)), emotions)
    axes.set_ylabel("faces")
    axes.spines[["top", "right"]].set_visible(False)
    title = f"{dataset}: {sum(before):,} training faces by emotion"
    axes.set_title(title if after is None else f"{title}, before (pale) and after expansion", fontsize=10, loc="left")
    atomic_write(path, lambda file: figure.savefig(file, format="png", dpi=DPI, bbox_inches="tight"))
    return Path(path)
