"""What the training scripts share on the way from their arguments to the loop."""

import argparse
from pathlib import Path
from typing import Any

import torch

from core_code.core_utils.devices import pick_device, pick_dtype
from core_code.core_utils.files import read_json
from core_code.core_utils.logs import TrainingLog
from core_code.core_utils.transforms import SMALLEST_CROP
from core_code.datasets.augmentations.manifest import MANIFEST_NAME
from core_code.datasets.fer2013 import FER2013
from core_code.training.classifier import TrainingSettings
from core_code.training.loop import Task

SETTINGS = ("batch_size", "lr", "weight_decay", "optimizer", "scheduler", "image_size", "seed", "weights", "fine_tune",
            "dataset")  # fmt: skip


def pick_hardware(args: argparse.Namespace) -> tuple[torch.device, torch.dtype]:
    """The device and the dtype of matrix products that --device and --precision ask for."""
    device = pick_device(args.device)
    return device, pick_dtype(args.precision, device)


def training_settings(args: argparse.Namespace, dtype: torch.dtype) -> TrainingSettings:
    """How to train, out of the flags."""
    return TrainingSettings(
        epochs=args.epochs, lr=args.lr, weight_decay=args.weight_decay, optimizer=args.optimizer,
        scheduler=args.scheduler, image_size=args.image_size, seed=args.seed, dtype=dtype,
        smallest_crop=getattr(args, "smallest_crop", SMALLEST_CROP),
        label_smoothing=getattr(args, "label_smoothing", 0.0), nesterov=getattr(args, "nesterov", False),
    )  # fmt: skip


def open_log(args: argparse.Namespace, task: Task, device: torch.device, dtype: torch.dtype) -> TrainingLog:
    """A log that begins with the parameters and the net; tells the person who watches where it is."""
    log = TrainingLog(args.output_root / "logs")
    log.parameters({**vars(args), "device": device, "dtype": dtype, "training_faces": task.faces_per_epoch})
    log.line(str(task.net))
    print(f"{args.net_name} on {task.faces_per_epoch} faces, {device} in {dtype}, log in {log.path}")
    return log


def resume_settings(args: argparse.Namespace, *more: str) -> dict[str, Any]:
    """The flags that decide the result, those named in `more` among them.

    The number of epochs is one of them where the learning rate's schedule depends on it.
    """
    names = [*SETTINGS, *more, *(["epochs"] if args.scheduler == "cosine" else [])]
    return {name: getattr(args, name) for name in names}


def data_provenance(faces: FER2013, images: Path | None) -> dict[str, str | int]:
    """What tells these training faces, and the folder of images made of them, from others."""
    origin = {"training_data": faces.fingerprint()}
    if images:
        manifest = read_json(images / MANIFEST_NAME)
        origin |= {f"images' {key}": manifest.get(key) for key in ("generator_fingerprint", "seed", "images")}
    return origin
