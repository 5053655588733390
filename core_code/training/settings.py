"""The runs of both training scripts as values, and which settings a run must resume with, those of earlier versions
among them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from core_code.core_utils.choices import OWN_SHARES, SMALLEST_CROP
from core_code.core_utils.distributed.job import is_main_process
from core_code.core_utils.files import read_json
from core_code.core_utils.tensorboard import Board
from core_code.datasets.augmentations.manifest import MANIFEST_NAME, OLDER
from core_code.datasets.fer2013 import FER2013
from core_code.models.architectures import IMAGENET_STEM
from core_code.training.recipes import PARTS, PUBLISHED, RECIPES, RecipeParts

WHOLE_NET, HEAD = "the whole net", "the head alone"  # what --fine_tune True and False of train_model.py train
FINE_TUNE_CHANGED = (
    " (since this checkpoint was made, --fine_tune has taken its published meaning: True trains the whole net, "
    "False the head alone)"
)
IMAGES_KEY = "images' "  # begins the names of what identifies the images trained on
OF_IMAGES = ("generator_fingerprint", "seed", "images", "centre", "half_width", "precision", "face_detector")
RESUMED_WITH = ("batch_size", "lr", "weight_decay", "optimizer", "scheduler", "image_size", "seed", "weights",
                "fine_tune", "dataset", "smallest_crop")  # fmt: skip
OF_CLASSIFIERS = ("load_byol", "use_expanded_dataset", "emotion_transform_prob", "faces_per_epoch", "class_shares",
                  "real_only_last", "synthetic_norms")  # fmt: skip
# A classifier's that came later than checkpoints, and what they were then.
LATER = {"class_shares": OWN_SHARES, "soft_labels": None, "real_only_last": 0.0, "synthetic_norms": False}


@dataclass(frozen=True, kw_only=True)
class TrainingSettings(RecipeParts):
    """How a net is trained, the data apart.

    With `synthetic_norms` generated faces are normalised by batch norms of their own (see synthetic_norms.py). Without
    `accelerate` everything is computed by PyTorch's own layers, and no step becomes a CUDA graph.
    """

    epochs: int
    lr: float
    weight_decay: float
    optimizer: str
    scheduler: str
    image_size: int
    seed: int
    dtype: torch.dtype
    synthetic_norms: bool = False
    accelerate: bool = True


@dataclass(frozen=True, kw_only=True)
class RunSettings(TrainingSettings):
    """What is trained, on which faces, and where the files lie: named as the flags of both scripts."""

    net_name: str
    exp_name: str
    resume: bool
    verbose: bool
    fine_tune: bool
    weights: str
    dataset: str
    data_root: Path
    max_faces: int | None
    batch_size: int
    augmentations_folder: Path
    output_root: Path
    device: torch.device
    tensorboard: bool = False

    def board(self, kind: str = "") -> Board:
        """Where the run's figures go for TensorBoard, if anywhere. Raises InputError."""
        folder = self.output_root / "runs" / f"{kind}{self.net_name}_{self.exp_name}"
        return Board(folder if self.tensorboard and is_main_process() else None)


@dataclass(frozen=True, kw_only=True)
class ClassifierRun(RunSettings):
    """A run of train_model.py. With `use_expanded_dataset` the probability of augmentations is ignored."""

    emotion_transform_prob: float | None
    load_byol: bool
    use_expanded_dataset: bool
    expanded_folder: Path
    faces_per_epoch: int | None
    stem: str = IMAGENET_STEM
    class_shares: str = OWN_SHARES
    soft_labels: Path | None = None
    real_only_last: float = 0.0


@dataclass(frozen=True, kw_only=True)
class BYOLRun(RunSettings):
    """A run of train_byol_model.py."""

    photometric: bool
    prediction_lr: float | None


def resume_settings(flags: Mapping[str, Any], *more: str) -> dict[str, Any]:
    """The values of a script's `flags` that decide the result, those named in `more` among them.

    The number of epochs is one of them where the learning rate's schedule, or which are on real faces, depends on it.
    """
    epochs = ["epochs"] if flags["scheduler"] == "cosine" or flags.get("real_only_last") else []
    return {name: flags[name] for name in (*RESUMED_WITH, *more, *epochs)}


def data_provenance(faces: FER2013, images: Path | None) -> dict[str, Any]:
    """What identifies these training faces, and the folder of images generated from them."""
    origin: dict[str, Any] = {"training_data": faces.fingerprint()}
    if images:
        manifest = OLDER | read_json(images / MANIFEST_NAME)
        origin |= {IMAGES_KEY + key: manifest.get(key) for key in OF_IMAGES}
    return origin


def with_current_names(settings: dict[str, Any], byol: bool) -> dict[str, Any]:
    """The settings of a checkpoint under the names and values of today, those of earlier versions too.

    Before `trained`, `fine_tune` of a classifier meant the opposite; what was no flag yet had its default.
    """
    if byol:
        defaults = {"smallest_crop": SMALLEST_CROP, "prediction_lr": None, "photometric": False}
        settings = {("photometric" if name == "other_light" else name): value for name, value in settings.items()}
        return {**defaults, **settings}
    settings = {**LATER, **{part: vars(RECIPES[PUBLISHED])[part] for part in PARTS}, **settings}
    if "trained" not in settings and isinstance(settings.get("fine_tune"), bool):
        settings["trained"] = HEAD if settings.pop("fine_tune") else WHOLE_NET
    return settings
