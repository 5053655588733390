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

WALKERS = ("Neutral", "Happy", "Sad", "Surprise")  # the first face of each is on the walk


def draw_examples(path: Path, settings: "Settings", train: "FER2013", editor: "Editor") -> Path:
    """The sheet of examples that create_augmentations.py would draw with these settings for all training faces. Only
    the images of the faces that are shown are generated, in a temporary folder."""
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
        content = report.draw_examples(settings, train, plan, Path(folder), Path(folder)).read_bytes()
    atomic_write(path, lambda file: file.write(content))
    return path


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = flags.make_parser(
        "Draw five pictures into plots_output: the conditional space (centres, standard deviations, neighbourhoods); "
        "one face all over it; examples of the augmentations and of the expansion, as create_augmentations.py "
        "generates them for these faces with this generator and seed, its other flags at their defaults; and faces "
        "on a walk from emotion to emotion, as a GIF.",
        "python -m EmotionGAN.figures --face 3",
    )
    parser.add_argument("--face", type=int, help="row of the training face that is drawn all over the space "
                        "(default: the first Neutral one)")  # fmt: skip
    flags.add_data_flags(parser, max_faces=False, default="sample")
    flags.add_output_flag(parser)
    flags.add_generator_flag(parser)
    flags.add_accelerate_flag(parser)
    flags.add_device_flags(parser)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Draw the pictures and print their paths."""
    args = parse_arguments(arguments)

    from core_code.core_utils.devices import pick_device, pick_dtype
    from core_code.datasets.augmentations.plan import AUGMENTATIONS, EXPANSION, HALF_WIDTHS, Settings
    from core_code.datasets.fer2013 import FER2013
    from EmotionGAN.editor import Editor
    from EmotionGAN.figures.grid import draw_grid
    from EmotionGAN.figures.space import draw_space
    from EmotionGAN.figures.walk import write_face_walk

    device = pick_device(args.device)
    train = FER2013(args.data_root, "train", args.dataset)
    face = int((train.labels == EMOTIONS.index("Neutral")).int().argmax()) if args.face is None else args.face
    if not 0 <= face < len(train):
        raise InputError(f"--face {face}: no such training face, expected 0 to {len(train) - 1}")
    editor = Editor.load(args.generator, device, pick_dtype(args.precision, device), args.accelerate)
    folder, name = args.output_root / "plots_output", editor.name
    half_widths = [HALF_WIDTHS[AUGMENTATIONS], HALF_WIDTHS[EXPANSION]]
    print(draw_space(folder / f"conditional_space_{name}.png", editor, half_widths))
    caption = f"face {face} of {train.dataset}:\n{EMOTIONS[train.labels[face]]}"
    print(draw_grid(folder / f"face_grid_{name}_{train.dataset}_{face}.png", train.faces[face], caption, editor))
    for mode in (AUGMENTATIONS, EXPANSION):
        path = folder / f"{mode.removesuffix('s')}_examples_{name}_{train.dataset}.png"
        print(draw_examples(path, Settings(mode=mode, seed=args.seed), train, editor))
    labels = train.labels.tolist()
    rows = [labels.index(label) for label in map(EMOTIONS.index, WALKERS) if label in labels]
    print(write_face_walk(folder / f"walk_{name}_{train.dataset}.gif", editor, train.faces[rows]))


if __name__ == "__main__":
    run_command(main)
