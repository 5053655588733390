"""From a trial's values to a task that trains on a part of FER2013."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from core_code.datasets.augmentations.store import Augmentations
from core_code.datasets.fer2013 import FER2013
from core_code.datasets.loader import FaceBatches
from core_code.models.emotion_net import EmotionNet
from core_code.training.byol import BYOLTask, make_byol_task
from core_code.training.classifier import ClassifierTask, TrainingSettings
from core_code.training.loop import Task
from core_code.training.runs import data_provenance, pick_hardware

NO_AUGMENTATIONS = "none"
MakeTask = Callable[[dict[str, Any]], Task]


@dataclass(frozen=True)
class SomeFaces:
    """A part of a data set. faces: uint8 [N, 48, 48]; labels: int64 [N]; rows: int64 [N], where they come from."""

    faces: Tensor
    labels: Tensor
    rows: Tensor

    def __len__(self) -> int:
        return len(self.faces)


def some_of(faces: FER2013, count: int) -> SomeFaces:
    """`count` faces, or all where there are fewer, at even distances: faces that lie sorted keep their shares."""
    count = min(count, len(faces))
    rows = torch.arange(count) * len(faces) // count
    return SomeFaces(faces.faces[rows], faces.labels[rows], rows)


def augmentations_of(augmentations: Augmentations, rows: Tensor) -> Augmentations:
    """Those of some faces alone, numbered as the faces are."""
    counts = augmentations.first.diff()[rows]
    first = torch.cat([torch.zeros(1, dtype=torch.int64), counts.cumsum(0)])
    shift = (augmentations.first[rows] - first[:-1]).repeat_interleave(counts)
    return Augmentations(augmentations.images[torch.arange(int(first[-1])) + shift], first)


def direction_of(byol: bool) -> str:
    """Accuracy goes up, BYOL's loss down."""
    return "maximize" if (BYOLTask if byol else ClassifierTask).higher_is_better else "minimize"


def prepare(args: argparse.Namespace) -> tuple[MakeTask, dict[str, Any]]:
    """What makes a trial's task, and the settings that decide what trials can be compared.

    args: the flags of optuna_study.py. Everything that trials share is opened here, so that what is missing is said
    before the first of them. Raises InputError.
    """
    device, dtype = pick_hardware(args)
    originals = FER2013(args.data_root, "train", args.dataset)
    train = some_of(originals, args.train_faces)
    val = some_of(FER2013(args.data_root, "val", args.dataset), args.val_faces)
    augmentations = None
    folder = args.augmentations_folder if args.byol and str(args.augmentations_folder) != NO_AUGMENTATIONS else None
    if folder:
        augmentations = augmentations_of(Augmentations.open(folder, originals), train.rows)

    def make_task(values: dict[str, Any]) -> Task:
        training = TrainingSettings(
            epochs=args.epochs, image_size=args.image_size, seed=args.seed, dtype=dtype,
            **{name: values[name] for name in ("lr", "weight_decay", "optimizer", "scheduler")},
        )  # fmt: skip
        size = values["batch_size"]
        batches = FaceBatches(train, size, device, shuffle=True, seed=args.seed)
        val_batches = FaceBatches(val, size, device)
        if args.byol:
            return make_byol_task(args.net_name, batches, val_batches, training, augmentations, args.weights)
        net = make_net(args.net_name, args.weights, args.seed).to(device)
        return ClassifierTask(net, batches, val_batches, training)

    make_net(args.net_name, args.weights, args.seed)
    names = ("net_name", "exp_name", "byol", "epochs", "dataset", "data_root", "weights", "image_size", "seed")
    settings = {name: getattr(args, name) for name in names}
    if args.byol:
        settings["augmentations_folder"] = str(args.augmentations_folder)
    settings |= {"data_root": str(args.data_root), "train_faces": len(train), "val_faces": len(val)}
    return make_task, {**settings, **data_provenance(originals, folder)}


def make_net(net_name: str, weights: str, seed: int) -> EmotionNet:
    """The net that every trial starts from, on the CPU. Raises InputError for the weights."""
    torch.manual_seed(seed)
    net = EmotionNet(net_name)
    net.load_backbone(weights)
    return net
