"""What a trial is: training on a part of the faces with suggested hyper-parameters, and the figure it is judged by."""

import math
import multiprocessing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import torch
from optuna.study import StudyDirection
from optuna.trial import Trial
from torch import Tensor

from core_code.core_utils.checkpoints import best_epoch
from core_code.core_utils.choices import NO_AUGMENTATIONS
from core_code.core_utils.devices import pick_hardware
from core_code.core_utils.errors import InputError
from core_code.core_utils.logs import TrainingLog
from core_code.datasets.augmentations.store import Augmentations
from core_code.datasets.fer2013 import FER2013
from core_code.datasets.loader import FaceBatches
from core_code.models.emotion_net import EmotionNet
from core_code.search.results import rounded
from core_code.search.space import Values, suggest
from core_code.training.byol import COLLAPSE_STD, BYOLTask, make_byol_task
from core_code.training.classifier import ClassifierTask
from core_code.training.loop import Record, Task, log_message, run_epochs
from core_code.training.settings import TrainingSettings, data_provenance

MakeTask = Callable[[Values], Task]
Objective = Callable[[Trial], float]


@dataclass(frozen=True)
class SearchSettings:
    """The flags of optuna_study.py, which document them; `deadline`, of time.time(), is when no more trial begins."""

    net_name: str
    exp_name: str
    byol: bool
    epochs: int
    train_faces: int
    val_faces: int
    dataset: str
    data_root: Path
    augmentations_folder: Path
    weights: str
    image_size: int
    seed: int
    device: str
    precision: str
    accelerate: bool
    output_root: Path
    storage: str | None
    workers: int
    n_trials: int
    deadline: float


def rows_at_even_distances(faces: int, count: int) -> Tensor:
    """`count` of so many rows, or all where there are fewer, int64 [M]: of sorted faces each class keeps its share."""
    count = min(count, faces)
    return torch.arange(count) * faces // count


def augmentations_of(augmentations: Augmentations, rows: Tensor) -> Augmentations:
    """Those of some faces alone, numbered as the faces are."""
    counts = augmentations.first.diff()[rows]
    first = torch.cat([torch.zeros(1, dtype=torch.int64), counts.cumsum(0)])
    shift = (augmentations.first[rows] - first[:-1]).repeat_interleave(counts)
    return Augmentations(augmentations.images[torch.arange(int(first[-1])) + shift], first)


def direction_of(byol: bool) -> StudyDirection:
    """Accuracy goes up, BYOL's loss down."""
    higher_is_better = (BYOLTask if byol else ClassifierTask).higher_is_better
    return StudyDirection.MAXIMIZE if higher_is_better else StudyDirection.MINIMIZE


def prepare(settings: SearchSettings) -> tuple[MakeTask, dict[str, Any]]:
    """What makes a trial's task, and the plain values that decide which trials can be compared.

    Everything that trials share is opened here, so that what is missing is an error before the first of them. Raises
    InputError.
    """
    originals = FER2013(settings.data_root, "train", settings.dataset)
    rows = rows_at_even_distances(len(originals), settings.train_faces)
    train, all_val = originals.subset(rows), FER2013(settings.data_root, "val", settings.dataset)
    val = all_val.subset(rows_at_even_distances(len(all_val), settings.val_faces))
    device, dtype = pick_hardware(settings.device, settings.precision)
    use = settings.byol and str(settings.augmentations_folder) != NO_AUGMENTATIONS
    folder = settings.augmentations_folder if use else None
    augmentations = augmentations_of(Augmentations.open(folder, originals), rows) if folder else None
    make_net(settings)

    def make_task(values: Values) -> Task:
        training = TrainingSettings(
            epochs=settings.epochs, image_size=settings.image_size, seed=settings.seed, dtype=dtype,
            accelerate=settings.accelerate,
            **{name: values[name] for name in ("lr", "weight_decay", "optimizer", "scheduler")},
        )  # fmt: skip
        size = values["batch_size"]
        batches = FaceBatches(train, size, device, shuffle=True, seed=settings.seed)
        val_batches = FaceBatches(val, size, device)
        if settings.byol:
            return make_byol_task(settings.net_name, batches, val_batches, training, augmentations, settings.weights)
        return ClassifierTask(make_net(settings).to(device), batches, val_batches, training)

    names = ("net_name", "exp_name", "byol", "epochs", "dataset", "weights", "image_size", "seed")
    deciding = {name: getattr(settings, name) for name in names}
    if settings.byol:
        deciding["augmentations_folder"] = str(folder or NO_AUGMENTATIONS)
    deciding |= {"data_root": str(settings.data_root), "train_faces": len(train), "val_faces": len(val)}
    return make_task, {**deciding, **data_provenance(originals, folder)}


def make_net(settings: SearchSettings) -> EmotionNet:
    """The net that every trial starts from, on the CPU. Raises InputError for the weights."""
    torch.manual_seed(settings.seed)
    net = EmotionNet(settings.net_name)
    net.load_backbone(settings.weights)
    return net


def make_objective(make_task: MakeTask, sizes: Sequence[int], epochs: int, log: TrainingLog | None = None) -> Objective:
    """Train the task that a trial's values make, for `epochs`; the figure of its best epoch.

    A trial whose best figure so far is worse than the median of the others' at the same epoch is pruned.
    """

    def objective(trial: Trial) -> float:
        values = suggest(trial, sizes)
        shown = "  ".join(f"{name} {rounded(value)}" for name, value in values.items())
        log_message(f"trial {trial.number}: {shown}", log)
        task = make_task(values)

        def after_epoch(record: Record) -> None:
            parent = multiprocessing.parent_process()
            if parent and not parent.is_alive():
                raise KeyboardInterrupt
            trial.report(record[task.best_by], int(record["epoch"]))
            if record["epoch"] < epochs and trial.should_prune():
                raise optuna.TrialPruned

        history = run_epochs(task, epochs, {}, log=log, after_epoch=after_epoch)
        best = history[best_epoch(history, task.best_by, task.higher_is_better) - 1]
        check_figures(best, task.best_by)
        trial.set_user_attr("best_epoch", best["epoch"])
        return best[task.best_by]

    return objective


def check_figures(best: Record, best_by: str) -> None:
    """Raise InputError where the figure is not a number, or is BYOL's perfect loss of a collapsed representation."""
    if not math.isfinite(best[best_by]):
        raise InputError(f"{best_by} is {best[best_by]} in all epochs, expected a finite number")
    for name, value in best.items():
        if name.endswith("_std") and not value >= COLLAPSE_STD:
            raise InputError(f"the representation has collapsed: {name} {value:.4f}, expected {COLLAPSE_STD} or more")
