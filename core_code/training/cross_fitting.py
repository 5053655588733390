"""Cross-fitted soft labels: no teacher labels a face that it was trained on, nor an image generated from one.

The training faces are split into folds; each fold, and what was generated from its faces, is labelled by teachers that
were trained on the others. Copies of a face stand in one fold. The idea is that of cross-fitting (V. Chernozhukov et
al., "Double/debiased machine learning", 2018), the labels are those of distillation (G. Hinton et al., 2015).
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from core_code.core_utils.checkpoints import FINAL, CheckpointFiles
from core_code.core_utils.distributed.job import is_main_process, local_main_first
from core_code.core_utils.errors import InputError
from core_code.core_utils.files import check_writable
from core_code.core_utils.npz import write_npz
from core_code.core_utils.tables import as_markdown, write_csv
from core_code.datasets.augmentations.pack import ImagePack
from core_code.datasets.augmentations.plan import AUGMENTATIONS, EXPANSION
from core_code.datasets.augmentations.store import load_images
from core_code.datasets.fer2013 import FER2013
from core_code.datasets.labelled_faces import LabelledFaces
from core_code.datasets.loader import FaceBatches
from core_code.training.classifier_data import ClassifierData
from core_code.training.inference import check_finite, load_trained, predict
from core_code.training.recipes import PARTS
from core_code.training.runs import run_classifier
from core_code.training.settings import HEAD, WHOLE_NET, ClassifierRun, resume_settings
from core_code.training.soft_labels import images_fingerprint

OF_LABELS = ("folds", "ensemble", "temperature", "confidence")  # of CrossFitting, what the labels depend on
VALIDATED = 1000  # of the faces that a teacher has not seen, to follow its training by

Labeller = Callable[[Tensor], Tensor]  # uint8 [M,48,48] -> probabilities float32 [M,E]
Teach = Callable[[Tensor, int, int], Labeller]  # the rows int64 to train on, the fold that is left out, which teacher


@dataclass(frozen=True)
class CrossFitting:
    """How soft labels are made: `folds`, 2 or more; `ensemble` teachers a fold, whose softmaxes at `temperature` are
    averaged; the folders of images to label too; the `confidence` in the intended emotion, in [0,1], below which a
    filter leaves an image out, 0 for no filter; and the file to write."""

    folds: int
    ensemble: int
    temperature: float
    confidence: float
    dest: Path
    augmentations_folder: Path | None = None
    expanded_folder: Path | None = None


def split_into_folds(data: LabelledFaces, folds: int, seed: int) -> np.ndarray:
    """The fold of each face, int64 [N]: random, each with its part of every emotion; copies of a face in the same one.

    Raises InputError for more folds than different faces.
    """
    _, first, group = np.unique(data.faces.flatten(1).numpy(), axis=0, return_index=True, return_inverse=True)
    if len(first) < folds:
        raise InputError(f"--folds {folds}: expected at most one a face, of which {len(first)} are different")
    order = np.lexsort((np.random.default_rng(seed).random(len(first)), data.labels.numpy()[first]))
    fold_of_group = np.empty(len(first), dtype=np.int64)
    fold_of_group[order] = np.arange(len(first)) % folds
    return fold_of_group[group.reshape(-1)]


def cross_fit(
    faces: Tensor, packs: Mapping[str, ImagePack], fold_of: np.ndarray, ensemble: int, emotions: int, teach: Teach
) -> dict[str, np.ndarray]:
    """What teachers predict for the faces, uint8 [N,48,48], as `faces`, and for each pack's images: float32 [M,E] each.

    `fold_of`: int64 [N]. Of each fold, `ensemble` teachers are taught on the faces of the others.
    """
    images = {"faces": faces} | {kind: torch.from_numpy(pack.images) for kind, pack in packs.items()}
    folds = {"faces": fold_of} | {kind: fold_of[pack.faces] for kind, pack in packs.items()}
    found = {kind: np.zeros((len(fold), emotions), dtype=np.float32) for kind, fold in folds.items()}
    for fold in range(fold_of.max() + 1):
        for member in range(ensemble):
            label = teach(torch.from_numpy(np.flatnonzero(fold_of != fold)), fold, member)
            for kind, its_fold in folds.items():
                rows = np.flatnonzero(its_fold == fold)
                if len(rows):
                    found[kind][rows] += label(images[kind][rows]).numpy() / ensemble
    return found


def make_soft_labels(run: ClassifierRun, how: CrossFitting, flags: Mapping[str, Any]) -> None:
    """Train the teachers, each as train_model.py trains a net, and write the file and a table. Raises InputError.

    The teachers' checkpoints are named after their folds; with `run.resume` those that are complete stay as they are.
    """
    table_path = how.dest.with_suffix(".csv")
    for path in (how.dest, table_path):
        check_writable(path)
    folders = {AUGMENTATIONS: how.augmentations_folder, EXPANSION: how.expanded_folder}
    with local_main_first():
        data = FER2013(run.data_root, "train", run.dataset, run.max_faces)
        packs = {kind: load_images(folder, kind, data) for kind, folder in folders.items() if folder}
    fold_of = split_into_folds(data, how.folds, run.seed)

    def teach(rows: Tensor, fold: int, member: int) -> Labeller:
        name = f"{run.exp_name}_fold{fold + 1}of{how.folds}_teacher{member + 1}"
        own = replace(run, exp_name=name, seed=run.seed + member)
        return train_teacher(own, flags, data, rows, np.flatnonzero(fold_of == fold)[:VALIDATED], how.temperature)

    found = cross_fit(data.faces, packs, fold_of, how.ensemble, len(data.emotions), teach)
    settings = resume_settings(vars(run), *PARTS) | {name: getattr(how, name) for name in OF_LABELS}
    settings |= {"epochs": run.epochs, "trained": WHOLE_NET if settings.pop("fine_tune") else HEAD}
    arrays = {"training_data": np.array(data.fingerprint()), "folds": fold_of, "faces": found["faces"],
              "settings": np.array(json.dumps(settings))}  # fmt: skip
    intended = {"faces": data.labels.numpy()}
    for kind, pack in packs.items():
        intended[kind] = pack.ks if kind == EXPANSION else data.labels.numpy()[pack.faces]
        kept = found[kind][np.arange(len(pack.ks)), intended[kind]] >= how.confidence if how.confidence else None
        arrays |= image_arrays(kind, pack, found[kind], kept, len(data))
    if is_main_process():
        write_npz(how.dest, arrays)
        table = agreement_table(found, intended, how.confidence, data.emotions)
        write_csv(table_path, table)
        print(f"\n{as_markdown(table, 1)}\n\nsoft labels: {how.dest}")


def train_teacher(
    run: ClassifierRun, flags: Mapping[str, Any], data: FER2013, rows: Tensor, validated: np.ndarray, temperature: float
) -> Labeller:
    """Train a net on some of the faces alone; its last epoch's weights label, which no validation has chosen."""
    train, val = data.subset(rows), data.subset(torch.from_numpy(validated))
    batches = FaceBatches(train, run.batch_size, run.device, shuffle=True, seed=run.seed)
    provenance = {"training_data": train.fingerprint(), "soft_labels": None}
    val_batches = FaceBatches(val, run.batch_size, run.device)
    run_classifier(run, {**flags, "exp_name": run.exp_name}, ClassifierData(batches, val_batches, provenance))
    files = CheckpointFiles(run.output_root / "checkpoints", run.net_name, run.exp_name)
    net, size = load_trained(files, FINAL, run.device)

    def label(images: Tensor) -> Tensor:
        some = LabelledFaces(images, torch.zeros(len(images), dtype=torch.int64))
        batches = FaceBatches(some, run.batch_size, run.device)
        logits, _ = predict(net, batches, size, run.dtype, f"labels of {run.exp_name}")
        return check_finite((logits / temperature).softmax(1), run.exp_name)

    return label


