"""Sheets of faces with titles on rows and columns."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from core_code.core_utils.plots.saving import save_figure

GAP = 3  # white pixels between two faces
INCHES_PER_PIXEL = 1 / 64


def face_sheet(
    path: Path, rows: Sequence[Sequence[np.ndarray | None]], row_titles: Sequence[str], column_titles: Sequence[str],
    title: str = "",
) -> Path:  # fmt: skip
    """Write a PNG of grey faces, uint8 [H, W] and all of one size, in a grid; None leaves a place empty.

    Column titles stand above, row titles to the left ("" for none). Returns the path. Raises InputError when it
    cannot be written, ValueError when there is no face or the titles do not fit the rows.
    """
    if len(rows) != len(row_titles) or any(len(row) != len(column_titles) for row in rows):
        raise ValueError("each row and each column of a sheet needs one title")
    canvas, height, width = place(rows)
    figure = Figure(figsize=(canvas.shape[1] * INCHES_PER_PIXEL, canvas.shape[0] * INCHES_PER_PIXEL))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(canvas, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axes.set_xticks([column * (width + GAP) + width / 2 for column in range(len(column_titles))], column_titles)
    axes.set_yticks([row * (height + GAP) + height / 2 for row in range(len(rows))], row_titles)
    axes.tick_params(length=0, labelsize=8, top=False, labeltop=True, bottom=False, labelbottom=False)
    axes.spines[:].set_visible(False)
    if title:
        axes.set_title(title, fontsize=10, loc="left", pad=20)
    return save_figure(figure, path)


def place(rows: Sequence[Sequence[np.ndarray | None]]) -> tuple[np.ndarray, int, int]:
    """One white image uint8 [H', W'] with the faces in their places, and the height and width of a face."""
    shapes = {face.shape for row in rows for face in row if face is not None}
    if len(shapes) != 1:
        raise ValueError(f"a sheet needs faces of one size, found {sorted(shapes)}")
    ((height, width),) = shapes
    columns = max(len(row) for row in rows)
    canvas = np.full((len(rows) * (height + GAP) - GAP, columns * (width + GAP) - GAP), 255, dtype=np.uint8)
    for top, row in enumerate(rows):
        for left, face in enumerate(row):
            if face is not None:
                y, x = top * (height + GAP), left * (width + GAP)
                canvas[y : y + height, x : x + width] = face
    return canvas, height, width
