"""How well trained nets read val and test, alone and voting.

    python -m core_code.evaluate --net_name resnet18 --exp_names Baseline Augmented Expanded

Accuracies are also given on those test faces of which no exact copy stands in Training. With `--probe byol` it is
BYOL checkpoints that are judged, by a linear classifier on their frozen features: see probe.py.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from core_code.core_utils import flags
from core_code.core_utils.checkpoints import BEST, KINDS, CheckpointFiles
from core_code.core_utils.errors import run_command
from core_code.core_utils.files import write_json
from core_code.models.architectures import ARCHITECTURES

if TYPE_CHECKING:
    from torch import Tensor

    from core_code.core_utils.metrics import Scores

SUREST, MEAN = "vote (surest)", "vote (mean of softmaxes)"
NOVEL = "test_not_in_training"
Report = dict[str, dict[str, "Scores"]]


def not_in(faces: "Tensor", others: "Tensor") -> "Tensor":
    """Which faces, uint8 [N,H,W], have no exact copy among `others`: bool [N]."""
    import torch

    known = {other.tobytes() for other in others.numpy()}
    return torch.tensor([face.tobytes() not in known for face in faces.numpy()], dtype=torch.bool)


def score_all(logits: dict[str, "Tensor"], labels: "Tensor") -> dict[str, "Scores"]:
    """The scores of each experiment and, where there are several, of their votes."""
    from core_code.core_utils.metrics import mean_vote, score, surest_vote

    one_by_one = list(logits.values())
    if len(one_by_one) > 1:
        logits = {**logits, SUREST: surest_vote(one_by_one), MEAN: mean_vote(one_by_one)}
    return {name: score(values, labels) for name, values in logits.items()}


def evaluate(args: argparse.Namespace) -> Report:
    """Scores by split (val, test, test_not_in_training) and by model. Raises InputError."""
    from core_code.core_utils.devices import pick_device, pick_dtype
    from core_code.datasets.batches import FaceBatches
    from core_code.datasets.fer2013 import FER2013
    from core_code.inference import load_trained, predict

    device = pick_device(args.device)
    dtype = pick_dtype(args.precision, device)
    folder = args.output_root / "checkpoints"
    trained = [load_trained(CheckpointFiles(folder, args.net_name, name), args.checkpoint) for name in args.exp_names]
    splits = {phase: FER2013(args.data_root, phase, args.dataset) for phase in ("val", "test")}
    novel = not_in(splits["test"].faces, FER2013(args.data_root, "train", args.dataset, args.max_faces).faces)
    report: Report = {}
    for phase, faces in splits.items():
        batches = FaceBatches(faces, args.batch_size, device)
        logits = {}
        for name, (net, size) in zip(args.exp_names, trained, strict=True):
            logits[name], labels = predict(net.to(device), batches, args.image_size or size, dtype, f"{name}, {phase}")
        report[phase] = score_all(logits, labels)
    if novel.any():
        report[NOVEL] = score_all({name: values[novel] for name, values in logits.items()}, labels[novel])
    return report


def as_text(report: Report) -> str:
    """A table of accuracies and, for val and test, the confusion matrices."""
    from core_code.core_utils.metrics import as_table
    from core_code.datasets.fer2013 import EMOTIONS

    width = max(len(name) for name in report["val"]) + 2
    lines = []
    for split, models in report.items():
        faces = next(iter(models.values())).faces
        lines.append(f"\n{split} ({faces} faces)")
        lines.append(f"{'':<{width}}{'top-1':>8}{'top-2':>8}{'mean per class':>16}")
        for name, scores in models.items():
            figures = f"{100 * scores.top1:>8.2f}{100 * scores.top2:>8.2f}{100 * scores.mean_per_class:>16.2f}"
            lines.append(f"{name:<{width}}{figures}")
    for split in ("val", "test"):
        for name, scores in report[split].items():
            lines.append(f"\n{name} on {split}: rows are the true emotions")
            lines.append(as_table(scores.confusion, EMOTIONS))
    return "\n".join(lines)


def write_report(report: Report, args: argparse.Namespace) -> list[Path]:
    """plots_output/evaluation_<net>.json and a picture of each confusion matrix; returns the paths."""
    from core_code.core_utils.plots import plot_confusion_matrix
    from core_code.datasets.fer2013 import EMOTIONS

    folder = args.output_root / "plots_output"
    names = {SUREST: "vote_surest", MEAN: "vote_mean"}
    paths = []
    for split in ("val", "test"):
        for name, scores in report[split].items():
            path = folder / f"confusion_matrix_{args.net_name}_{names.get(name, name)}_{split}.png"
            title = f"{args.net_name}, {name}: {split}, {scores.faces} faces, top-1 {100 * scores.top1:.2f} %"
            paths.append(plot_confusion_matrix(scores.confusion, EMOTIONS, path, title))
    path = folder / f"evaluation_{args.net_name}.json"
    write_json(
        path,
        {
            "net": args.net_name,
            "experiments": args.exp_names,
            "checkpoint": args.checkpoint,
            "dataset": args.dataset,
            "emotions": EMOTIONS,
            "splits": {
                split: {name: scores._asdict() for name, scores in models.items()} for split, models in report.items()
            },
        },
    )
    return [path, *paths]


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """All the flags."""
    parser = flags.make_parser(
        __doc__.splitlines()[0], "python -m core_code.evaluate --net_name resnet18 --exp_names Baseline Augmented"
    )
    parser.add_argument("--net_name", choices=tuple(ARCHITECTURES), required=True)
    parser.add_argument("--exp_names", type=flags.run_name, nargs="+", required=True, help="two or more also vote")
    parser.add_argument("--checkpoint", choices=KINDS, default=BEST, help=f"(default: {BEST})")
    parser.add_argument("--batch_size", type=flags.count, default=128, help="(default: 128)")
    parser.add_argument(
        "--image_size", type=flags.count, default=None,
        help="side of the views in pixels (default: what each experiment was trained on)",
    )  # fmt: skip
    parser.add_argument(
        "--probe", choices=("byol",), default=None,
        help="judge the experiments' BYOL checkpoints instead: top-1 of a linear classifier on frozen features, beside "
        "that of the net which BYOL started from",
    )  # fmt: skip
    flags.add_output_flag(parser)
    flags.add_data_flags(parser)
    flags.add_device_flags(parser)
    args = parser.parse_args(arguments)
    args.exp_names = list(dict.fromkeys(args.exp_names))
    return args


def main(arguments: list[str] | None = None) -> None:
    """Evaluate, write and print. Raises InputError."""
    args = parse_arguments(arguments)
    if args.probe:
        from core_code import probe

        probe.report(args, probe.probe_all(args))
        return
    report = evaluate(args)
    written, *pictures = write_report(report, args)
    print(as_text(report))
    print(f"\nfigures: {written}\npictures: {len(pictures)} in {written.parent}/confusion_matrix_{args.net_name}_*.png")


if __name__ == "__main__":
    run_command(main)
