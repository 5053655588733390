"""Pictures of a generator's space and of what it does there: `python -m EmotionGAN.figures`."""

import argparse

from core_code.core_utils import flags
from core_code.core_utils.emotions import EMOTIONS
from core_code.core_utils.errors import InputError, run_command

WALKERS = ("Neutral", "Happy", "Sad", "Surprise")  # the first face of each is on the walk


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = flags.make_parser(
        "Draw five pictures into plots_output: the conditional space (centres, standard deviations, neighbourhoods); "
        "one face all over it; examples of the augmentations and of the expansion, as create_augmentations.py "
        "generates them for these faces with this generator and seed, its other flags at their defaults (of a "
        "generator for dlib's cut-outs with --face_detector none: whole faces); and faces on a walk from emotion to "
        "emotion, as a GIF.",
        "python -m EmotionGAN.figures --face 3",
    )
    parser.add_argument("--face", type=int, help="row of the training face that is drawn all over the space "
                        "(default: the first Neutral one)")  # fmt: skip
    flags.add_data_flags(parser, max_faces=False, default="sample")
    flags.add_output_flag(parser)
    flags.add_editor_flags(parser)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Draw the pictures and print their paths."""
    args = parse_arguments(arguments)

    import numpy as np
    import torch

    from core_code.core_utils.devices import pick_hardware
    from core_code.datasets.augmentations.plan import AUGMENTATIONS, EXPANSION, HALF_WIDTHS, Plan, Settings, make_plan
    from core_code.datasets.augmentations.report import draw_examples
    from core_code.datasets.fer2013 import FER2013
    from EmotionGAN.editor import Editor
    from EmotionGAN.figures.grid import draw_grid
    from EmotionGAN.figures.space import draw_space
    from EmotionGAN.figures.walk import write_face_walk

    train = FER2013(args.data_root, "train", args.dataset)
    face = int((train.labels == EMOTIONS.index("Neutral")).int().argmax()) if args.face is None else args.face
    if not 0 <= face < len(train):
        raise InputError(f"--face {face}: no such training face, expected 0 to {len(train) - 1}")
    editor = Editor.load(args.generator, *pick_hardware(args.device, args.precision), args.accelerate)
    folder, name = args.output_root / "plots_output", editor.name
    half_widths = [HALF_WIDTHS[AUGMENTATIONS], HALF_WIDTHS[EXPANSION]]
    print(draw_space(folder / f"conditional_space_{name}.png", editor, half_widths))
    caption = f"face {face} of {train.dataset}:\n{EMOTIONS[train.labels[face]]}"
    print(draw_grid(folder / f"face_grid_{name}_{train.dataset}_{face}.png", train.faces[face], caption, editor))
    for mode in (AUGMENTATIONS, EXPANSION):
        path = folder / f"{mode.removesuffix('s')}_examples_{name}_{train.dataset}.png"
        settings = Settings(mode=mode, seed=args.seed)
        plan = make_plan(settings, train.labels, train.class_counts, editor.space)

        def images_of(rows: np.ndarray, plan: Plan = plan) -> np.ndarray:
            faces, codes = torch.from_numpy(plan.faces[rows]), torch.from_numpy(plan.codes[rows])
            return editor.edit_all(train.faces[faces], codes).numpy()

        print(draw_examples(path, settings, train, plan, images_of))
    labels = train.labels.tolist()
    rows = [labels.index(label) for label in map(EMOTIONS.index, WALKERS) if label in labels]
    print(write_face_walk(folder / f"walk_{name}_{train.dataset}.gif", editor, train.faces[rows]))


if __name__ == "__main__":
    run_command(main)
