"""What trained nets predict for the faces of val and test."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from core_code.core_utils.checkpoints import CheckpointFiles
from core_code.core_utils.choices import NO_TTA
from core_code.core_utils.errors import InputError
from core_code.datasets.fer2013 import FER2013
from core_code.datasets.labelled_faces import LabelledFaces
from core_code.datasets.loader import FaceBatches
from core_code.evaluation.settings import EvaluationSettings
from core_code.models.emotion_net import EmotionNet
from core_code.models.smallest_views import check_views
from core_code.training.inference import Trained, check_finite, load_trained, predict

NOVEL = "test_not_in_training"
NetLogits = dict[tuple[str, str], Tensor]  # of one net, by split and test-time augmentation: float32 [N,E]


class Predictions(NamedTuple):
    """Logits for the faces of one split: faces uint8 [N,48,48], labels int64 [N], logits float32 [N,E] by experiment.

    `tta` holds the logits with test-time augmentation, by experiment; it is empty without.
    """

    faces: Tensor
    labels: Tensor
    logits: dict[str, Tensor]
    tta: dict[str, Tensor]

    def subset(self, chosen: Tensor) -> "Predictions":
        """The predictions for some of the faces: bool [N], or their indices."""
        logits, tta = ({name: values[chosen] for name, values in some.items()} for some in (self.logits, self.tta))
        return Predictions(self.faces[chosen], self.labels[chosen], logits, tta)


def load_nets(settings: EvaluationSettings) -> dict[str, Trained]:
    """The experiments' nets on the device. Raises InputError."""
    folder = settings.output_root / "checkpoints"
    files = {name: CheckpointFiles(folder, settings.net_name, name) for name in settings.exp_names}
    nets = {name: load_trained(each, settings.checkpoint, settings.device) for name, each in files.items()}
    for net, size in nets.values():
        check_views(net, settings.image_size or size)
    return nets


def predict_splits(settings: EvaluationSettings, nets: Mapping[str, Trained]) -> dict[str, Predictions]:
    """What nets on the device predict for val, test and, where training has some faces of test, test_not_in_training.

    Raises InputError.
    """
    splits = load_splits(settings)
    return of_splits(settings, splits, {name: predict_net(settings, splits, name, net) for name, net in nets.items()})


def load_splits(settings: EvaluationSettings) -> dict[str, FER2013]:
    """Val and test, which are evaluated. Raises InputError."""
    return {split: FER2013(settings.data_root, split, settings.dataset) for split in ("val", "test")}


def predict_net(
    settings: EvaluationSettings, splits: Mapping[str, FER2013], name: str, trained: Trained
) -> NetLogits:  # fmt: skip
    """What one net on the device predicts for each split. Raises InputError."""
    check_emotions(trained.net, splits["val"], name)
    found = {}
    for split, data in splits.items():
        batches = FaceBatches(data, settings.batch_size, settings.device)
        for kind in dict.fromkeys((NO_TTA, settings.tta)):
            title = f"{name}, {split}" + (f", {kind}" if kind != NO_TTA else "")
            size = settings.image_size or trained.image_size
            logits, _ = predict(trained.net, batches, size, settings.dtype, title, kind)
            found[split, kind] = check_finite(logits, f"{settings.net_name}, {title}")
    return found


def of_splits(
    settings: EvaluationSettings, splits: Mapping[str, FER2013], logits: Mapping[str, NetLogits]
) -> dict[str, Predictions]:  # fmt: skip
    """The nets' logits by split, test_not_in_training too where training has some faces of test. Raises InputError."""
    predictions = {}
    for split, data in splits.items():
        plain, tta = ({name: each[split, kind] for name, each in logits.items()} for kind in (NO_TTA, settings.tta))
        predictions[split] = Predictions(data.faces, data.labels, plain, tta if settings.tta != NO_TTA else {})
    train = FER2013(settings.data_root, "train", settings.dataset, settings.max_faces)
    novel = without_copies(splits["test"].faces, train.faces)
    if 0 < novel.sum() < len(novel):
        predictions[NOVEL] = predictions["test"].subset(novel)
    return predictions


def check_emotions(net: EmotionNet, faces: LabelledFaces, name: str) -> None:
    """Raise InputError unless a net predicts the emotions that the faces are labelled with."""
    if net.emotions != faces.emotions:
        own, theirs = ", ".join(net.emotions), ", ".join(faces.emotions)
        raise InputError(f"{name}: the net predicts {own}; the faces' labels are {theirs} (see --dataset own_labels)")


def without_copies(faces: Tensor, others: Tensor) -> Tensor:
    """Which faces, uint8 [N,H,W], have no exact copy among `others`: bool [N]."""
    known = {other.tobytes() for other in others.numpy()}
    return torch.tensor([face.tobytes() not in known for face in faces.numpy()], dtype=torch.bool)
