"""A picture of the conditional space: each emotion's centre and standard deviation, and where codes are sampled."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib import patches
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from torch import Tensor

from core_code.core_utils.plots.palette import EMOTION_COLOURS
from core_code.core_utils.plots.saving import save_figure
from core_code.core_utils.plots.training import INK
from EmotionGAN.conditional_space import ConditionalSpace
from EmotionGAN.editor import Editor
from EmotionGAN.networks.generator import GaussianGenerator, Generator, LinearGenerator

SIDE = 200  # pixels of the background
SOFTNESS = 0.4  # share of the emotions' colours in the background; the rest is white
TEXT_ASPECT = 0.55  # a letter's width over its line's height
SIDES = ((0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1))  # where a label may stand, best first
SQUARE = np.array([-1.1, -1.1, 1.1, 1.1])  # left, bottom, right and top of the space with a margin


class Ellipse(NamedTuple):
    """Centre (x, y), full width and height along its axes, which are turned counter-clockwise by `degrees`."""

    x: float
    y: float
    width: float
    height: float
    degrees: float


@torch.inference_mode()
def shares_at(generator: Generator, codes: Tensor) -> Tensor:
    """The mixture of emotions at codes float [M,2]: softmax(-distance), float [M,7] on the CPU."""
    device = next(generator.parameters()).device
    return (-generator.distances(codes.to(device)).float().cpu()).softmax(-1)


@torch.inference_mode()
def ellipses(generator: Generator) -> list[Ellipse]:
    """One standard deviation of each emotion's gaussian; none for a linear generator."""
    if not isinstance(generator, GaussianGenerator):
        return []
    deviations, angles = generator.deviations()
    table = torch.cat([generator.centres(), 2 * deviations, angles.rad2deg()[:, None]], dim=1)
    return [Ellipse(*row) for row in table.tolist()]


def axis_ends(space: ConditionalSpace) -> list[tuple[float, float]]:
    """Where each emotion's axis of a linear space leaves the square; the origin for Neutral, which has none."""
    longest = space.centres.abs().amax(dim=1, keepdim=True)
    ends = torch.where(longest > 0, space.centres / longest.clamp_min(1e-9), 0.0)
    return [tuple(end) for end in ends.tolist()]


def background(generator: Generator) -> np.ndarray:
    """The square [-1,1]^2 in soft colours, uint8 [SIDE,SIDE,3], first row at y = 1: each pixel the mean of the
    emotions' colours and white, weighted by the mixture at its centre."""
    x = (torch.arange(SIDE) + 0.5) / SIDE * 2 - 1
    codes = torch.stack([x.repeat(SIDE), -x.repeat_interleave(SIDE)], dim=1)
    colours = np.array([to_rgb(colour) for colour in EMOTION_COLOURS])
    mixed = shares_at(generator, codes).numpy() @ colours
    soft = 1 + SOFTNESS * (mixed - 1)
    return (255 * soft).round().astype(np.uint8).reshape(SIDE, SIDE, 3)


def label_places(points: Sequence[Sequence[float]], texts: Sequence[str], height: float) -> list[tuple[float, float]]:
    """The centre of each point's label, chosen so that labels cover neither each other nor any point. points [N,2] in
    [-1,1]; height of a line of text in the same units. Of the positions around its point each label takes the one with
    the least overlap with others and the least area outside of the square, in three rounds."""
    anchors = np.asarray(points, dtype=float)
    sizes = np.array([[TEXT_ASPECT * height * len(text), height] for text in texts])
    marks = [box_of(point, 2 / 3 * height) for point in anchors]
    choices = [
        [point + np.array(side) * (size / 2 + reach * height) for reach in (0.8, 1.5, 2.5) for side in SIDES]
        for point, size in zip(anchors, sizes, strict=True)
    ]
    places: dict[int, np.ndarray] = {}
    for _ in range(3):
        for i, size in enumerate(sizes):
            others = np.array([*(box_of(places[j], sizes[j]) for j in places if j != i), *marks])
            boxes = [box_of(place, size) for place in choices[i]]
            costs = [overlap(box, others).sum() - overlap(box, SQUARE) for box in boxes]  # covered, less what is inside
            order = [cost + 1e-3 * height**2 * rank for rank, cost in enumerate(costs)]
            places[i] = choices[i][int(np.argmin(order))]
    return [tuple(places[i].tolist()) for i in range(len(places))]


def box_of(centre: np.ndarray, size: float | np.ndarray) -> np.ndarray:
    """(left, bottom, right, top)."""
    return np.concatenate([centre - size / 2, centre + size / 2])


