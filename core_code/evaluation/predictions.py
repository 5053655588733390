"""What trained nets predict for the faces of val and test."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from core_code.core_utils.checkpoints import CheckpointFiles
from core_code.core_utils.errors import InputError
from core_code.core_utils.flags import NO_TTA
from core_code.datasets.fer2013 import FER2013
from core_code.datasets.labelled_faces import LabelledFaces
from core_code.datasets.loader import FaceBatches
from core_code.evaluation.settings import EvaluationSettings
from core_code.models.emotion_net import EmotionNet
from core_code.models.smallest_views import check_views
from core_code.training.inference import Trained, check_finite, load_trained, predict

NOVEL = "test_not_in_training"


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
    splits = {phase: FER2013(settings.data_root, phase, settings.dataset) for phase in ("val", "test")}
    for name, trained in nets.items():
        check_emotions(trained.net, splits["val"], name)
    train = FER2013(settings.data_root, "train", settings.dataset, settings.max_faces)
    novel = without_copies(splits["test"].faces, train.faces)
    predictions = {}
    for phase, data in splits.items():
        batches = FaceBatches(data, settings.batch_size, settings.device)
        by_kind: dict[str, dict[str, Tensor]] = {kind: {} for kind in dict.fromkeys((NO_TTA, settings.tta))}
        for name, (net, size) in nets.items():
            for kind, found in by_kind.items():
                title = f"{name}, {phase}" + (f", {kind}" if kind != NO_TTA else "")
                logits, _ = predict(net, batches, settings.image_size or size, settings.dtype, title, kind)
                found[name] = check_finite(logits, f"{settings.net_name}, {title}")
        predictions[phase] = Predictions(data.faces, data.labels, by_kind.pop(NO_TTA), by_kind.get(settings.tta, {}))
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
