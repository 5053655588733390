"""Judge a generator by independent classifiers, small nets and dlib: `python -m EmotionGAN.measure`."""

import argparse
import shlex
import sys
from datetime import date
from functools import partial
from pathlib import Path

from core_code.core_utils import flags
from core_code.core_utils.errors import run_command
from EmotionGAN.measure import PARTS

CPU_CAS_FACES = 8000


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    from core_code.datasets.splits import SPLITS
    from core_code.models.architectures import ARCHITECTURES

    parser = flags.make_parser(
        "Judge a generator on faces that it was not trained on: whether independent classifiers predict the target "
        "emotion, how much augmentations differ, what edits are worth as training data, whether they can be told from "
        "real faces, whether they are still faces and of the same person. Writes JSON, Markdown and pictures.",
        "python -m EmotionGAN.measure --judges checkpoints/ckpt_resnet18_Regular_best_validation.pth "
        "checkpoints/ckpt_densenet201_Regular_best_validation.pth",
    )
    parser.add_argument("--judges", type=Path, nargs="+", default=[], metavar="CHECKPOINT",
                        help="checkpoints of classifiers that were trained on real faces only, best of different nets "
                        "(train_model.py --emotion_transform_prob 0); Frechet distances are in the first one's "
                        "features")  # fmt: skip
    parser.add_argument("--net_name", choices=tuple(ARCHITECTURES), help="with --exp_name: one judge more, of this net")
    parser.add_argument("--exp_name", type=flags.run_name, help="with --net_name: the judge's experiment")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS),
                        help="what is measured (default: all)")  # fmt: skip
    parser.add_argument("--split", "--phase", choices=SPLITS, default="val", help="whose faces are edited")
    parser.add_argument("--cas_faces", type=flags.count, help="from how many training faces and edits "
                        f"the small nets learn (default: all of them, on a CPU {CPU_CAS_FACES})")  # fmt: skip
    parser.add_argument("--identity_faces", type=flags.count, default=500, help="how many random faces dlib describes, "
                        "each at every other emotion")  # fmt: skip
    parser.add_argument("--compare", type=Path, nargs="+", default=[], metavar="JSON",
                        help="figures of other generators, of earlier runs: a column each in the table")  # fmt: skip
    flags.add_output_flag(parser)
    flags.add_data_flags(parser, max_faces=False)
    parser.add_argument("--max_faces", type=flags.count, help="use only the first N faces of --split (default: all)")
    flags.add_editor_flags(parser)
    args = parser.parse_args(arguments)
    if (args.net_name is None) != (args.exp_name is None):
        parser.error("--net_name and --exp_name are given together")
    if not args.judges and args.net_name is None:
        parser.error("--judges is required (or --net_name with --exp_name)")
    return args


def main(arguments: list[str] | None = None) -> None:
    args = parse_arguments(arguments)

    from core_code.core_utils.checkpoints import BEST, CheckpointFiles
    from core_code.core_utils.devices import hardware, pick_hardware
    from core_code.core_utils.emotions import EMOTIONS
    from core_code.datasets.fer2013 import FER2013
    from core_code.training.inference import load_trained_file, predict_batch
    from EmotionGAN.editor import Editor
    from EmotionGAN.measure.face_sets import FaceSet
    from EmotionGAN.measure.judges import judge_of
    from EmotionGAN.measure.report import numbered, read_report, write_report
    from EmotionGAN.measure.run import MeasureSettings, measure

    earlier = [read_report(path) for path in args.compare]
    device, dtype = pick_hardware(args.device, args.precision)
    editor = Editor.load(args.generator, device, dtype, args.accelerate)
    paths = dict.fromkeys(args.judges)
    if args.net_name:
        paths[CheckpointFiles(args.output_root / "checkpoints", args.net_name, args.exp_name).path(BEST)] = None
    judges = []
    for path, name in zip(paths, numbered([path.stem.removeprefix("ckpt_") for path in paths]), strict=True):
        net, size = load_trained_file(path, device, EMOTIONS)
        predict = partial(predict_batch, net.eval(), image_size=size, dtype=dtype)
        judges.append(judge_of(net.head, predict, name, device))
    data = FER2013(args.data_root, args.split, args.dataset, args.max_faces)
    faces, train = FaceSet(data.faces, data.labels), None
    if {"cas", "detectability"} & {*args.parts}:
        count = args.cas_faces or (CPU_CAS_FACES if device.type == "cpu" else None)
        real = FER2013(args.data_root, "train", args.dataset, count)
        train = FaceSet(real.faces, real.labels)
    plots = args.output_root / "plots_output"
    shown = args.dataset if args.split == "val" else f"{args.dataset}_{args.split}"
    settings = MeasureSettings(plots, shown, tuple(args.parts), args.identity_faces, args.seed)
    done = measure(editor, judges, faces, train, settings)
    words = ["python", "-m", "EmotionGAN.measure", *(sys.argv[1:] if arguments is None else arguments)]
    report = {
        "generator": editor.name,
        "generator_fingerprint": editor.fingerprint,
        "command": shlex.join(words),
        "date": date.today().isoformat(),
        "hardware": hardware(),
        "judges": [judge.name for judge in judges],
        "data": f"{args.dataset} {args.split}",
        "seed": args.seed,
        "small_nets_faces": len(train.faces) if train else None,
        **done.to_dict(),
    }
    write_report(plots / f"generator_quality_{editor.name}_{shown}", report, earlier)
    print(f"pictures: {', '.join(map(str, done.pictures))}")


if __name__ == "__main__":
    run_command(main)
