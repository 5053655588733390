"""FER2013 with its expansion: the training faces, and each of them at other emotions, nearly balanced."""

from pathlib import Path

import torch

from core_code.core_utils.emotions import EMOTIONS
from core_code.core_utils.errors import InputError
from core_code.datasets.augmentations.plan import EXPANSION
from core_code.datasets.augmentations.store import load_images
from core_code.datasets.fer2013 import FER2013
from core_code.datasets.labelled_faces import LabelledFaces


class FER2013Exp(LabelledFaces):
    """The training faces followed by the images of the expansion with their new labels.

    faces: uint8 [N, 48, 48]; labels: int64 [N], 0..6 in the order of EMOTIONS.
    """

    phase = "train"

    def __init__(self, train: FER2013, folder: Path = Path("data/expanded_fer_2013")) -> None:
        """Read the images that create_augmentations.py --expand_dataset True generated from the training faces.

        Raises InputError for a missing or other manifest, for images that are unfinished or of other faces, for a
        sub-folder whose name is not a label, and for a damaged PNG or tar.
        """
        pack = load_images(Path(folder), EXPANSION, train)
        if len(pack.ks) and pack.ks.max() >= len(EMOTIONS):
            raise InputError(f"{Path(folder) / str(pack.ks.max())}: expected folders named 0 to {len(EMOTIONS) - 1}")
        self.dataset = train.dataset
        self.faces = torch.cat([train.faces, torch.from_numpy(pack.images)])
        self.labels = torch.cat([train.labels, torch.from_numpy(pack.ks)])
