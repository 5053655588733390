"""What was predicted of a clip: a row a face and frame, a summary a face, and curves over time."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from core_code.core_utils.plots.palette import colours_of
from core_code.core_utils.plots.saving import save_figure
from core_code.prediction.table import SIDES

WHERE = ("time", "frame", "face", *SIDES)
WHOLE_NUMBERS = WHERE[1:]
PANELS = 6  # faces in the picture of curves
POINTS = 800  # on a curve; a longer one is averaged over equal times
GAP = 1.0  # seconds for which a face is not seen, over which no line is drawn


def clip_table(rows: np.ndarray, emotions: Sequence[str]) -> pd.DataFrame:
    """Rows float64 [N,7+E], the columns WHERE and a probability for each emotion, with the likeliest emotion and its
    probability between them."""
    table = pd.DataFrame(rows, columns=[*WHERE, *emotions]).astype(dict.fromkeys(WHOLE_NUMBERS, int))
    chances = rows[:, len(WHERE) :]
    table.insert(len(WHERE), "emotion", np.array([*emotions], dtype=object)[chances.argmax(1)])
    table.insert(len(WHERE) + 1, "confidence", chances.max(1))
    return table


def summary(table: pd.DataFrame, emotions: Sequence[str]) -> pd.DataFrame:
    """A row a face, the one that is seen most first: from when to when, in seconds, in how many frames, and the mean of
    its probabilities, with the emotion of which that is highest."""
    names = [*emotions]
    faces = table.groupby("face")
    seen = faces.agg(**{"from": ("time", "min"), "to": ("time", "max"), "frames": ("frame", "size")}).reset_index()
    means = faces[names].mean().reset_index(drop=True)
    whole = pd.concat([seen.assign(emotion=means.idxmax(axis=1)), means], axis=1)
    return whole.sort_values(["frames", "face"], ascending=[False, True], ignore_index=True)


def draw_curves(table: pd.DataFrame, emotions: Sequence[str], path: Path) -> Path:
    """Write a picture with a panel for each of the PANELS faces that are seen most: probabilities over time."""
    faces = summary(table, emotions)
    shown = faces[:PANELS]
    figure = Figure(figsize=(10, 0.8 + 1.9 * len(shown)), layout="constrained")
    panels = figure.subplots(len(shown), 1, sharex=True, squeeze=False)[:, 0]
    for panel, (_, face) in zip(panels, shown.iterrows(), strict=True):
        curve = sampled(table[table.face == face.face], emotions)
        for emotion, colour in zip(emotions, colours_of(emotions), strict=True):
            panel.plot(curve.time, curve[emotion], color=colour, label=emotion, linewidth=1.5)
        panel.set(ylim=(0, 1), ylabel="probability")
        panel.set_title(f"face {face.face}, {face.frames} frames", loc="left", fontsize=10)
        panel.margins(x=0.01)
    panels[-1].set_xlabel("time in s" + (f"; {len(faces) - PANELS} further faces" if len(faces) > PANELS else ""))
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False)
    return save_figure(figure, path)


def sampled(face: pd.DataFrame, emotions: Sequence[str]) -> pd.DataFrame:
    """A face's time and probabilities at POINTS times at most, missing after a gap, which interrupts the line."""
    columns = ["time", *emotions]
    width = (face.time.max() - face.time.min()) / POINTS
    curve = face[columns]
    if len(face) > POINTS:
        curve = curve.groupby((face.time / width).astype(int)).mean()
    curve = curve.reset_index(drop=True)
    after_gap = curve.time.diff() > max(GAP, 2 * width)
    curve.loc[after_gap, [*emotions]] = np.nan
    return curve
