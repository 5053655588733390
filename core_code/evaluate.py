"""How well trained nets read val and test, alone and voting.

    python -m core_code.evaluate --net_name resnet18 --exp_names Baseline Augmented Expanded

Accuracies are also given on those test faces of which no exact copy stands in Training. With `--probe byol` it is
BYOL checkpoints that are judged, by a linear classifier on their frozen features: see probe.py.
"""

import argparse
from typing import TYPE_CHECKING, NamedTuple

from core_code.core_utils import flags
from core_code.core_utils.checkpoints import BEST, KINDS, CheckpointFiles
from core_code.core_utils.errors import run_command
from core_code.models.architectures import ARCHITECTURES

if TYPE_CHECKING:
    from torch import Tensor

    from core_code.evaluation_report import Report

NOVEL = "test_not_in_training"
NONE, *AUGMENTATIONS = "none", "flip", "ten_crop"  # core_utils.tta.KINDS


class Readings(NamedTuple):
    """What the nets say of one split: faces uint8 [N,48,48], labels int64 [N], logits float32 [N,7] by experiment.

    `tta` holds the logits with test-time augmentation, by experiment; it is empty without.
    """

    faces: "Tensor"
    labels: "Tensor"
    logits: "dict[str, Tensor]"
    tta: "dict[str, Tensor]"

    def of(self, chosen: "Tensor") -> "Readings":
        """The readings of some of the faces: bool [N]."""
        logits, tta = ({name: values[chosen] for name, values in some.items()} for some in (self.logits, self.tta))
        return Readings(self.faces[chosen], self.labels[chosen], logits, tta)


def not_in(faces: "Tensor", others: "Tensor") -> "Tensor":
    """Which faces, uint8 [N,H,W], have no exact copy among `others`: bool [N]."""
    import torch

    known = {other.tobytes() for other in others.numpy()}
    return torch.tensor([face.tobytes() not in known for face in faces.numpy()], dtype=torch.bool)


def read_splits(args: argparse.Namespace) -> dict[str, Readings]:
    """What each experiment says of val, test and test_not_in_training. Raises InputError."""
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
    readings = {}
    for phase, data in splits.items():
        batches = FaceBatches(data, args.batch_size, device)
        logits = {kind: {} for kind in dict.fromkeys((NONE, args.tta))}
        for name, (net, size) in zip(args.exp_names, trained, strict=True):
            for kind, read in logits.items():
                what = f"{name}, {phase}" + (f", {kind}" if kind != NONE else "")
                read[name], _ = predict(net.to(device), batches, args.image_size or size, dtype, what, kind)
        readings[phase] = Readings(data.faces, data.labels, logits.pop(NONE), logits.get(args.tta, {}))
    if novel.any():
        readings[NOVEL] = readings["test"].of(novel)
    return readings


def evaluate(readings: dict[str, Readings], tta: str = NONE) -> "Report":
    """The figures of the experiments and of their votes by split; beside them those with test-time augmentation."""
    from core_code.evaluation_report import rows_of, with_votes

    report = {}
    for split, read in readings.items():
        augmented = {f"{name}, {tta}": logits for name, logits in with_votes(read.tta).items()}
        report[split] = rows_of({**with_votes(read.logits), **augmented}, read.labels)
    return report


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
        "--tta", choices=(NONE, *AUGMENTATIONS), default=NONE,
        help="test-time augmentation, reported beside the plain figures: the mean of the logits of the view and its "
        "mirror image (flip), or of four corners, middle and their mirror images (ten_crop) (default: none)",
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
    from core_code.evaluation_report import as_text, with_votes, write_report

    readings = read_splits(args)
    report = evaluate(readings, args.tta)
    plain = list(with_votes(readings["val"].logits))
    written, *pictures = write_report(report, plain, args)
    print(as_text(report, plain))
    print(f"\nfigures: {written}\npictures: {len(pictures)} in {written.parent}/confusion_matrix_{args.net_name}_*.png")


if __name__ == "__main__":
    run_command(main)
