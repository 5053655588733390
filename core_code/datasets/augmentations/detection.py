"""Which part of each face the generator edits: what dlib's detector finds, or the whole face."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from core_code.core_utils.distributed.job import local_main_first
from core_code.core_utils.emotions import EMOTIONS
from core_code.core_utils.errors import InputError
from core_code.core_utils.files import read_json
from core_code.core_utils.tables import write_csv
from core_code.datasets.augmentations.manifest import MANIFEST_NAME, check_mode_and_faces
from core_code.datasets.cache import Arrays, load_or_make
from core_code.datasets.fer2013 import FER2013
from EmotionGAN.editor import Editor
from EmotionGAN.face_crops import find_boxes

AUTO, DLIB, NONE = "auto", "dlib", "none"
BOXES_NAME, NOT_FOUND_NAME = "face_boxes.cache", "faces_not_found.csv"


def detect_faces(
    detector: str, train: FER2013, face_count: int, editor: Editor, folder: Path, mode: str
) -> Tensor | None:  # fmt: skip
    """The boxes of the first training faces that the generator edits: float [face_count, 4], NaN where none is found.

    None where whole faces are edited. `detector` is dlib, none, or auto: dlib for a generator whose config says that
    its training faces were cut out by it, none for others. The boxes are cached in `folder`, for a run that goes on.
    Of a job's processes one on each machine looks for them. Logs how many faces are found. Raises InputError without
    dlib, for dlib with a generator of whole faces, when no face is found, and where the folder holds images of another
    mode or of other faces.
    """
    framing = editor.generator.config.framing
    if detector == NONE or (detector == AUTO and framing != DLIB):
        return None
    if framing != DLIB:
        trained = f"{editor.name} was trained on whole {framing} faces"
        raise InputError(f"--face_detector dlib: {trained}; leave the flag out")

    def find() -> Arrays:
        boxes = find_boxes(train.faces[:face_count])
        if not boxes.isfinite().any():
            raise InputError("--face_detector dlib: no face found in any of the training faces")
        return {"boxes": boxes.numpy()}

    path = folder / MANIFEST_NAME
    if path.exists():
        check_mode_and_faces(read_json(path), mode, folder, train)
    with local_main_first():
        cached = load_or_make(folder / BOXES_NAME, train.fingerprint(face_count), {"boxes": (np.float32, (4,))}, find)
    boxes = torch.from_numpy(cached["boxes"])
    print(f"dlib finds {int(boxes.isfinite().all(dim=1).sum())} of {face_count} faces; the others get no image")
    return boxes


def write_faces_not_found(folder: Path, boxes: Tensor, train: FER2013) -> None:
    """List the faces without a box in `folder`: each one's row among the training faces, and its emotion."""
    rows = boxes.isnan().any(dim=1).nonzero()[:, 0].tolist()
    table = pd.DataFrame({"face": rows, "emotion": [EMOTIONS[label] for label in train.labels[rows].tolist()]})
    write_csv(folder / NOT_FOUND_NAME, table)
