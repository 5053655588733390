"""Pre-train a net with BYOL: no labels, two views of each face, one of them of its GAN augmentation."""

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING

from core_code.core_utils import flags
from core_code.core_utils.distributed.job import distributed_session, is_main_process, local_main_first
from core_code.core_utils.errors import run_command
from core_code.models.architectures import ARCHITECTURES

if TYPE_CHECKING:
    import torch

    from core_code.core_utils.checkpoints import CheckpointFiles
    from core_code.core_utils.logs import TrainingLog
    from core_code.datasets.augmentations.store import Augmentations
    from core_code.datasets.loader import FaceBatches
    from core_code.training.byol import BYOLTask
    from core_code.training.loop import Record


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """All the flags; those of the optimisation default to the net's entry in the table of architectures."""
    parser = flags.make_parser(
        __doc__, "python train_byol_model.py --net_name resnet18 --exp_name Regular --fine_tune True"
    )
    flags.add_run_flags(parser, ARCHITECTURES)
    flags.add_boolean(
        parser, "--fine_tune", False,
        "True pre-trains the whole net; False freezes the backbone, so that only the projection and prediction heads "
        "learn, and train_model.py --load_byol starts from the backbone as it was",
    )  # fmt: skip
    flags.add_boolean(
        parser, "--photometric", False,
        "photometric augmentation of each view (gamma, gradient, shades, contrast, blur), the counterpart for grey "
        "faces of the colour jitter of BYOL's paper: without it light alone may tell which views are of one face",
        "--other_light",
    )  # fmt: skip
    flags.add_smallest_crop_flag(parser)
    flags.add_optimisation_flags(parser, batch_size="32")
    parser.add_argument(
        "--prediction_lr", type=flags.positive, default=None,
        help="learning rate of the prediction head; ten times --lr keeps features from collapsing into few directions "
        "(default: --lr)",
    )  # fmt: skip
    flags.add_augmentations_flag(
        parser, "what create_augmentations.py made; a face without any gets two random views of itself, and so do all "
        f"with {flags.NO_AUGMENTATIONS}",
    )  # fmt: skip
    flags.add_output_flag(parser)
    flags.add_data_flags(parser)
    flags.add_network_flags(parser)
    flags.add_device_flags(parser)
    flags.add_accelerate_flag(parser)
    args = parser.parse_args(arguments)
    flags.fill_in(args, ARCHITECTURES[args.net_name].byol_defaults)
    return args


@distributed_session()
def main(arguments: list[str] | None = None) -> None:
    """Pre-train and report; under torchrun, as one of several processes. Raises InputError."""
    args = parse_arguments(arguments)
    from core_code.core_utils.checkpoints import LAST, CheckpointFiles
    from core_code.core_utils.devices import pick_hardware
    from core_code.training.byol import make_byol_task, warn_of_collapse
    from core_code.training.loop import open_log, run_epochs
    from core_code.training.settings import TrainingSettings, resume_settings

    device, dtype = pick_hardware(args.device, args.precision)
    files = CheckpointFiles(args.output_root / "checkpoints", args.net_name, args.exp_name, byol=True)
    resumed = args.resume and files.path(LAST).exists()
    with local_main_first():
        train, val, augmentations, provenance = open_data(args, device)
        task = make_byol_task(
            args.net_name, train, val, flags.as_settings(TrainingSettings, args, dtype=dtype), augmentations,
            weights="none" if resumed else args.weights, fine_tune=args.fine_tune, photometric=args.photometric,
            prediction_lr=args.prediction_lr,
        )  # fmt: skip
    with files.exclusive_run():
        log = open_log(args.output_root / "logs", vars(args), task, device, dtype)
        log_what_learns(args, task, log)
        settings = {**resume_settings(vars(args), "photometric", "prediction_lr"), **provenance}
        history = run_epochs(
            task, args.epochs, settings, files, log, args.resume, args.verbose,
            after_epoch=lambda record: warn_of_collapse(record, log),
        )  # fmt: skip
        if is_main_process():
            report(args, task, history, files, log)


def open_data(
    args: argparse.Namespace, device: "torch.device"
) -> tuple["FaceBatches", "FaceBatches", "Augmentations | None", dict[str, str | int]]:
    """Batches for training and for validation, the augmentations, and what the training data are."""
    from core_code.datasets.augmentations.store import Augmentations
    from core_code.datasets.fer2013 import FER2013
    from core_code.datasets.loader import FaceBatches
    from core_code.training.settings import data_provenance

    faces = FER2013(args.data_root, "train", args.dataset, args.max_faces)
    val = FER2013(args.data_root, "val", args.dataset)
    folder = None if args.augmentations_folder == Path(flags.NO_AUGMENTATIONS) else args.augmentations_folder
    augmentations = Augmentations.open(folder, faces) if folder else None
    train = FaceBatches(faces, args.batch_size, device, shuffle=True, seed=args.seed)
    return train, FaceBatches(val, args.batch_size, device), augmentations, data_provenance(faces, folder)


def log_what_learns(args: argparse.Namespace, task: "BYOLTask", log: "TrainingLog") -> None:
    """How many faces have augmentations, and which parts of the net learn."""
    from core_code.training.byol import faces_without
    from core_code.training.loop import log_message

    without = faces_without(task.augmentations, task.faces_per_epoch)
    log_message(
        f"second views: of a GAN augmentation for {task.faces_per_epoch - without} faces; of the face itself for "
        f"{without} that have none, and for all {len(task.val.dataset)} of val",
        log,
    )
    if not args.fine_tune:
        log_message(
            "--fine_tune False: only the projection and prediction heads learn, the backbone is frozen; "
            "--fine_tune True pre-trains the backbone",
            log,
        )


def report(
    args: argparse.Namespace, task: "BYOLTask", history: "list[Record]", files: "CheckpointFiles", log: "TrainingLog"
) -> None:
    """The plot of the losses, the history as CSV, the best epoch's figures, and what to run next."""
    import pandas as pd

    from core_code.core_utils.checkpoints import best_epoch
    from core_code.core_utils.plots.training import plot_byol_losses
    from core_code.core_utils.tables import write_csv
    from core_code.training.loop import log_message

    plots = args.output_root / "plots_output"
    write_csv(plots / f"history_byol_{args.net_name}_{args.exp_name}.csv", pd.DataFrame(history))
    plot = plot_byol_losses(history, plots, args.net_name, args.exp_name)
    best = history[best_epoch(history, task.best_by, task.higher_is_better) - 1]
    log_message(
        f"\nbest epoch: {best['epoch']} of {args.epochs}, validation loss {best['validation_loss']:.4f}, "
        f"feature std {best['feature_std']:.4f} in {best.get('feature_rank', math.nan):.1f} directions",
        log,
    )
    log_message(f"checkpoints: {files.path('*')}\nplot: {plot}\nlog: {log.path}", log)
    run = f"--net_name {args.net_name} --exp_name {args.exp_name}"
    log_message(
        f"fine-tune: python train_model.py {run} --emotion_transform_prob 0 --load_byol True --fine_tune True", log
    )


if __name__ == "__main__":
    run_command(main, "the same command with --resume True goes on from there")
