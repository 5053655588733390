"""How every picture is written: drawn without a screen, in one resolution, whole or not at all."""

import warnings
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib.figure import Figure

from core_code.core_utils.files import atomic_write

DPI = 150

matplotlib.rcParams["text.parse_math"] = False  # a dollar sign in a name begins no formula
for message in ("Glyph", "Tight layout"):  # a letter that the font has not is an empty box, a long name is cut
    warnings.filterwarnings("ignore", message)


def save_figure(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG; returns the path. Raises InputError when it cannot be written."""
    atomic_write(path, lambda file: figure.savefig(file, format="png", dpi=DPI, bbox_inches="tight"))
    return Path(path)
