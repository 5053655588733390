"""The runs of train_model.py and train_byol_model.py, from their settings to checkpoints, history, plots and log."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from core_code.core_utils.checkpoints import BEST, LAST, CheckpointFiles, best_epoch, load_net
from core_code.core_utils.choices import NO_AUGMENTATIONS
from core_code.core_utils.distributed.job import is_main_process, local_main_first
from core_code.core_utils.emotions import EMOTIONS
from core_code.core_utils.logs import TrainingLog
from core_code.core_utils.metrics.scores import score
from core_code.core_utils.plots.training import plot_accuracies, plot_byol_losses, plot_confusion_matrix
from core_code.core_utils.tables import as_markdown, confusion_table, write_csv
from core_code.core_utils.tensorboard import Board
from core_code.datasets.augmentations.store import Augmentations
from core_code.datasets.fer2013 import FER2013
from core_code.datasets.loader import FaceBatches
from core_code.models.emotion_net import EmotionNet
from core_code.training.byol import BYOLTask, make_byol_task, warn_of_collapse
from core_code.training.classifier import ClassifierTask
from core_code.training.classifier_data import ClassifierData, classifier_data
from core_code.training.inference import load_byol, predict
from core_code.training.loop import Record, log_message, open_log, run_epochs
from core_code.training.next_command import next_command
from core_code.training.recipes import PARTS
from core_code.training.settings import (
    HEAD,
    OF_CLASSIFIERS,
    WHOLE_NET,
    BYOLRun,
    ClassifierRun,
    data_provenance,
    resume_settings,
)
from core_code.training.synthetic_norms import whole_net


def run_classifier(run: ClassifierRun, flags: Mapping[str, Any], data: ClassifierData | None = None) -> None:
    """Fine-tune EmotionNet and report; the script's `flags` go into the log, `data` are those of the run unless given.

    Raises InputError.
    """
    files = CheckpointFiles(run.output_root / "checkpoints", run.net_name, run.exp_name)
    with local_main_first():
        data = data or classifier_data(run)
        net = starting_net(run, files, data.val.dataset.emotions).to(run.device)
    task = ClassifierTask(net, data.train, data.val, run, data.targets)
    settings = resume_settings(vars(run), *OF_CLASSIFIERS, *PARTS)
    settings["trained"] = WHOLE_NET if settings.pop("fine_tune") else HEAD
    if run.use_expanded_dataset:
        settings["emotion_transform_prob"] = None
    if net.emotions != EMOTIONS:
        settings["emotions"] = ",".join(net.emotions)
    with files.exclusive_run():
        board = run.board()
        log = open_log(run.output_root / "logs", flags, task, run.device, run.dtype)
        if not run.fine_tune:
            log_message(
                "--fine_tune False: the backbone is frozen and the new head alone learns; --fine_tune True trains the "
                "whole net",
                log,
            )
        history = run_epochs(
            task, run.epochs, settings | data.provenance, files, log, run.resume, run.verbose,
            after_epoch=lambda record: board.scalars(record, int(record["epoch"])),
        )  # fmt: skip
        report_classifier(run, task, history, files, log, board)


def starting_net(run: ClassifierRun, files: CheckpointFiles, emotions: Sequence[str]) -> EmotionNet:
    """The net with the weights that it starts from; a resumed one gets them from its checkpoint later."""
    torch.manual_seed(run.seed)
    net = EmotionNet(
        run.net_name, head_only=not run.fine_tune, hidden_head=run.load_byol, stem=run.stem, emotions=emotions
    )
    if run.resume and files.path(LAST).exists():
        return net
    if run.load_byol:
        state, path = load_byol(files.folder, run.net_name, run.exp_name, settings=vars(run))
        net.load_backbone_state(state, str(path))
    else:
        net.load_backbone(run.weights)
    return net


def report_classifier(
    run: ClassifierRun, task: ClassifierTask, history: list[Record], files: CheckpointFiles, log: TrainingLog,
    board: Board,
) -> None:  # fmt: skip
    """Plots, the history as CSV, and the best epoch's figures on val."""
    best = files.load(BEST)
    load_net(task.net, {"net": whole_net(best)}, files.path(BEST))
    scores = score(*predict(task.net, task.val, run.image_size, run.dtype, "report"))
    if not is_main_process():
        return
    plots = run.output_root / "plots_output"
    write_csv(plots / f"history_{run.net_name}_{run.exp_name}.csv", pd.DataFrame(history))
    plot_accuracies(history, plots, run.net_name, run.exp_name)
    matrix = plots / f"confusion_matrix_{run.net_name}_{run.exp_name}.png"
    plot_confusion_matrix(
        scores.confusion, task.net.emotions, matrix,
        f"{run.net_name}, {run.exp_name}: val, {scores.faces} faces, top-1 {100 * scores.top1:.2f} %",
    )  # fmt: skip
    board.picture("confusion_matrix", matrix, best["epoch"])
    log_message(f"\nbest epoch on val: {best['epoch']} of {run.epochs}", log)
    log_message(
        f"top-1 {100 * scores.top1:.2f}%  top-2 {100 * scores.top2:.2f}%  "
        f"mean per class {100 * scores.mean_per_class:.2f}%  ({scores.faces} faces)",
        log,
    )
    log_message(as_markdown(confusion_table(scores.confusion, task.net.emotions), 1), log)
    log_message(f"checkpoints: {files.path('*')}\nplots: {plots}\nlog: {log.path}", log)


