"""The data that a run of train_model.py asks for."""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from core_code.datasets.augmentations.plan import AUGMENTATIONS, EXPANSION
from core_code.datasets.augmentations.store import Augmentations, FER2013Exp, load_images
from core_code.datasets.fer2013 import FER2013
from core_code.datasets.loader import FaceBatches, class_shares
from core_code.training.settings import ClassifierRun, data_provenance
from core_code.training.soft_labels import read_soft_labels, target_table


class ClassifierData(NamedTuple):
    """What a classifier is trained and validated on, what the data are, and the targets of ClassifierTask."""

    train: FaceBatches
    val: FaceBatches
    provenance: dict[str, Any]
    targets: Tensor | None = None


def classifier_data(run: ClassifierRun) -> ClassifierData:
    """The data that the flags ask for. Raises InputError."""
    originals = FER2013(run.data_root, "train", run.dataset, run.max_faces)
    val = FaceBatches(FER2013(run.data_root, "val", run.dataset), run.batch_size, run.device)
    soft = read_soft_labels(run.soft_labels, originals) if run.soft_labels else None
    kind, folder, pack, image_targets = "", None, None, None
    if run.use_expanded_dataset:
        kind, folder = EXPANSION, run.expanded_folder
    elif run.emotion_transform_prob:
        kind, folder = AUGMENTATIONS, run.augmentations_folder
    if folder:
        pack = load_images(folder, kind, originals)
        if soft:
            image_targets, pack = soft.of_images(kind, pack)
    faces = FER2013Exp(originals, pack=pack) if kind == EXPANSION else originals
    real_epochs = max(1, round(run.epochs * run.real_only_last)) if run.real_only_last else 0
    train = FaceBatches(
        faces, run.batch_size, run.device, shuffle=True, seed=run.seed,
        augmentations=Augmentations.of(pack, len(originals)) if pack and kind == AUGMENTATIONS else None,
        probability=run.emotion_transform_prob or 0.0, faces_per_epoch=run.faces_per_epoch,
        shares=class_shares(run.class_shares, originals.class_counts),
        real_only_from=run.epochs - real_epochs + 1 if real_epochs else None,
    )  # fmt: skip
    provenance = data_provenance(originals, folder) | {"soft_labels": soft.fingerprint if soft else None}
    if originals.distributions is not None:
        return ClassifierData(train, val, provenance, originals.distributions)
    if soft is None:
        return ClassifierData(train, val, provenance)
    labels, probabilities = originals.labels, soft.arrays["faces"]
    if pack is not None and image_targets is not None:
        labels = torch.cat([labels, originals.labels[pack.faces] if kind == AUGMENTATIONS else torch.tensor(pack.ks)])
        probabilities = np.concatenate([probabilities, image_targets])
    return ClassifierData(train, val, provenance, target_table(probabilities, labels, run.label_smoothing))