def image_arrays(
    kind: str, pack: ImagePack, found: np.ndarray, kept: np.ndarray | None, faces: int
) -> dict[str, np.ndarray]:
    """The arrays of SoftLabels about a pack's images, of so many faces: probabilities [M,E], and which are kept [M]."""
    arrays = {kind: found} | ({} if kept is None else {f"{kind}_keep": kept})
    if kind == AUGMENTATIONS:
        shape = faces, int(pack.ks.max(initial=-1)) + 1
        tables = {kind: np.full((*shape, found.shape[1]), np.nan, np.float32), f"{kind}_keep": np.zeros(shape, bool)}
        for name, values in arrays.items():
            tables[name][pack.faces, pack.ks] = values
            arrays[name] = tables[name]
    else:
        arrays |= {"expansion_rows": pack.faces, "expansion_emotions": pack.ks}
    return arrays | {f"{kind}_images": np.array(images_fingerprint(pack))}


def agreement_table(
    found: Mapping[str, np.ndarray], intended: Mapping[str, np.ndarray], confidence: float, emotions: tuple[str, ...]
) -> pd.DataFrame:
    """A row a kind of face and emotion, and one for all: how many, for how many of them the teachers predict it and how
    sure they are of it, and how many the filter keeps, in percent."""
    rows = []
    for kind, probabilities in found.items():
        own = probabilities[np.arange(len(probabilities)), intended[kind]]
        right = probabilities.argmax(1) == intended[kind]
        kept = own >= (confidence if kind != "faces" else 0)
        for label, emotion in [*enumerate(emotions), (None, "all")]:
            some = slice(None) if label is None else intended[kind] == label
            means = {"predicted (%)": right, "probability (%)": own, "kept (%)": kept}
            rows.append({"images": kind, "emotion": emotion, "number": len(own[some])}
                        | {name: 100 * values[some].mean() if len(own[some]) else np.nan
                           for name, values in means.items()})  # fmt: skip
    return pd.DataFrame(rows)
