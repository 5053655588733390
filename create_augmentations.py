"""Generate augmentations of the training faces, or their expansion to the other emotions, and write them as PNGs.

`torchrun --nproc_per_node N create_augmentations.py ...` divides the images among N processes.
"""

import argparse
import shlex
from pathlib import Path

from core_code.core_utils import flags
from core_code.core_utils.choices import AUGMENTATIONS_FOLDER, EXPANDED_FOLDER
from core_code.core_utils.distributed.job import distributed_session, is_main_process, local_main_first
from core_code.core_utils.errors import run_command

PRECISIONS = {"torch.float32": "fp32", "torch.bfloat16": "bf16"}
DEFAULT_FOLDERS = {False: AUGMENTATIONS_FOLDER, True: EXPANDED_FOLDER}


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command's flags."""
    parser = flags.make_parser(
        "Edit each training face with a generator: --num_augments images near its own emotion, or, with "
        "--expand_dataset True, one at each other emotion (rare emotions gain most). Images already there are kept.",
        "python create_augmentations.py --num_augments 10 --max_faces 2000",
    )
    add_image_flags(parser)
    flags.add_output_flag(parser)
    flags.add_data_flags(parser)
    flags.add_editor_flags(parser)
    args = parser.parse_args(arguments)
    if args.expand_dataset and args.centre == "face":
        parser.error("--centre face: the expansion is around the other emotions' centres; leave it out")
    args.dest_folder = args.dest_folder or DEFAULT_FOLDERS[args.expand_dataset]
    return args


def add_image_flags(parser: argparse.ArgumentParser) -> None:
    """Which images, how they are generated, and where they go."""
    add = parser.add_argument
    add(
        "--dest_folder", type=Path,
        help="where the images go (default: data/fer2013_augmentations; with --expand_dataset True, "
        "data/expanded_fer_2013)",
    )  # fmt: skip
    add("--num_augments", type=flags.count, default=10, help="images a face; not for the expansion")
    add(
        "--centre", choices=("emotion", "face"), default="emotion",
        help="sample codes around the centre of the face's emotion, or around the face's own code, as the generator's "
        "encoder predicts it, so that an ambiguous face stays one; not for the expansion",
    )  # fmt: skip
    add(
        "--neighborhood", type=flags.non_negative,
        help="half the side of the box that codes are sampled from; the space is [-1,1] x [-1,1] (default: 0.2; with "
        "--expand_dataset True, 0.05)",
    )  # fmt: skip
    add(
        "--face_detector", choices=("auto", "dlib", "none"), default="auto",
        help="dlib (pip install dlib-bin) finds the part of each face that is edited, and faces that it does not find "
        "get no image; none edits whole faces; auto takes dlib for generators that were trained on such cut-outs, "
        "GANmut's published ones among them",
    )  # fmt: skip
    flags.add_boolean(parser, "--expand_dataset", False, "generate the expansion instead of augmentations")
    add("--folder_batch_size", type=flags.count, default=100,
        help="sub-folders over which the augmentations are distributed")  # fmt: skip
    add("--batch_size", type=flags.count, default=256, help="images that are generated at once")
    add(
        "--format", choices=("png", "shards"), default="png",
        help="png: a file each; shards: tar files of about 10,000 PNGs, for millions of images",
    )  # fmt: skip
    add(
        "--compile", type=flags.boolean_or_auto, nargs="?", const=True, default=None, metavar="auto/True/False",
        help="compile the generator, which takes half a minute or more and a C++ compiler; auto: where the number of "
        "images pays for it (default: auto)",
    )  # fmt: skip


def command_of(args: argparse.Namespace, precision: str, compiled: bool, face_detector: str) -> str:
    """The command line that generates the same images again."""
    expand = args.expand_dataset
    words = flags.as_words(
        dest_folder=args.dest_folder, dataset=args.dataset,
        data_root=None if args.dataset == "sample" else args.data_root,
        expand_dataset=expand or None, num_augments=None if expand else args.num_augments,
        folder_batch_size=None if expand else args.folder_batch_size, batch_size=args.batch_size, seed=args.seed,
        precision=precision, face_detector=face_detector, format=None if args.format == "png" else args.format,
        compile=compiled, accelerate=None if args.accelerate else False,
        centre=None if expand else args.centre, neighborhood=args.neighborhood, generator=args.generator,
        max_faces=args.max_faces,
    )  # fmt: skip
    return shlex.join(["python", "create_augmentations.py", *words])


@distributed_session()
def main(arguments: list[str] | None = None) -> None:
    """Parse, generate, report; under torchrun, as one of several processes."""
    args = parse(arguments)

    from core_code.core_utils.devices import pick_hardware
    from core_code.core_utils.emotions import EMOTIONS
    from core_code.core_utils.memory import keep_freed_memory
    from core_code.datasets.augmentations.compiling import choose_editor
    from core_code.datasets.augmentations.detection import detect_faces
    from core_code.datasets.augmentations.make import generate_images
    from core_code.datasets.augmentations.plan import AUGMENTATIONS, EXPANSION, Settings
    from core_code.datasets.augmentations.report import report
    from core_code.datasets.fer2013 import FER2013
    from EmotionGAN.editor import Editor

    device, dtype = pick_hardware(args.device, args.precision)
    precision = PRECISIONS[str(dtype)]
    if device.type == "cpu":
        keep_freed_memory()
    with local_main_first():
        train = FER2013(args.data_root, "train", args.dataset)
    face_count = min(args.max_faces or len(train), len(train))
    editor = Editor.load(args.generator, device, dtype, args.accelerate)
    print(f"{face_count} of {len(train)} training faces, generator {editor.name}, {device.type}, {precision}")
    mode = EXPANSION if args.expand_dataset else AUGMENTATIONS
    boxes = detect_faces(args.face_detector, train, face_count, editor, args.dest_folder, mode)
    images = face_count * (len(EMOTIONS) - 1 if args.expand_dataset else args.num_augments)  # at most
    editor, compiled = choose_editor(editor, args.compile, args.dest_folder, images, args.batch_size)
    settings = flags.as_settings(Settings, args, mode=mode, precision=precision, storage=args.format, compiled=compiled)
    command = command_of(args, precision, compiled, "none" if boxes is None else "dlib")
    result = generate_images(settings, train, face_count, editor, args.dest_folder, command, boxes)
    if is_main_process():
        report(settings, train, result, args.dest_folder, DEFAULT_FOLDERS[True], args.output_root / "plots_output")


if __name__ == "__main__":
    run_command(main)