def run_byol(run: BYOLRun, flags: Mapping[str, Any]) -> None:
    """Pre-train a net with BYOL and report; the script's `flags` go into the log. Raises InputError."""
    files = CheckpointFiles(run.output_root / "checkpoints", run.net_name, run.exp_name, byol=True)
    resumed = run.resume and files.path(LAST).exists()
    folder = None if run.augmentations_folder == Path(NO_AUGMENTATIONS) else run.augmentations_folder
    with local_main_first():
        faces = FER2013(run.data_root, "train", run.dataset, run.max_faces)
        val = FaceBatches(FER2013(run.data_root, "val", run.dataset), run.batch_size, run.device)
        augmentations = Augmentations.open(folder, faces) if folder else None
        train = FaceBatches(faces, run.batch_size, run.device, shuffle=True, seed=run.seed)
        task = make_byol_task(
            run.net_name, train, val, run, augmentations, weights="none" if resumed else run.weights,
            fine_tune=run.fine_tune, photometric=run.photometric, prediction_lr=run.prediction_lr,
        )  # fmt: skip
    settings = resume_settings(vars(run), "photometric", "prediction_lr") | data_provenance(faces, folder)
    with files.exclusive_run():
        board = run.board("byol_")
        log = open_log(run.output_root / "logs", flags, task, run.device, run.dtype)
        without = int((augmentations.first.diff() == 0).sum()) if augmentations else len(faces)
        log_message(
            f"second views: of a GAN augmentation for {len(faces) - without} faces; of the face itself for "
            f"{without} that have none, and for all {len(val.faces)} of val",
            log,
        )
        if not run.fine_tune:
            log_message(
                "--fine_tune False: only the projection and prediction heads learn, the backbone is frozen; "
                "--fine_tune True pre-trains the backbone",
                log,
            )

        def after_epoch(record: Record) -> None:
            board.scalars(record, int(record["epoch"]))
            warn_of_collapse(record, log)

        history = run_epochs(task, run.epochs, settings, files, log, run.resume, run.verbose, after_epoch)
        if is_main_process():
            report_byol(run, task, history, files, log)


def report_byol(
    run: BYOLRun, task: BYOLTask, history: list[Record], files: CheckpointFiles, log: TrainingLog
) -> None:  # fmt: skip
    """The plot of the losses, the history as CSV, the best epoch's figures, and what to run next."""
    plots = run.output_root / "plots_output"
    write_csv(plots / f"history_byol_{run.net_name}_{run.exp_name}.csv", pd.DataFrame(history))
    plot = plot_byol_losses(history, plots, run.net_name, run.exp_name)
    best = history[best_epoch(history, task.best_by, task.higher_is_better) - 1]
    log_message(
        f"\nbest epoch: {best['epoch']} of {run.epochs}, validation loss {best['validation_loss']:.4f}, "
        f"feature std {best['feature_std']:.4f} in {best.get('feature_rank', math.nan):.1f} directions",
        log,
    )
    log_message(f"checkpoints: {files.path('*')}\nplot: {plot}\nlog: {log.path}", log)
    command = next_command(
        "train_model.py", vars(run), net_name=run.net_name, exp_name=run.exp_name, emotion_transform_prob=0,
        load_byol=True, fine_tune=True, augmentations_folder=None,
    )  # fmt: skip
    log_message(f"fine-tune: {command}", log)
