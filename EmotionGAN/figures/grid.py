"""One face all over the conditional space, as a grid of tiles."""

from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from torch import Tensor

from core_code.core_utils.plots.face_sheets import GAP, place
from core_code.core_utils.plots.palette import EMOTION_COLOURS
from core_code.core_utils.plots.saving import save_figure
from EmotionGAN.editor import Editor

GRID_POINTS = 11


def grid_codes() -> Tensor:
    """Even points of [-1,1]^2 row by row, from (-1,1) at the top left to (1,-1): float [GRID_POINTS ** 2, 2]."""
    steps = torch.linspace(-1, 1, GRID_POINTS)
    return torch.stack([steps.repeat(GRID_POINTS), steps.flip(0).repeat_interleave(GRID_POINTS)], dim=1)


def draw_grid(path: Path, face: Tensor, caption: str, editor: Editor) -> Path:
    """The face uint8 [H,W] edited all over the square, beside the original; tiles nearest the centres are framed."""
    codes = grid_codes()
    edits = editor.edit_all(face.expand(len(codes), -1, -1), codes).numpy()
    figure = Figure(figsize=(11, 9))
    tiles = figure.add_axes((0.2, 0, 0.8 * 9 / 8.8, 1))
    fill_tiles(tiles, edits, editor.space.centres, codes)
    original = figure.add_axes((0, 0.82, 0.14, 0.14 * 11 / 9))
    original.imshow(face.numpy(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    original.axis("off")
    original.set_title(caption, fontsize=9, loc="left")
    handles = [
        Patch(facecolor="none", edgecolor=colour, linewidth=2.5, label=emotion)
        for emotion, colour in zip(editor.space.emotions, EMOTION_COLOURS, strict=True)
    ]
    figure.legend(
        handles=handles, title="nearest its centre", loc="upper left", bbox_to_anchor=(-0.008, 0.8), frameon=False,
        fontsize=9, title_fontsize=9, alignment="left", handlelength=1, handleheight=1, labelspacing=0.7,
    )  # fmt: skip
    return save_figure(figure, path)


def fill_tiles(axes: Axes, edits: np.ndarray, centres: Tensor, codes: Tensor) -> None:
    """Show edits uint8 [P*P,H,W] of grid_codes at their positions, with coordinates as ticks, and frames in the
    emotions' colours around those nearest centres [7,2]."""
    points = round(len(codes) ** 0.5)
    canvas, height, width = place([list(row) for row in edits.reshape(points, points, *edits.shape[1:])])
    axes.imshow(canvas, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    steps = [f"{round(step, 1) + 0.0:.1f}" for step in codes[:points, 0].tolist()]  # + 0.0: no "-0.0"
    axes.set_xticks([column * (width + GAP) + (width - 1) / 2 for column in range(points)], steps)
    axes.set_yticks([row * (height + GAP) + (height - 1) / 2 for row in range(points)], steps[::-1])
    axes.set(xlabel="x", ylabel="y")
    axes.tick_params(length=0, labelsize=8)
    axes.spines[:].set_visible(False)
    for centre, colour in zip(centres, EMOTION_COLOURS, strict=True):
        row, column = divmod(int((codes - centre).norm(dim=1).argmin()), points)
        corner = (column * (width + GAP) - 1.5, row * (height + GAP) - 1.5)
        frame = Rectangle(corner, width + 2, height + 2, fill=False, edgecolor=colour, linewidth=2.5, clip_on=False)
        axes.add_patch(frame)
