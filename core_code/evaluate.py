"""Evaluate trained nets on val and test, alone and voting.

Figures are also given on those test faces of which no exact copy is in Training; every model and vote is compared
with the first experiment, face by face. With `--probe byol` BYOL checkpoints are judged by a linear classifier on
their frozen features: see evaluation/probe.py. With `--from_log` curves are drawn again: see evaluation/curves.py.
"""

import argparse
from pathlib import Path

from core_code.core_utils import flags
from core_code.core_utils.checkpoints import BEST, KINDS
from core_code.core_utils.errors import run_command
from core_code.models.architectures import ARCHITECTURES


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """All the flags."""
    parser = flags.make_parser(
        (__doc__ or " ").splitlines()[0],
        "python -m core_code.evaluate --net_name resnet18 --exp_names Baseline Augmented",
    )
    add = parser.add_argument
    add("--net_name", choices=tuple(ARCHITECTURES), help="required, unless --from_log is given")
    add("--exp_names", type=flags.run_name, nargs="+", help="required, unless --from_log is given; two or more also "
        "vote, the first is what all are compared with")  # fmt: skip
    add("--checkpoint", choices=KINDS, default=BEST, help="which of the saved checkpoints")
    add("--batch_size", type=flags.count, default=128)
    add("--image_size", type=flags.view_side,
        help="side of the views in pixels (default: what each experiment was trained on)")  # fmt: skip
    flags.add_tta_flag(parser)
    add(
        "--most_wrong", type=flags.count, default=24, metavar="N", help="draw the N errors of highest confidence on val"
    )
    flags.add_boolean(parser, "--tsne", False, "plot a t-SNE map of the features of at most 2,000 faces")
    add("--tsne_on", choices=("val", "train", "augmentations"), default="val",
        help="which faces; augmentations are those of the training faces")  # fmt: skip
    flags.add_augmentations_flag(parser, "where --tsne_on augmentations looks")
    add("--probe", choices=("byol",), help="judge the experiments' BYOL checkpoints instead: top-1 of a linear "
        "classifier on frozen features, beside that of the net which BYOL started from")  # fmt: skip
    add("--from_log", type=Path, nargs="+", metavar="LOG", help="evaluate nothing: plot the curves of accuracy and "
        "loss again from logs/history_*.jsonl or from logs (training_*.log, those of the published program too); a "
        "resumed run's logs make one curve")  # fmt: skip
    flags.add_output_flag(parser)
    flags.add_data_flags(parser, own_labels=True)
    flags.add_device_flags(parser)
    args = parser.parse_args(arguments)
    if not args.from_log and not (args.net_name and args.exp_names):
        parser.error("--net_name and --exp_names are required (unless --from_log is given)")
    args.exp_names = tuple(dict.fromkeys(args.exp_names or ()))
    return args


def main(arguments: list[str] | None = None) -> None:
    """Evaluate, write and print. Raises InputError."""
    args = parse_arguments(arguments)
    if args.from_log:
        from core_code.evaluation.curves import draw_logs

        print(*draw_logs(args.from_log, args.output_root / "plots_output"), sep="\n")
        return
    from core_code.core_utils.devices import pick_hardware
    from core_code.evaluation.settings import EvaluationSettings

    device, dtype = pick_hardware(args.device, args.precision)
    settings = flags.as_settings(EvaluationSettings, args, device=device, dtype=dtype)
    if args.probe:
        from core_code.evaluation.probe import probe_experiments

        probe_experiments(settings)
    else:
        from core_code.evaluation.run import evaluate

        evaluate(settings, tsne=args.tsne)


if __name__ == "__main__":
    run_command(main)
