"""The faces in pictures, cut out as FER2013's are."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from core_code.core_utils.errors import InputError, as_input_error
from core_code.core_utils.photos.face_finder import Box, load_dlib
from core_code.core_utils.photos.photographs import Photograph, cut, face_crops, read_photograph
from core_code.datasets.image_folder import IMAGE_ENDINGS
from core_code.datasets.splits import SIDE
from core_code.prediction.table import Prediction


def find_pictures(given: Sequence[Path]) -> list[Path]:
    """The files given and the pictures in the folders given (not in theirs), sorted within each; each one once.

    A folder's pictures are known by their endings; hidden files are none. Raises InputError for what is not there and
    for a folder without pictures.
    """
    found: list[Path] = []
    for path in given:
        if path.is_file():
            found.append(path)
            continue
        if not path.is_dir():
            raise InputError(f"{path}: no such picture or folder")
        inside = [file for file in sorted(path.iterdir()) if file.name.lower().endswith(IMAGE_ENDINGS)]
        pictures = [file for file in inside if file.is_file() and not file.name.startswith(".")]
        if not pictures:
            raise InputError(f"{path}: no picture in this folder, expected files that end in {IMAGE_ENDINGS[0]}, "
                             f"{IMAGE_ENDINGS[2]} or the like")  # fmt: skip
        found += pictures
    return list(dict.fromkeys(found))


def cut_face(photograph: Photograph, crop: Box) -> Tensor:
    """The crop as a grey face, uint8 [48,48], antialiased; beyond the picture's border its edge is repeated."""
    grey = Image.fromarray(cut(photograph.visible, crop)).convert("L")
    return torch.from_numpy(np.array(grey.resize((SIDE, SIDE), Image.Resampling.BICUBIC)))


def find_all_faces(pictures: Sequence[Path], detector: str) -> tuple[list[Prediction], list[Tensor]]:
    """Predictions without probabilities, one for each face and one for each picture without a face or that cannot be
    read; and the faces.

    Raises InputError for a missing dlib, and when the only picture cannot be read or has no face.
    """
    if detector == "dlib":
        load_dlib()
    found, faces = [], []
    for path in tqdm(pictures, desc="finding faces", unit=" pictures", delay=2, leave=False):
        try:
            photograph = read_photograph(path)
        except (InputError, OSError) as error:
            if len(pictures) == 1:
                raise
            found.append(Prediction(path, error=str(as_input_error(error))))
            continue
        try:
            crops = face_crops(photograph, detector, "fer2013", str(path))
        except InputError:
            if len(pictures) == 1:
                raise
            found.append(Prediction(path))
            continue
        found += [Prediction(path, number, crop) for number, crop in enumerate(crops, start=1)]
        faces += [cut_face(photograph, crop) for crop in crops]
    return found, faces
