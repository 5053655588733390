"""The report of a run of create_augmentations.py: counts, the label distribution, and a sheet of examples."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from core_code.core_utils.emotions import EMOTIONS
from core_code.core_utils.errors import InputError
from core_code.core_utils.plots.distribution import distribution_table, plot_distribution
from core_code.core_utils.plots.face_sheets import face_sheet
from core_code.core_utils.tables import as_markdown
from core_code.datasets.augmentations.detection import NOT_FOUND_NAME
from core_code.datasets.augmentations.make import Result
from core_code.datasets.augmentations.manifest import read_manifest
from core_code.datasets.augmentations.plan import AUGMENTATIONS, EXPANSION, Plan, Settings, image_names
from core_code.datasets.augmentations.png import BadImage, read_chunk
from core_code.datasets.fer2013 import FER2013

MOST_ROWS = 10


def report(
    settings: Settings, train: FER2013, result: Result, folder: Path, expansion_folder: Path, plots: Path
) -> None:
    """Print what was generated and where it is; plot the label distribution and examples into `plots`.

    After a run for augmentations the distribution shows the expansion too, where `expansion_folder` holds one of
    the same faces.
    """
    rate = f", {result.generated / result.seconds:.1f} a second" if result.generated else ""
    print(f"{len(result.plan)} images in {folder}: {result.generated} generated now{rate}, {result.found} found there")
    if (folder / NOT_FOUND_NAME).exists():
        print(f"faces that were not found: {folder / NOT_FOUND_NAME}")
    faces, added = expansion_on_disk(folder if settings.mode == EXPANSION else expansion_folder, train)
    before = np.bincount(train.labels[:faces].numpy(), minlength=len(EMOTIONS)).tolist()
    after = None if added is None else [old + new for old, new in zip(before, added, strict=True)]
    print(as_markdown(distribution_table(EMOTIONS, before, after), decimals=1))
    path = plots / f"label_distribution_{train.dataset}.png"
    pictures = [plot_distribution(path, train.dataset, EMOTIONS, before, after)]
    if len(result.plan):
        pictures.append(draw_examples(settings, train, result.plan, folder, plots))
    print("pictures: " + ", ".join(map(str, pictures)))


def expansion_on_disk(folder: Path, train: FER2013) -> tuple[int, list[int] | None]:
    """How many first faces have a finished expansion, and its images of each emotion; else all faces, and None."""
    try:
        manifest = read_manifest(folder, EXPANSION, train)
        added = [int(manifest["images_per_emotion"][emotion]) for emotion in EMOTIONS]
    except (InputError, KeyError, TypeError, ValueError):
        return len(train), None
    return manifest["faces"], added


def draw_examples(settings: Settings, train: FER2013, plan: Plan, folder: Path, plots: Path) -> Path:
    """The sheet of examples, as read from the files."""
    names = image_names(settings, plan)
    shown = example_faces(plan, train.labels.numpy())
    images = {face: read_examples(folder, names, plan, face) for face in shown.values()}
    title = f"{train.dataset}: training faces and their {settings.mode}"
    path = plots / f"{settings.mode.removesuffix('s')}_examples_{train.dataset}.png"
    if settings.mode == AUGMENTATIONS:
        count = min(settings.num_augments, MOST_ROWS)
        columns = [
            [train.faces[shown[label]].numpy(), *(images[shown[label]].get(k) for k in range(count))]
            if label in shown
            else [None] * (count + 1)
            for label in range(len(EMOTIONS))
        ]
        rows: Sequence = list(zip(*columns, strict=True))
        return face_sheet(path, rows, ["original", *map(str, range(1, count + 1))], EMOTIONS, title)
    rows = [
        [train.faces[face].numpy(), *(images[face].get(k) for k in range(len(EMOTIONS)))] for face in shown.values()
    ]
    return face_sheet(path, rows, [EMOTIONS[label] for label in shown], ["original", *EMOTIONS], title)


def example_faces(plan: Plan, labels: np.ndarray) -> dict[int, int]:
    """{label: face}: of each emotion with images, the first of the faces with most."""
    counts = np.bincount(plan.faces)
    best = {}
    for label in range(len(EMOTIONS)):
        faces = np.flatnonzero(labels[: len(counts)] == label)
        if len(faces) and counts[faces].max() > 0:
            best[label] = int(faces[counts[faces].argmax()])
    return best


def read_examples(folder: Path, names: list[str], plan: Plan, face: int) -> dict[int, np.ndarray]:
    """The face's images by k. Raises InputError for a damaged one."""
    rows = np.flatnonzero(plan.faces == face)
    try:
        images = read_chunk(folder, [names[row] for row in rows])
    except BadImage as error:
        raise InputError(
            f"{folder / error.name}: {error}, expected a 48x48 grey PNG; remove it and start again"
        ) from error
    return {int(plan.ks[row]): image for row, image in zip(rows, images, strict=True)}
