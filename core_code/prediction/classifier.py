"""Trained nets for use from Python: pictures in, a table or an array of probabilities out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from core_code.core_utils.choices import LARGEST_VIEW, MEAN_VOTE, NO_TTA, TTA_KINDS
from core_code.core_utils.devices import pick_hardware
from core_code.core_utils.errors import InputError
from core_code.core_utils.photos.face_finder import load_dlib
from core_code.core_utils.photos.given import Given, Picture, as_photographs
from core_code.core_utils.photos.photographs import face_crops
from core_code.prediction.faces import cut_face
from core_code.prediction.run import PredictionSettings, emotions_of, load_nets, predict_faces, with_probabilities
from core_code.prediction.table import Prediction, face_table
from core_code.training.inference import SHIPPED_CLASSIFIER, Trained


@dataclass(frozen=True)
class Classifier:
    """One trained net, or several whose softmaxes are averaged, ready for use on a device.

    emotions: what the columns of probabilities are.
    """

    nets: list[Trained]
    settings: PredictionSettings
    emotions: tuple[str, ...]

    @classmethod
    def load(
        cls, path: Path | str | Sequence[Path | str] | None = None, device: torch.device | str = "auto",
        precision: str = "auto", tta: str = NO_TTA, image_size: int | None = None,
    ) -> "Classifier":  # fmt: skip
        """Load checkpoints of train_model.py (None: the net that is included, models/shipped).

        device and precision: as the flags of the commands. tta: one of choices.TTA_KINDS. image_size: side of the views
        in pixels, None for what each net was trained on. Raises InputError.
        """
        if tta not in TTA_KINDS:
            raise InputError(f"tta {tta!r}, expected one of {', '.join(TTA_KINDS)}")
        if image_size not in (None, *range(1, LARGEST_VIEW + 1)):
            raise InputError(f"image_size {image_size!r}, expected a whole number from 1 to {LARGEST_VIEW}, or None")
        paths = [Path(each) for each in ([path] if isinstance(path, Path | str) else path or [])]
        paths = paths or [SHIPPED_CLASSIFIER]
        settings = PredictionSettings([], paths, MEAN_VOTE, "none", *pick_hardware(device, precision), tta, image_size)
        nets = load_nets(settings)
        return cls(nets, settings, emotions_of(nets))

    def predict(self, pictures: Picture | Sequence[Picture], find_faces: bool = True) -> pd.DataFrame:
        """The emotions of the faces in pictures, a row a face.

        pictures: one or several of: an array or tensor uint8 [H,W] (grey) or [H,W,3], a batch of them [N,H,W] or
        [N,H,W,3], a PIL image, a path. With `find_faces` dlib finds the faces in each; without, a picture is one face,
        cut as closely as FER2013's.
        Returns the columns picture (its path, or its place from 0), face (from left to right, from 1), left, top,
        right, bottom (pixels of the square that was looked at), emotion, confidence, and a probability for each of
        `emotions`. A picture without a face has one row with missing values. Raises InputError for a picture that
        cannot be read, and for a missing dlib.
        """
        found, faces = faces_of(as_photographs(pictures), find_faces)
        return face_table(with_probabilities(found, faces, self.nets, self.settings))

    def probabilities(self, faces: Picture | Sequence[Picture]) -> np.ndarray:
        """Of pictures that are one face each, see `predict`: float64 [N,E], in the order of `emotions`."""
        return self.probabilities_of(torch.stack(faces_of(as_photographs(faces), find_faces=False)[1]))

    def probabilities_of(self, faces: torch.Tensor) -> np.ndarray:
        """Of faces uint8 [N,48,48]: float64 [N,E]."""
        return predict_faces(self.nets, faces, self.settings).numpy()


def faces_of(given: Given, find_faces: bool) -> tuple[list[Prediction], list[torch.Tensor]]:
    """A prediction without probabilities for each face and each picture without one; and the faces, uint8 [48,48]."""
    if find_faces:
        load_dlib()
    found, faces = [], []
    for photograph, where, name in zip(*given.named, given.names, strict=True):
        try:
            crops = face_crops(photograph, "dlib" if find_faces else "none", "fer2013", where)
        except InputError:
            found.append(Prediction(name))
            continue
        found += [Prediction(name, number, crop) for number, crop in enumerate(crops, start=1)]
        faces += [cut_face(photograph, crop) for crop in crops]
    return found, faces
