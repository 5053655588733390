"""The pictures that training and evaluation leave behind, each written whole or not at all."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from core_code.core_utils.checkpoints import best_epoch
from core_code.core_utils.plots.palette import colours_of
from core_code.core_utils.plots.saving import save_figure

TRAIN_COLOUR, VALIDATION_COLOUR = "#c75a1b", "#1f5f99"
INK = "#333333"
FEW_EPOCHS = 15  # with fewer each one gets a dot


def plot_accuracies(history: Sequence[dict[str, float]], folder: Path, name: str, experiment: str) -> list[Path]:
    """The three curves over the epochs: train_accuracy, validation_accuracy and both, <kind>_<net>_<exp>.png.

    `history` holds a record an epoch with `epoch`, `validation_accuracy` and, in some, `train_accuracy`, in [0,1].
    """
    both = ["train_accuracy", "validation_accuracy"]
    curves = {name: [name] for name in both} | {"train_validation_accuracy": both}
    paths = []
    for kind, entries in curves.items():
        figure = Figure(figsize=(6.4, 4))
        axes = figure.add_subplot()
        for entry in entries:
            plot_accuracy(axes, history, entry)
        axes.set_title(f"{name}, {experiment}", fontsize=11, loc="left")
        axes.set_ylabel("accuracy (%)")
        finish_curves(axes, [record["epoch"] for record in history])
        paths.append(save_figure(figure, folder / f"{kind}_{name}_{experiment}.png"))
    return paths


def plot_accuracy(axes: Axes, history: Sequence[dict[str, float]], entry: str) -> None:
    """One accuracy over the epochs in percent; the best validation accuracy is marked with its value."""
    records = [record for record in history if entry in record]
    if not records:
        return
    epochs, accuracies = [record["epoch"] for record in records], [100 * record[entry] for record in records]
    training = entry == "train_accuracy"
    colour, label = (TRAIN_COLOUR, "training") if training else (VALIDATION_COLOUR, "validation")
    if not training:
        best = best_epoch(records, entry, higher_is_better=True) - 1
        label += f", best {accuracies[best]:.2f} % in epoch {epochs[best]}"
        axes.scatter(epochs[best], accuracies[best], s=60, facecolors="none", edgecolors=colour, zorder=3)
    axes.plot(epochs, accuracies, color=colour, label=label, **markers(epochs))


def markers(epochs: Sequence[float]) -> dict[str, Any]:
    """Dots at the epochs where they are few: one epoch alone is no line."""
    return {"marker": "o", "markersize": 4} if len(epochs) < FEW_EPOCHS else {}


def finish_curves(axes: Axes, epochs: Sequence[float]) -> None:
    """Whole epochs on the axis, and the legend below it, clear of all lines."""
    axes.set_xlabel("epoch")
    axes.margins(y=0.15)
    if epochs:
        axes.set_xlim(min(epochs) - 0.5, max(epochs) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(axis="y", color="#dddddd", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    if axes.lines:
        axes.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2, fontsize=9)


def plot_losses(history: Sequence[dict[str, float]], folder: Path, name: str, experiment: str) -> Path:
    """The training loss over the epochs, `loss` and `epoch` of the records in `history`: loss_<net>_<exp>.png."""
    figure = Figure(figsize=(6.4, 4))
    axes = figure.add_subplot()
    epochs, losses = ([record[entry] for record in history] for entry in ("epoch", "loss"))
    axes.plot(epochs, losses, color=TRAIN_COLOUR, label="training", **markers(epochs))
    axes.set_title(f"{name}, {experiment}", fontsize=11, loc="left")
    axes.set_ylabel("training loss (cross entropy)")
    finish_curves(axes, epochs)
    return save_figure(figure, folder / f"loss_{name}_{experiment}.png")


def plot_byol_losses(history: Sequence[dict[str, float]], folder: Path, name: str, experiment: str) -> Path:
    """The losses over the epochs, the std of features and projections, and the features' effective rank.

    Writes byol_loss_<net>_<exp>.png. `history` holds a record an epoch with `epoch`, `loss`, `validation_loss`,
    `feature_std`, `projection_std`, and `feature_rank` where it was measured.
    """
    figure = Figure(figsize=(6.4, 7.2))
    losses, stds, ranks = figure.subplots(3, sharex=True, height_ratios=(3, 2, 2))
    epochs = [record["epoch"] for record in history]
    curves = (
        (losses, "loss", "training", TRAIN_COLOUR, "-"),
        (losses, "validation_loss", "validation", VALIDATION_COLOUR, "-"),
        (stds, "feature_std", "features", VALIDATION_COLOUR, "-"),
        (stds, "projection_std", "projections", VALIDATION_COLOUR, "--"),
        (ranks, "feature_rank", "features", VALIDATION_COLOUR, "-"),
    )
    for axes, entry, label, colour, style in curves:
        values = [record.get(entry, math.nan) for record in history]
        axes.plot(epochs, values, style, color=colour, label=label, **markers(epochs))
    best = history[best_epoch(history, "validation_loss", higher_is_better=False) - 1]
    losses.axvline(best["epoch"], color=VALIDATION_COLOUR, linewidth=0.8, linestyle=":")
    losses.set_title(
        f"{name}, {experiment}: BYOL, best validation loss {best['validation_loss']:.4f} in epoch {best['epoch']}",
        fontsize=11, loc="left",
    )  # fmt: skip
    labels = ("negative cosine (-1: views agree)", "feature std (0: collapsed)", "effective rank")
    for axes, label in zip((losses, stds, ranks), labels, strict=True):
        finish_curves(axes, epochs)
        axes.set_ylabel(label)
        axes.legend(frameon=False, loc="best", fontsize=8)
    for axes in (losses, stds):
        axes.set_xlabel("")
    for axes in (stds, ranks):
        if math.isfinite(top := axes.dataLim.y1):
            axes.set_ylim(0, 1.15 * top or 1)
    return save_figure(figure, folder / f"byol_loss_{name}_{experiment}.png")


def plot_confusion_matrix(confusion: Sequence[Sequence[int]], emotions: Sequence[str], path: Path, title: str) -> Path:
    """Rows are the true emotions, columns the predictions; shaded by the share of the row, counts and shares inside."""
    figure = Figure(figsize=(7, 6))
    axes = figure.add_subplot()
    totals = [sum(row) for row in confusion]
    shares = [[count / total if total else 0.0 for count in row] for row, total in zip(confusion, totals, strict=True)]
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for i, row in enumerate(confusion):
        for j, count in enumerate(row):
            colour = "white" if shares[i][j] > 0.5 else INK
            axes.text(j, i - 0.1, str(count), ha="center", va="center", color=colour, fontsize=9)
            axes.text(j, i + 0.22, f"{100 * shares[i][j]:.0f}%", ha="center", va="center", color=colour, fontsize=7)
    ticks = range(len(emotions))
    axes.set_xticks(ticks, emotions, rotation=40, ha="right")
    axes.set_yticks(ticks, [f"{emotion} ({total})" for emotion, total in zip(emotions, totals, strict=True)])
    for label, colour in zip([*axes.get_xticklabels(), *axes.get_yticklabels()], colours_of(emotions) * 2, strict=True):
        label.set_color(colour)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true (faces)")
    axes.set_title(title, fontsize=11, loc="left")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(image, fraction=0.046, pad=0.03, format=lambda share, _: f"{100 * share:.0f}%")
    bar.set_label("share of the true emotion")
    bar.outline.set_visible(False)
    return save_figure(figure, path)
