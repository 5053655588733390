"""Fine-tune EmotionNet on FER2013: baseline, with GAN augmentations, or with the expanded data set."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core_code.core_utils import flags
from core_code.core_utils.distributed.job import distributed_session, is_main_process, local_main_first
from core_code.core_utils.errors import run_command
from core_code.models.architectures import ARCHITECTURES

if TYPE_CHECKING:
    import torch

    from core_code.core_utils.checkpoints import CheckpointFiles
    from core_code.core_utils.logs import TrainingLog
    from core_code.datasets.loader import FaceBatches
    from core_code.models.emotion_net import EmotionNet
    from core_code.training.classifier import ClassifierTask
    from core_code.training.loop import Record
    from core_code.training.settings import TrainingSettings


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """All the flags; those of the optimisation default to the study's winner, else to the net's entry in the table.

    Raises InputError for a study that cannot be read.
    """
    parser = flags.make_parser(
        __doc__,
        "python train_model.py --net_name resnet18 --exp_name Regular --emotion_transform_prob 0 --fine_tune True",
    )
    flags.add_run_flags(parser, ARCHITECTURES)
    parser.add_argument(
        "--emotion_transform_prob", type=flags.probability, default=None, metavar="P",
        help="the chance that a training face is replaced by one of its augmentations, 0 to 1; 0 is the baseline "
        "(required unless --use_expanded_dataset, ignored with it)",
    )  # fmt: skip
    flags.add_boolean(parser, "--use_expanded_dataset", False, "train on FER2013 and its expansion")
    flags.add_boolean(
        parser, "--fine_tune", False,
        "True trains the whole net, as every published run did; False is feature extraction: the backbone is frozen "
        "and the new head alone learns",
    )  # fmt: skip
    flags.add_boolean(parser, "--load_byol", False, "start from the BYOL weights of the same net and experiment")
    parser.add_argument(
        "--faces_per_epoch", type=flags.count, default=None, metavar="N",
        help="count N training faces as an epoch; the next epoch goes on with the next N, so that sets of different "
        "sizes can be compared after equally many faces, epochs and validations (default: all)",
    )  # fmt: skip
    flags.add_optimisation_flags(parser)
    flags.add_boolean(parser, "--nesterov", False, "Nesterov's momentum, with --optimizer sgd")
    parser.add_argument(
        "--label_smoothing", type=flags.probability, default=0.0, metavar="P",
        help="the share of each label that is spread over all emotions, 0 to 1 (default: 0)",
    )  # fmt: skip
    flags.add_smallest_crop_flag(parser)
    parser.add_argument(
        "--study", type=Path, default=None, metavar="PKL",
        help="a study of optuna_study.py, whose best trial gives --batch_size, --lr, --weight_decay, --optimizer and "
        "--scheduler where they are not given; nothing but plain data is read from the file",
    )  # fmt: skip
    flags.add_augmentations_flag(parser, "what create_augmentations.py made")
    parser.add_argument("--expanded_folder", type=Path, default=Path("data/expanded_fer_2013"))
    flags.add_output_flag(parser)
    flags.add_data_flags(parser)
    flags.add_network_flags(parser)
    flags.add_device_flags(parser)
    flags.add_accelerate_flag(parser)
    args = parser.parse_args(arguments)
    if args.emotion_transform_prob is None and not args.use_expanded_dataset:
        parser.error("--emotion_transform_prob is required, 0 to 1 (unless --use_expanded_dataset is given)")
    if args.study:
        from core_code.search.results import read_best_values

        flags.fill_in(args, argparse.Namespace(**read_best_values(args.study, args.net_name)))
    flags.fill_in(args, ARCHITECTURES[args.net_name].defaults)
    return args


@distributed_session()
def main(arguments: list[str] | None = None) -> None:
    """Train and report; under torchrun, as one of several processes. Raises InputError."""
    args = parse_arguments(arguments)
    from core_code.core_utils.checkpoints import CheckpointFiles
    from core_code.core_utils.devices import pick_hardware
    from core_code.training.classifier import ClassifierTask
    from core_code.training.loop import log_message, open_log, run_epochs
    from core_code.training.settings import TrainingSettings

    device, dtype = pick_hardware(args.device, args.precision)
    training = flags.as_settings(TrainingSettings, args, dtype=dtype)
    files = CheckpointFiles(args.output_root / "checkpoints", args.net_name, args.exp_name)
    with local_main_first():
        train, val, provenance = open_data(args, device)
        net = make_net(args, files).to(device)
    task = ClassifierTask(net, train, val, training)
    with files.exclusive_run():
        log = open_log(args.output_root / "logs", vars(args), task, device, dtype)
        if not args.fine_tune:
            log_message(
                "--fine_tune False: the backbone is frozen and the new head alone learns; --fine_tune True trains the "
                "whole net",
                log,
            )
        history = run_epochs(task, args.epochs, resumed_with(args, provenance), files, log, args.resume, args.verbose)
        report(args, task, training, history, files, log)


def open_data(
    args: argparse.Namespace, device: "torch.device"
) -> tuple["FaceBatches", "FaceBatches", dict[str, str | int]]:
    """Batches for training and for validation; and what the training data are."""
    from core_code.datasets.fer2013 import FER2013
    from core_code.datasets.loader import FaceBatches
    from core_code.training.settings import data_provenance

    faces = FER2013(args.data_root, "train", args.dataset, args.max_faces)
    val = FER2013(args.data_root, "val", args.dataset)
    originals = faces
    augmentations, probability, folder = None, 0.0, None
    if args.use_expanded_dataset:
        from core_code.datasets.augmentations.store import FER2013Exp

        folder = args.expanded_folder
        faces = FER2013Exp(faces, folder)
    elif args.emotion_transform_prob > 0:
        from core_code.datasets.augmentations.store import Augmentations

        probability = args.emotion_transform_prob
        folder = args.augmentations_folder
        augmentations = Augmentations.open(folder, faces)
    train = FaceBatches(
        faces, args.batch_size, device, shuffle=True, seed=args.seed,
        augmentations=augmentations, probability=probability, faces_per_epoch=args.faces_per_epoch,
    )  # fmt: skip
    return train, FaceBatches(val, args.batch_size, device), data_provenance(originals, folder)


def make_net(args: argparse.Namespace, files: "CheckpointFiles") -> "EmotionNet":
    """The net with the weights that it starts from; a resumed one gets them from its checkpoint later."""
    import torch

    from core_code.core_utils.checkpoints import LAST
    from core_code.models.emotion_net import EmotionNet
    from core_code.training.inference import load_byol

    torch.manual_seed(args.seed)
    net = EmotionNet(args.net_name, head_only=not args.fine_tune, hidden_head=args.load_byol)
    if args.resume and files.path(LAST).exists():
        return net
    if not args.load_byol:
        net.load_backbone(args.weights)
        return net
    state, path = load_byol(files.folder, args.net_name, args.exp_name)
    net.load_backbone_state(state, str(path))
    return net


def resumed_with(args: argparse.Namespace, provenance: dict[str, str | int]) -> dict[str, Any]:
    """The settings that decide the result, which a resumed run must share."""
    from core_code.training.settings import resume_settings, trained_part

    settings = resume_settings(
        vars(args), "load_byol", "use_expanded_dataset", "emotion_transform_prob", "label_smoothing", "nesterov",
        "faces_per_epoch",
    )  # fmt: skip
    settings["trained"] = trained_part(settings.pop("fine_tune"))
    if args.use_expanded_dataset:
        settings["emotion_transform_prob"] = None
    return {**settings, **provenance}


def report(
    args: argparse.Namespace, task: "ClassifierTask", training: "TrainingSettings", history: "list[Record]",
    files: "CheckpointFiles", log: "TrainingLog",
) -> None:  # fmt: skip
    """Plots, the history as CSV, and the best epoch's figures on val."""
    import pandas as pd

    from core_code.core_utils.checkpoints import BEST, load_net
    from core_code.core_utils.emotions import EMOTIONS
    from core_code.core_utils.metrics.scores import score
    from core_code.core_utils.plots.training import plot_accuracies, plot_confusion_matrix
    from core_code.core_utils.tables import as_markdown, confusion_table, write_csv
    from core_code.training.inference import predict
    from core_code.training.loop import log_message

    best = files.load(BEST)
    load_net(task.net, best, files.path(BEST))
    scores = score(*predict(task.net, task.val, training.image_size, training.dtype, "report"))
    if not is_main_process():
        return
    plots = args.output_root / "plots_output"
    write_csv(plots / f"history_{args.net_name}_{args.exp_name}.csv", pd.DataFrame(history))
    plot_accuracies(history, plots, args.net_name, args.exp_name)
    plot_confusion_matrix(
        scores.confusion, EMOTIONS, plots / f"confusion_matrix_{args.net_name}_{args.exp_name}.png",
        f"{args.net_name}, {args.exp_name}: val, {scores.faces} faces, top-1 {100 * scores.top1:.2f} %",
    )  # fmt: skip
    log_message(f"\nbest epoch on val: {best['epoch']} of {args.epochs}", log)
    log_message(
        f"top-1 {100 * scores.top1:.2f}%  top-2 {100 * scores.top2:.2f}%  "
        f"mean per class {100 * scores.mean_per_class:.2f}%  ({scores.faces} faces)",
        log,
    )
    log_message(as_markdown(confusion_table(scores.confusion, EMOTIONS), 1), log)
    log_message(f"checkpoints: {files.path('*')}\nplots: {plots}\nlog: {log.path}", log)


if __name__ == "__main__":
    run_command(main, "the same command with --resume True goes on from there")
