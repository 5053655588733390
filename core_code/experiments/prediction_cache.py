"""What the nets of a study predict, kept beside their checkpoints, so that no report evaluates them a second time."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from core_code.core_utils.checkpoints import CheckpointFiles
from core_code.core_utils.choices import NO_TTA
from core_code.core_utils.errors import InputError
from core_code.core_utils.npz import read_npz, write_npz
from core_code.datasets.fer2013 import FER2013
from core_code.evaluation.predictions import NetLogits, Predictions, load_splits, of_splits, predict_net
from core_code.evaluation.settings import EvaluationSettings
from core_code.training.inference import check_finite, load_trained

FOLDER = "predictions"  # of output_root
FORMAT = 1  # another one where nets are evaluated in another way, so that nothing older is taken


def predict_cached(
    settings: EvaluationSettings, files: Mapping[str, CheckpointFiles], kind: str
) -> dict[str, Predictions]:  # fmt: skip
    """What the nets of these checkpoints of a kind predict, by experiment, as predict_splits does.

    What a net has predicted before, for the same faces in the same way, is read from
    <output_root>/predictions/<checkpoint>_<test-time augmentation>.npz; what is missing there, damaged, or of another
    checkpoint is predicted and written. Raises InputError.
    """
    splits = load_splits(settings)
    faces = [data.fingerprint() for data in splits.values()]
    logits: dict[str, NetLogits] = {}
    for name, each in tqdm(files.items(), desc="evaluation", unit=" nets", leave=False, delay=2):
        path = settings.output_root / FOLDER / f"{each.path(kind).stem}_{settings.tta}.npz"
        key = cache_key(settings, faces, each.path(kind))
        found = read_cached(path, key, settings, splits)
        if found is None:
            found = predict_net(settings, splits, name, load_trained(each, kind, settings.device))
            arrays = {f"{split}_{tta}": values.numpy() for (split, tta), values in found.items()}
            write_npz(path, {"origin": key, **arrays})
        logits[name] = found
    return of_splits(settings, splits, logits)


def cache_key(settings: EvaluationSettings, faces: Sequence[str], checkpoint: Path) -> np.ndarray:
    """All that the predictions depend on, as a digest, uint8 [32]; `faces`: fingerprints of the splits.

    Raises InputError.
    """
    how = (FORMAT, settings.tta, settings.image_size, str(settings.dtype), settings.device.type)
    digest = hashlib.sha256(json.dumps([*how, *faces]).encode())
    try:
        with open(checkpoint, "rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    except OSError as error:
        raise InputError(f"{checkpoint}: cannot be read ({error.strerror})") from error
    return np.frombuffer(digest.digest(), np.uint8)


def read_cached(
    path: Path, key: np.ndarray, settings: EvaluationSettings, splits: Mapping[str, FER2013]
) -> NetLogits | None:  # fmt: skip
    """The predictions in a file; None where it is not there, not readable, or of another key."""
    with suppress(InputError):
        arrays = read_npz(path, "file of predictions")
        found = {
            (split, tta): arrays.get(f"{split}_{tta}", np.empty(0))
            for split in splits for tta in dict.fromkeys((NO_TTA, settings.tta))
        }  # fmt: skip
        sizes = {split: (len(data), len(data.emotions)) for split, data in splits.items()}
        sound = all(
            values.shape == sizes[split] and values.dtype == np.float32 for (split, _), values in found.items()
        )  # fmt: skip
        if sound and np.array_equal(arrays.get("origin", ()), key):
            return {each: check_finite(torch.from_numpy(values), str(path)) for each, values in found.items()}
    return None
