"""A small net and small data sets for the tests."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from small_faces import small_rows, write_csv

from core_code.models.architectures import ARCHITECTURES, Architecture, HyperParameters

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@pytest.fixture(autouse=True)
def signals_heard() -> None:
    """Ctrl-C and SIGTERM as at a start: a shell starts what runs in the background with Ctrl-C ignored, and a command
    that was interrupted ignores both until its end."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


@pytest.fixture
def fer2013_csv() -> Callable[..., Path]:
    """`fer2013_csv(folder)` makes icml_face_data.csv of 40 train, 14 val and 14 test faces; returns the folder.

    Keyword arguments: train, val, test (rows) and seed.
    """

    def make(folder: Path, **sizes: int) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        write_csv(folder / "icml_face_data.csv", small_rows(**sizes))
        return folder

    return make


@pytest.fixture
def small(monkeypatch) -> str:
    """The name of a net that costs little, one more entry in the table of architectures."""
    entry = Architecture("shufflenet_v2_x0_5", "IMAGENET1K_V1", 1024, "fc", HyperParameters(16, 1e-3, 1e-5))
    monkeypatch.setitem(ARCHITECTURES, "small", entry)
    return "small"


@pytest.fixture
def small_pictures(monkeypatch) -> None:
    """Pictures of a fraction of the usual size: drawing takes long."""
    from core_code.core_utils.plots import saving

    monkeypatch.setattr(saving, "DPI", 60)


@pytest.fixture
def saved_figures(monkeypatch) -> list["Figure"]:
    """Every figure of matplotlib that is saved from here on."""
    from matplotlib.figure import Figure

    figures, save = [], Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda figure, *a, **b: figures.append(figure) or save(figure, *a, **b))
    return figures


@pytest.fixture
def data_there(tmp_path, monkeypatch, fer2013_csv, small_pictures) -> Path:
    """The working folder from here on: it holds data/fer2013. Pictures are drawn small."""
    monkeypatch.chdir(tmp_path)
    fer2013_csv(tmp_path / "data" / "fer2013")
    return tmp_path
