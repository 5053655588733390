"""Pictures of an evaluation beside the confusion matrix: reliability, maps of features, most confident errors."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from core_code.core_utils.metrics.scores import Reliability
from core_code.core_utils.plots.palette import colours_of
from core_code.core_utils.plots.saving import save_figure
from core_code.core_utils.plots.training import INK, TRAIN_COLOUR, VALIDATION_COLOUR

PALE = "#9dbcd8"
FACES_A_ROW = 8


def plot_reliability(splits: dict[str, Reliability], path: Path, title: str) -> Path:
    """A column for each split: accuracy against confidence, and below it how many faces are in each bin."""
    figure = Figure(figsize=(4.2 * len(splits), 5.4))
    grid = figure.subplots(2, len(splits), sharex=True, sharey="row", height_ratios=(3, 1), squeeze=False)
    for (split, bins), accuracy, counts in zip(splits.items(), *grid, strict=True):
        draw_reliability(accuracy, bins)
        accuracy.set_title(
            f"{split}: {sum(bins.faces)} faces, calibration error {100 * bins.expected_error:.2f} %",
            fontsize=9, loc="left",
        )  # fmt: skip
        share = [count / max(sum(bins.faces), 1) for count in bins.faces]
        counts.bar(centres(bins), share, 0.9 / len(share), color=VALIDATION_COLOUR)
        counts.set_xlabel("confidence")
        counts.spines[["top", "right"]].set_visible(False)
    grid[0, 0].set_ylabel("accuracy")
    grid[1, 0].set_ylabel("share of faces")
    grid[0, 0].legend(frameon=False, loc="upper left", fontsize=8)
    figure.suptitle(title, fontsize=11, x=0.02, ha="left")
    figure.tight_layout()
    return save_figure(figure, path)


def draw_reliability(axes: Axes, bins: Reliability) -> None:
    """For each bin that holds faces a bar, as high as its accuracy, and a mark at its mean confidence."""
    width = 0.9 / len(bins.faces)
    there = np.array(bins.faces) > 0
    places, accuracies, confidences = (
        np.array(values)[there] for values in (centres(bins), bins.accuracy, bins.confidence)
    )
    axes.bar(places, accuracies, width, color=PALE, label="accuracy")
    ends = places - width / 2, places + width / 2
    axes.hlines(confidences, ends[0], ends[1], color=TRAIN_COLOUR, linewidth=2, label="mean confidence")
    axes.plot([0, 1], [0, 1], "--", color=INK, linewidth=0.8, label="calibrated")
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.spines[["top", "right"]].set_visible(False)


def centres(bins: Reliability) -> np.ndarray:
    """The centres of the bins on the axis of confidence."""
    return (np.arange(len(bins.faces)) + 0.5) / len(bins.faces)


def plot_map(points: np.ndarray, labels: np.ndarray, emotions: Sequence[str], path: Path, title: str) -> Path:
    """A point for each face, float [N,2], in the colour of its label, int [N] in the order of `emotions`."""
    figure = Figure(figsize=(7.4, 6))
    axes = figure.add_subplot()
    axes.scatter(points[:, 0], points[:, 1], s=9, c=np.array(colours_of(emotions))[labels], alpha=0.75, linewidths=0)
    counts = np.bincount(labels, minlength=len(emotions))
    handles = [
        Line2D([], [], marker="o", linestyle="", markersize=5, color=colour, label=f"{emotion} ({count})")
        for emotion, colour, count in zip(emotions, colours_of(emotions), counts, strict=True)
    ]
    axes.legend(handles=handles, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5), fontsize=9)
    axes.set(xticks=[], yticks=[], aspect="equal")
    axes.spines[:].set_color("#dddddd")
    axes.set_title(title, fontsize=10, loc="left")
    return save_figure(figure, path)


def plot_most_wrong(
    faces: np.ndarray, labels: np.ndarray, predictions: np.ndarray, confidences: np.ndarray,
    emotions: Sequence[str], path: Path, title: str,
) -> Path:  # fmt: skip
    """Faces uint8 [N,H,W] in their order: above each its true label, below it the prediction and its confidence.

    labels and predictions: int [N]; confidences: float [N] in [0,1]. Without faces there is a note.
    """
    columns = min(FACES_A_ROW, max(len(faces), 1))
    rows = max(-(-len(faces) // columns), 1)
    width = max(1.15 * columns, 4.6)
    figure = Figure(figsize=(width, 1.5 * rows + 0.4))
    for place, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        axes.set_axis_off()
        if place < len(faces):
            predicted = f"{emotions[predictions[place]]} {100 * confidences[place]:.0f} %"
            axes.imshow(faces[place], cmap="gray", vmin=0, vmax=255)
            axes.set_title(emotions[labels[place]], fontsize=8, pad=2, color=colours_of(emotions)[labels[place]])
            axes.text(
                0.5, -0.03, predicted, transform=axes.transAxes, ha="center", va="top", fontsize=8,
                color=colours_of(emotions)[predictions[place]],
            )  # fmt: skip
    if not len(faces):
        figure.text(0.5, 0.4, "no errors", ha="center", fontsize=9, color=INK)
    figure.suptitle(title, fontsize=10, x=0.02, ha="left")
    figure.tight_layout(h_pad=0.8)
    return save_figure(figure, path)
