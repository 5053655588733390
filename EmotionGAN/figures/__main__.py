"""Pictures of a generator's space and of what it does there: `python -m EmotionGAN.figures`."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from core_code.core_utils import flags
from core_code.core_utils.emotions import EMOTIONS
from core_code.core_utils.errors import InputError, run_command

if TYPE_CHECKING:
    from core_code.datasets.augmentations.plan import Settings
    from core_code.datasets.fer2013 import FER2013
    from EmotionGAN.editor import Editor

WALKERS = ("Neutral", "Happy", "Sad", "Surprise")


def add_face_flags(parser: argparse.ArgumentParser) -> None:
    """Whose faces: --dataset and --data_root, the sample faces by default."""
    parser.add_argument(
        "--dataset", choices=flags.DATASETS, default="sample",
        help="sample (built in: nobody's faces, free to show), fer2013 (a CSV), or folder (images in "
        "train/<emotion>/ ...) (default: sample)",
    )  # fmt: skip
    parser.add_argument(
        "--data_root", type=Path, default=Path("data/fer2013"),
        help="folder of the CSV or of the image folders; not read for sample (default: data/fer2013)",
    )  # fmt: skip


def pick_face(train: "FER2013", wanted: int | None) -> int:
    """The row of the grid's face; None takes the first Neutral one. Raises InputError for one that is not there."""
    if wanted is None:
        neutral = train.labels == EMOTIONS.index("Neutral")
        return int(neutral.int().argmax())
    if not 0 <= wanted < len(train):
        raise InputError(f"--face {wanted}: no such training face, expected 0 to {len(train) - 1}")
    return wanted


def draw_examples(path: Path, settings: "Settings", train: "FER2013", editor: "Editor") -> Path:
    """The sheet of examples that create_augmentations.py would draw with these settings for all training faces.

    Only the images of the faces that are shown are generated, in a temporary folder.
    """
    from tempfile import TemporaryDirectory

    import numpy as np
    import torch

    from core_code.core_utils.files import atomic_write
    from core_code.datasets.augmentations import report
    from core_code.datasets.augmentations.make import write_images
    from core_code.datasets.augmentations.plan import image_names, make_plan

    plan = make_plan(settings, train.labels, train.class_counts, editor.space)
    shown = report.example_faces(plan, train.labels.numpy())
    rows = np.flatnonzero(np.isin(plan.faces, list(shown.values())))
    names = image_names(settings, plan)
    images = editor.edit_all(train.faces[torch.from_numpy(plan.faces[rows])], torch.from_numpy(plan.codes[rows]))
    with TemporaryDirectory() as folder:
        write_images(Path(folder), [names[row] for row in rows], images.numpy())
        sheet = report.draw_examples(settings, train, plan, Path(folder), Path(folder))
        content = sheet.read_bytes()
    atomic_write(path, lambda file: file.write(content))
    return path


def walk_rows(labels: list[int]) -> list[int]:
    """The rows of the walk's faces: the first one of each emotion in WALKERS that is there."""
    wanted = [EMOTIONS.index(emotion) for emotion in WALKERS]
    return [labels.index(label) for label in wanted if label in labels]


def draw_all(editor: "Editor", train: "FER2013", face: int, seed: int, folder: Path) -> list[Path]:
    """All pictures into `folder`; returns their paths."""
    from core_code.datasets.augmentations.plan import AUGMENTATIONS, EXPANSION, HALF_WIDTHS, Settings
    from EmotionGAN.figures.grid import draw_grid
    from EmotionGAN.figures.space import draw_space
    from EmotionGAN.figures.walk import write_face_walk

    kind = editor.generator.config.parametrisation
    caption = f"face {face} of {train.dataset}:\n{editor.space.emotions[train.labels[face]]}"
    space = draw_space(
        folder / f"conditional_space_{editor.name}.png", editor.generator, editor.space,
        f"{editor.name}: the {kind} space of emotions", [HALF_WIDTHS[AUGMENTATIONS], HALF_WIDTHS[EXPANSION]],
    )  # fmt: skip
    grid = draw_grid(
        folder / f"face_grid_{editor.name}_{train.dataset}_{face}.png", train.faces[face], caption, editor
    )  # fmt: skip
    examples = [
        draw_examples(
            folder / f"{mode.removesuffix('s')}_examples_{editor.name}_{train.dataset}.png",
            Settings(mode=mode, seed=seed), train, editor,
        )
        for mode in (AUGMENTATIONS, EXPANSION)
    ]  # fmt: skip
    faces = train.faces[walk_rows(train.labels.tolist())]
    walk = write_face_walk(folder / f"walk_{editor.name}_{train.dataset}.gif", editor, faces)
    return [space, grid, *examples, walk]


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = flags.make_parser(
        "Draw five pictures into plots_output: the conditional space (centres, standard deviations, neighbourhoods); "
        "one face all over it; examples of the augmentations and of the expansion, as create_augmentations.py "
        "generates them for these faces with this generator and seed, its other flags at their defaults; and faces "
        "on a walk from emotion to emotion, as a GIF.",
        "python -m EmotionGAN.figures --face 3",
    )
    parser.add_argument(
        "--face", type=int, default=None, help="row of the training face that is drawn all over the space "
        "(default: the first Neutral one)",
    )  # fmt: skip
    add_face_flags(parser)
    flags.add_output_flag(parser)
    flags.add_generator_flag(parser)
    flags.add_device_flags(parser)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Draw the pictures and print their paths."""
    args = parse_arguments(arguments)

    from core_code.core_utils.devices import pick_device, pick_dtype
    from core_code.datasets.fer2013 import FER2013
    from EmotionGAN.editor import Editor

    device = pick_device(args.device)
    train = FER2013(args.data_root, "train", args.dataset)
    face = pick_face(train, args.face)
    editor = Editor.load(args.generator, device, pick_dtype(args.precision, device))
    for path in draw_all(editor, train, face, args.seed, args.output_root / "plots_output"):
        print(path)


if __name__ == "__main__":
    run_command(main)
