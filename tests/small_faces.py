"""Random images that are smooth like faces, and small CSVs of them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

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