def overlap(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The area that a box (left, bottom, right, top) has in common with each of `others` [...,4]."""
    sides = np.minimum(box[2:], others[..., 2:]) - np.maximum(box[:2], others[..., :2])
    return sides.clip(0).prod(axis=-1)


def draw_space(path: Path, editor: Editor, half_widths: Sequence[float]) -> Path:
    """Write the picture of the editor's space as PNG; returns the path. Raises InputError when it cannot be written.
    half_widths: of the neighbourhoods to draw, widest first (augmentations, expansion)."""
    generator, space = editor.generator, editor.space
    linear = isinstance(generator, LinearGenerator)
    figure = Figure(figsize=(7, 7.6))
    axes = figure.add_axes((0.09, 0.13, 0.88, 0.81))
    axes.imshow(background(generator), extent=(-1, 1, -1, 1), interpolation="bilinear", zorder=0)
    for ellipse, colour in zip(ellipses(generator), EMOTION_COLOURS, strict=False):
        draw_ellipse(axes, ellipse, colour)
    for end, colour in zip(axis_ends(space), EMOTION_COLOURS, strict=True):
        if linear and any(end):
            style: dict[str, Any] = {"arrowstyle": "-|>", "color": colour, "linewidth": 1.6, "shrinkA": 0, "shrinkB": 0}
            axes.annotate("", end, (0, 0), zorder=2, arrowprops=style)
    for half_width, linestyle in zip(half_widths, ("--", "-"), strict=True):
        low, high = space.neighbourhoods(half_width)
        for corner, size, colour in zip(low.tolist(), (high - low).tolist(), EMOTION_COLOURS, strict=True):
            style = {"edgecolor": colour, "linewidth": 1, "linestyle": linestyle, "zorder": 3}
            axes.add_patch(patches.Rectangle(corner, *size, fill=False, **style))
    draw_centres(axes, space)
    axes.set(xlim=(-1.07, 1.07), ylim=(-1.07, 1.07), xlabel="x", ylabel="y", aspect="equal")
    axes.set(xticks=np.linspace(-1, 1, 5), yticks=np.linspace(-1, 1, 5))
    axes.tick_params(length=0, labelsize=8, pad=0)
    axes.spines[:].set_visible(False)
    axes.add_patch(patches.Rectangle((-1, -1), 2, 2, fill=False, edgecolor=INK, linewidth=0.8))
    kind = generator.config.parametrisation
    axes.set_title(f"{editor.name}: the {kind} space of emotions", fontsize=11, loc="left")
    add_legend(figure, linear, half_widths)
    return save_figure(figure, path)


def draw_ellipse(axes: Axes, ellipse: Ellipse, colour: str) -> None:
    """An outline, lightly filled, clipped to the square."""
    patch = patches.Ellipse(
        (ellipse.x, ellipse.y), ellipse.width, ellipse.height, angle=ellipse.degrees, linewidth=1.6, zorder=2,
        edgecolor=colour, facecolor=(*to_rgb(colour), 0.12),
    )  # fmt: skip
    axes.add_patch(patch)
    patch.set_clip_path(patches.Rectangle((-1, -1), 2, 2, transform=axes.transData))


def draw_centres(axes: Axes, space: ConditionalSpace) -> None:
    points = space.centres.tolist()
    for (x, y), colour in zip(points, EMOTION_COLOURS, strict=True):
        axes.plot(x, y, "o", color=colour, markeredgecolor="white", markersize=8, zorder=5, clip_on=False)
    for (x, y), emotion in zip(label_places(points, space.emotions, 0.075), space.emotions, strict=True):
        axes.text(
            x, y, emotion, ha="center", va="center", fontsize=11, color="black", zorder=6,
            bbox={"boxstyle": "round,pad=0.12", "facecolor": "white", "alpha": 0.75, "linewidth": 0},
        )  # fmt: skip


def add_legend(figure: Figure, linear: bool, half_widths: Sequence[float]) -> None:
    wide, narrow = half_widths
    line = partial(Line2D, [], [], color="#555555")
    entries = [
        line(marker="o", linestyle="", label="centre"),
        line(linewidth=1.6, label="axis: direction of an emotion" if linear else "one standard deviation"),
        line(linestyle="--", linewidth=1, label=f"augmentations: centre ±{wide:g}"),
        line(marker="s", markerfacecolor="none", linestyle="", label=f"expansion: centre ±{narrow:g}"),
        patches.Patch(color="#dddddd", label="background: softmax(-distance)"),
    ]
    figure.legend(handles=entries, loc="lower center", ncols=3, frameon=False, fontsize=9)
