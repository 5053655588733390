"""How every picture is written: drawn without a screen, in one resolution, whole or not at all."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib.figure import Figure

from core_code.core_utils.files import atomic_write

DPI = 150


def save_figure(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG; returns the path. Raises InputError when it cannot be written."""
    atomic_write(path, lambda file: figure.savefig(file, format="png", dpi=DPI, bbox_inches="tight"))
    return Path(path)
