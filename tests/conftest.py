"""A small net and small data sets for the tests: random images that are smooth like faces, and CSVs of them."""

import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from core_code.models.architectures import ARCHITECTURES, Architecture, HyperParameters

# A shell starts what runs in the background with Ctrl-C ignored; tests of interruptions need it heard.
signal.signal(signal.SIGINT, signal.default_int_handler)

USAGES = ("Training", "PublicTest", "PrivateTest")
Row = tuple[int, str, np.ndarray]  # label, usage, face


def smooth_faces(count: int, seed: int = 0) -> np.ndarray:
    """Images with a face's lighting: a bright oval and a few soft dark spots, uint8 [count, 48, 48]."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[-1:1:48j, -1:1:48j]
    faces = np.repeat(200 * np.exp(-(x**2 + 0.6 * y**2))[None], count, axis=0)
    for face in faces:
        for _ in range(5):
            left, top = random.uniform(-0.7, 0.7, 2)
            face -= random.uniform(20, 120) * np.exp(-((x - left) ** 2 + (y - top) ** 2) / 0.03)
        face += random.uniform(-30, 50) + random.normal(0, 4, face.shape)
    return faces.clip(0, 255).astype(np.uint8)


def write_csv(path: Path, rows: Sequence[Row], header: str = "emotion, Usage, pixels") -> Path:
    """A CSV of the rows, columns in the order of `header`."""
    columns = [name.strip().lower() for name in header.split(",")]
    with open(path, "w") as file:
        file.write(header + "\n")
        for label, usage, face in rows:
            fields = {"emotion": str(label), "usage": usage, "pixels": " ".join(map(str, np.ravel(face)))}
            file.write(",".join(fields[name] for name in columns) + "\n")
    return path


def small_rows(train: int = 40, val: int = 14, test: int = 14, seed: int = 0) -> list[Row]:
    """Rows of three usages, all seven labels among the first 7 of each; Happy is commonest in Training."""
    counts = (train, val, test)
    faces = iter(smooth_faces(sum(counts), seed))
    common = (3, 4, 6, 3)
    return [
        (row if row < 7 else common[row % 4] if usage == "Training" else row % 7, usage, next(faces))
        for usage, count in zip(USAGES, counts, strict=True)
        for row in range(count)
    ]


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
def data_there(tmp_path, monkeypatch, fer2013_csv) -> Path:
    """The working folder from here on: it holds data/fer2013. Pictures are drawn small."""
    from core_code.core_utils import plots

    monkeypatch.setattr(plots, "DPI", 60)
    monkeypatch.chdir(tmp_path)
    fer2013_csv(tmp_path / "data" / "fer2013")
    return tmp_path
