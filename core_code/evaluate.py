"""How well trained nets read val and test, alone and voting.

    python -m core_code.evaluate --net_name resnet18 --exp_names Baseline Augmented Expanded

Figures are also given on those test faces of which no exact copy stands in Training; every model and vote is compared
with the first experiment, face by face. With `--probe byol` it is BYOL checkpoints that are judged, by a linear
classifier on their frozen features: see probe.py. With `--from_log` curves are drawn again from logs: see curves.py.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from core_code.core_utils import flags
from core_code.core_utils.checkpoints import BEST, KINDS, CheckpointFiles
from core_code.core_utils.errors import run_command
from core_code.models.architectures import ARCHITECTURES

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from core_code.evaluation.report import Predictions
    from core_code.training.inference import Trained

NOVEL = "test_not_in_training"
NONE, *AUGMENTATIONS = "none", "flip", "ten_crop"  # core_utils.tta.KINDS


def not_in(faces: "Tensor", others: "Tensor") -> "Tensor":
    """Which faces, uint8 [N,H,W], have no exact copy among `others`: bool [N]."""
    import torch

    known = {other.tobytes() for other in others.numpy()}
    return torch.tensor([face.tobytes() not in known for face in faces.numpy()], dtype=torch.bool)


def predict_splits(
    args: argparse.Namespace, nets: "dict[str, Trained]", device: "torch.device", dtype: "torch.dtype"
) -> "dict[str, Predictions]":
    """What each experiment says of val, test and test_not_in_training. Raises InputError."""
    from core_code.datasets.fer2013 import FER2013
    from core_code.datasets.loader import FaceBatches
    from core_code.evaluation.report import Predictions
    from core_code.training.inference import predict

    splits = {phase: FER2013(args.data_root, phase, args.dataset) for phase in ("val", "test")}
    novel = not_in(splits["test"].faces, FER2013(args.data_root, "train", args.dataset, args.max_faces).faces)
    readings = {}
    for phase, data in splits.items():
        batches = FaceBatches(data, args.batch_size, device)
        logits = {kind: {} for kind in dict.fromkeys((NONE, args.tta))}
        for name, (net, size) in nets.items():
            for kind, read in logits.items():
                what = f"{name}, {phase}" + (f", {kind}" if kind != NONE else "")
                read[name], _ = predict(net, batches, args.image_size or size, dtype, what, kind)
        readings[phase] = Predictions(data.faces, data.labels, logits.pop(NONE), logits.get(args.tta, {}))
    if novel.any():
        readings[NOVEL] = readings["test"].of(novel)
    return readings


def evaluate(args: argparse.Namespace) -> None:
    """Read val and test, write the figures and pictures, print the tables. Raises InputError."""
    if args.tsne:  # scikit-learn is slow to load
        from core_code.evaluation.tsne import draw_maps, faces_to_map
    from core_code.evaluation.report import as_text, report_of, with_votes, write_report
    from core_code.training.inference import load_trained
    from core_code.training.runs import pick_hardware

    device, dtype = pick_hardware(args)
    folder = args.output_root / "checkpoints"
    files = {name: CheckpointFiles(folder, args.net_name, name) for name in args.exp_names}
    nets = {name: load_trained(which, args.checkpoint) for name, which in files.items()}
    for trained in nets.values():
        trained.net.to(device)
    mapped = faces_to_map(args) if args.tsne else None
    readings = predict_splits(args, nets, device, dtype)
    report = report_of(readings, args.tta)
    plain = list(with_votes(readings["val"].logits))
    maps, map_pictures = draw_maps(args, nets, mapped, device, dtype) if mapped else ({}, [])
    written, *pictures = write_report(report, readings, plain, args, maps)
    print(as_text(report, plain))
    kinds = "{confusion_matrix,reliability,most_wrong" + (",tsne" if maps else "") + "}"
    print(f"\nfigures: {written}")
    print(f"pictures: {len(pictures + map_pictures)}, {written.parent}/{kinds}_{args.net_name}_*.png")


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """All the flags."""
    parser = flags.make_parser(
        __doc__.splitlines()[0], "python -m core_code.evaluate --net_name resnet18 --exp_names Baseline Augmented"
    )
    parser.add_argument("--net_name", choices=tuple(ARCHITECTURES), help="required, unless --from_log is given")
    parser.add_argument(
        "--exp_names", type=flags.run_name, nargs="+",
        help="required, unless --from_log is given; two or more also vote, the first is what all are compared with",
    )  # fmt: skip
    parser.add_argument("--checkpoint", choices=KINDS, default=BEST, help=f"(default: {BEST})")
    parser.add_argument("--batch_size", type=flags.count, default=128, help="(default: 128)")
    parser.add_argument(
        "--image_size", type=flags.count, default=None,
        help="side of the views in pixels (default: what each experiment was trained on)",
    )  # fmt: skip
    parser.add_argument(
        "--tta", choices=(NONE, *AUGMENTATIONS), default=NONE,
        help="test-time augmentation, reported beside the plain figures: the mean of the logits of the view and its "
        "mirror image (flip), or of four corners, middle and their mirror images (ten_crop) (default: none)",
    )  # fmt: skip
    parser.add_argument(
        "--most_wrong", type=flags.count, default=24, metavar="N",
        help="draw the N faces of val that are read wrongly most surely (default: 24)",
    )  # fmt: skip
    flags.add_boolean(parser, "--tsne", False, "draw a t-SNE map of the features of at most 2,000 faces")
    parser.add_argument(
        "--tsne_on", choices=("val", "train", "augmentations"), default="val",
        help="which faces; augmentations are those of the training faces (default: val)",
    )  # fmt: skip
    flags.add_augmentations_flag(parser, "where --tsne_on augmentations looks")
    parser.add_argument(
        "--probe", choices=("byol",), default=None,
        help="judge the experiments' BYOL checkpoints instead: top-1 of a linear classifier on frozen features, beside "
        "that of the net which BYOL started from",
    )  # fmt: skip
    parser.add_argument(
        "--from_log", type=Path, nargs="+", default=None, metavar="LOG",
        help="evaluate nothing: draw the curves of accuracy and loss again from logs alone (logs/training_*.log); a "
        "resumed run's logs make one curve",
    )  # fmt: skip
    flags.add_output_flag(parser)
    flags.add_data_flags(parser)
    flags.add_device_flags(parser)
    args = parser.parse_args(arguments)
    if not args.from_log and not (args.net_name and args.exp_names):
        parser.error("--net_name and --exp_names are required (unless --from_log is given)")
    args.exp_names = list(dict.fromkeys(args.exp_names or []))
    return args


def main(arguments: list[str] | None = None) -> None:
    """Evaluate, write and print. Raises InputError."""
    args = parse_arguments(arguments)
    if args.from_log:
        from core_code.evaluation.curves import draw_logs

        for path in draw_logs(args.from_log, args.output_root / "plots_output"):
            print(path)
        return
    if args.probe:
        from core_code.evaluation import probe

        probe.report(args, probe.probe_all(args))
        return
    evaluate(args)


if __name__ == "__main__":
    run_command(main)
