"""The report of a run of create_augmentations.py: counts, the label distribution, and a sheet of examples."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from core_code.core_utils.emotions import EMOTIONS
from core_code.core_utils.errors import InputError
from core_code.core_utils.plots.distribution import distribution_table, plot_distribution
from core_code.core_utils.plots.face_sheets import face_sheet
from core_code.core_utils.tables import as_markdown
from core_code.datasets.augmentations.detection import NOT_FOUND_NAME
from core_code.datasets.augmentations.make import Result
from core_code.datasets.augmentations.manifest import read_manifest
from core_code.datasets.augmentations.pack import decoded_chunks
from core_code.datasets.augmentations.plan import AUGMENTATIONS, EXPANSION, Plan, Settings, image_names
from core_code.datasets.fer2013 import FER2013

MOST_ROWS = 10


def report(
    settings: Settings, train: FER2013, result: Result, folder: Path, expansion_folder: Path, plots: Path
) -> None:
    """Print what was generated and where it is; plot the label distribution and examples into `plots`, in pictures that
    have the folder's name in theirs.

    After a run for augmentations the distribution shows the expansion too, where `expansion_folder` holds one of
    the same faces.
    """
    rate = f", {result.generated / result.seconds:.1f} a second" if result.generated else ""
    print(f"{len(result.plan)} images in {folder}: {result.generated} generated now{rate}, {result.found} found there")
    if (folder / NOT_FOUND_NAME).exists():
        print(f"faces that were not found: {folder / NOT_FOUND_NAME}")
    faces, added = expansion_on_disk(folder if settings.mode == EXPANSION else expansion_folder, train)
    before = np.bincount(train.labels[:faces].numpy(), minlength=len(EMOTIONS)).tolist()
    after = None if added is None else np.add(before, added).tolist()
    print(f"the labels of {faces} training faces{'' if added is None else ', before and after the expansion'}:")
    print(as_markdown(distribution_table(EMOTIONS, before, after), decimals=1))
    name = folder.resolve().name
    path = plots / f"label_distribution_{name}.png"
    pictures = [plot_distribution(path, train.dataset, EMOTIONS, before, after)]
    if len(result.plan):
        names = image_names(settings, result.plan)

        def images_of(rows: np.ndarray) -> np.ndarray:
            return np.concatenate([*decoded_chunks(folder, [names[row] for row in rows], "the same command")])

        path = plots / f"{settings.mode.removesuffix('s')}_examples_{name}.png"
        pictures.append(draw_examples(path, settings, train, result.plan, images_of))
    print("pictures: " + ", ".join(map(str, pictures)))


def expansion_on_disk(folder: Path, train: FER2013) -> tuple[int, list[int] | None]:
    """How many first faces have a finished expansion, and its images of each emotion; else all faces, and None."""
    try:
        manifest = read_manifest(folder, EXPANSION, train)
        added = [int(manifest["images_per_emotion"][emotion]) for emotion in EMOTIONS]
    except (InputError, KeyError, TypeError, ValueError):
        return len(train), None
    return manifest["faces"], added


def draw_examples(
    path: Path, settings: Settings, train: FER2013, plan: Plan, images_of: Callable[[np.ndarray], np.ndarray]
) -> Path:
    """The sheet of examples: of each emotion with images the first of the faces with most. `images_of` gives the images
    uint8 [R,48,48] of R rows of the plan. Returns the path."""
    with_images, counts = np.unique(plan.faces, return_counts=True)
    shown = pd.Series(counts, with_images).groupby(train.labels.numpy()[with_images]).idxmax()  # by label
    augmented = settings.mode == AUGMENTATIONS
    shown_of_each = min(settings.num_augments, MOST_ROWS) if augmented else len(EMOTIONS)
    rows = np.flatnonzero(np.isin(plan.faces, shown) & (plan.ks < shown_of_each))
    sheet: dict[int, list[np.ndarray | None]] = {
        face: [train.faces[face].numpy(), *[None] * shown_of_each] for face in shown.tolist()
    }
    for row, image in zip(rows, images_of(rows), strict=True):
        sheet[int(plan.faces[row])][1 + plan.ks[row]] = image
    faces, titles = list(sheet.values()), [EMOTIONS[label] for label in shown.index]
    title = f"{train.dataset}: training faces and their {settings.mode}"
    if augmented:
        numbers = ["original", *map(str, range(1, shown_of_each + 1))]
        return face_sheet(path, list(zip(*faces, strict=True)), numbers, titles, title)
    return face_sheet(path, faces, titles, ["original", *EMOTIONS], title)
