"""Evaluate trained nets on val and test, alone and voting.

    python -m core_code.evaluate --net_name resnet18 --exp_names Baseline Augmented Expanded

Figures are also given on those test faces of which no exact copy is in Training; every model and vote is compared
with the first experiment, face by face. With `--probe byol` BYOL checkpoints are judged by a linear classifier on
their frozen features: see evaluation/probe.py. With `--from_log` curves are drawn again: see evaluation/curves.py.
"""

import argparse
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from core_code.core_utils import flags
from core_code.core_utils.checkpoints import BEST, KINDS
from core_code.core_utils.errors import run_command
from core_code.models.architectures import ARCHITECTURES

if TYPE_CHECKING:
    from core_code.evaluation.settings import EvaluationSettings


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
    flags.add_tta_flag(parser)
    parser.add_argument(
        "--most_wrong", type=flags.count, default=24, metavar="N",
        help="draw the N errors of highest confidence on val (default: 24)",
    )  # fmt: skip
    flags.add_boolean(parser, "--tsne", False, "plot a t-SNE map of the features of at most 2,000 faces")
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
        help="evaluate nothing: plot the curves of accuracy and loss again from logs/history_*.jsonl or from logs "
        "(training_*.log, those of the published program too); a resumed run's logs make one curve",
    )  # fmt: skip
    flags.add_output_flag(parser)
    flags.add_data_flags(parser)
    flags.add_device_flags(parser)
    args = parser.parse_args(arguments)
    if not args.from_log and not (args.net_name and args.exp_names):
        parser.error("--net_name and --exp_names are required (unless --from_log is given)")
    args.exp_names = tuple(dict.fromkeys(args.exp_names or ()))
    return args


def settings_of(args: argparse.Namespace) -> "EvaluationSettings":
    """The flags as one value. Raises InputError for a device that is not there."""
    from core_code.core_utils.devices import pick_device, pick_dtype
    from core_code.evaluation.settings import EvaluationSettings

    names = {field.name for field in fields(EvaluationSettings)}
    given = {name: value for name, value in vars(args).items() if name in names}
    device = pick_device(args.device)
    return EvaluationSettings(**given | {"device": device, "dtype": pick_dtype(args.precision, device)})


def main(arguments: list[str] | None = None) -> None:
    """Evaluate, write and print. Raises InputError."""
    args = parse_arguments(arguments)
    if args.from_log:
        from core_code.evaluation.curves import draw_logs

        for path in draw_logs(args.from_log, args.output_root / "plots_output"):
            print(path)
    elif args.probe:
        from core_code.evaluation.probe import probe_experiments

        probe_experiments(settings_of(args))
    else:
        from core_code.evaluation.run import evaluate

        evaluate(settings_of(args), tsne=args.tsne)


if __name__ == "__main__":
    run_command(main)
