"""Judge a generator by an independent classifier: `python -m EmotionGAN.measure`.

The classifier must have been trained on real faces alone (train_model.py with --emotion_transform_prob 0).
"""

import argparse

from core_code.core_utils import flags
from core_code.core_utils.errors import run_command

SHEET_FACES = 10


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    from core_code.models.architectures import ARCHITECTURES

    parser = flags.make_parser(
        "Judge a generator on faces that it was not trained on: does an independent classifier predict the target "
        "emotion, how much of the face stays, how realistic and how smooth the edits are. Writes JSON and pictures.",
        "python -m EmotionGAN.measure --net_name resnet18 --exp_name baseline",
    )
    parser.add_argument("--net_name", choices=tuple(ARCHITECTURES), required=True, help="the classifier's net")
    parser.add_argument("--exp_name", type=flags.run_name, required=True, help="the classifier's experiment, of "
                        "train_model.py --emotion_transform_prob 0: trained on real faces only")  # fmt: skip
    parser.add_argument("--phase", choices=("train", "val", "test"), default="val", help="(default: val)")
    flags.add_output_flag(parser)
    flags.add_data_flags(parser)
    flags.add_generator_flag(parser)
    flags.add_accelerate_flag(parser)
    flags.add_device_flags(parser)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    args = parse_arguments(arguments)

    from core_code.core_utils.checkpoints import BEST, CheckpointFiles
    from core_code.core_utils.devices import pick_hardware
    from core_code.core_utils.files import write_json
    from core_code.datasets.fer2013 import FER2013
    from core_code.training.inference import load_trained, predict_batch
    from EmotionGAN.editor import Editor
    from EmotionGAN.measure import exaggeration
    from EmotionGAN.measure.quality import classifier_of, measure_quality, quality_table
    from EmotionGAN.sheets import write_sample_sheet

    device, dtype = pick_hardware(args.device, args.precision)
    editor = Editor.load(args.generator, device, dtype, args.accelerate)
    files = CheckpointFiles(args.output_root / "checkpoints", args.net_name, args.exp_name)
    net, size = load_trained(files, BEST)
    net = net.eval().to(device)
    classifier = classifier_of(
        net.head, lambda faces: predict_batch(net, faces.to(device), size, dtype), files.path(BEST).name
    )
    data = FER2013(args.data_root, args.phase, args.dataset, args.max_faces)
    result = measure_quality(editor, classifier, data.faces, data.labels)
    tables = [quality_table(result)]
    plots = args.output_root / "plots_output"
    titles = [editor.space.emotions[label] for label in data.labels[:SHEET_FACES]]
    path = plots / f"generator_sheet_{editor.name}_{args.dataset}.png"
    pictures = [write_sample_sheet(path, editor.generator, data.faces[:SHEET_FACES], titles)]
    if editor.face_encoder:
        result["exaggeration"] = exaggeration.measure_exaggeration(editor, classifier, data.faces, data.labels)
        tables.append(exaggeration.exaggeration_table(result["exaggeration"]))
        path = plots / f"generator_confidence_{editor.name}.png"
        pictures.append(exaggeration.plot_confidences(path, result["exaggeration"], editor.name))
        path = plots / f"generator_centres_{editor.name}_{args.dataset}.png"
        pictures.append(exaggeration.write_comparison_sheet(path, editor, data.faces, data.labels))
    figures = plots / f"generator_quality_{editor.name}.json"
    write_json(figures, result)
    print("\n\n".join(tables))
    print(f"\nfigures: {figures}\npictures: {', '.join(map(str, pictures))}")


if __name__ == "__main__":
    run_command(main)
