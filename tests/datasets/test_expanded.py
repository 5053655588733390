"""The expanded training set: every training face, then its images at other emotions with their new labels."""

import numpy as np
import pytest
import torch
from augmentation_stand_ins import make
from PIL import Image

from core_code.core_utils.errors import InputError
from core_code.datasets.augmentations.store import FER2013Exp
from core_code.datasets.fer2013 import FER2013


@pytest.fixture
def train(fer2013_csv, tmp_path) -> FER2013:
    return FER2013(fer2013_csv(tmp_path / "fer2013"), "train")


def test_training_faces_come_first_then_the_expansion_with_its_labels(train, tmp_path):
    make(tmp_path / "made", train, mode="expansion")
    expanded = FER2013Exp(train, tmp_path / "made")
    files = {tuple(map(int, (path.parent.name, path.stem))): path for path in (tmp_path / "made").glob("*/*.png")}
    assert len(expanded) == 40 + len(files)
    assert torch.equal(expanded.faces[:40], train.faces) and torch.equal(expanded.labels[:40], train.labels)
    added = [
        (label, np.asarray(Image.open(path)).tobytes()) for (label, face), path in files.items()
    ]  # a label and pixels each
    found = zip(expanded.labels[40:].tolist(), (face.numpy().tobytes() for face in expanded.faces[40:]), strict=True)
    assert sorted(found) == sorted(added)
    counts = np.bincount(train.labels, minlength=7) + np.bincount([label for label, _ in files], minlength=7)
    assert expanded.class_counts.tolist() == counts.tolist()


def test_items_and_batches(train, tmp_path):
    make(tmp_path / "made", train, mode="expansion")
    expanded = FER2013Exp(train, tmp_path / "made")
    face, label = expanded[len(expanded) - 1]
    faces, labels = expanded.__getitems__([0, len(expanded) - 1])
    assert face.shape == (48, 48) and face.dtype == torch.uint8 and isinstance(label, int)
    assert torch.equal(faces[1], face) and labels.tolist() == [int(train.labels[0]), label]


def test_a_cut_training_set_takes_the_expansion_of_its_own_faces(train, tmp_path):
    plan = make(tmp_path / "made", train, mode="expansion").plan
    cut = FER2013(tmp_path / "fer2013", "train", max_faces=11)
    assert len(FER2013Exp(cut, tmp_path / "made")) == 11 + (plan.faces < 11).sum()


def test_other_data_and_other_modes_are_refused(train, fer2013_csv, tmp_path):
    make(tmp_path / "made", train, mode="expansion")
    other = FER2013(fer2013_csv(tmp_path / "other", seed=9), "train")
    with pytest.raises(InputError, match="are of other faces"):
        FER2013Exp(other, tmp_path / "made")
    make(tmp_path / "augmentations", train)
    with pytest.raises(InputError, match="holds augmentations, expected expansion"):
        FER2013Exp(train, tmp_path / "augmentations")
    with pytest.raises(InputError, match="--expand_dataset True"):
        FER2013Exp(train, tmp_path / "nowhere")


def test_a_folder_that_is_no_label_and_a_damaged_image_are_errors(train, tmp_path):
    make(tmp_path / "made", train, mode="expansion")
    (tmp_path / "made" / "7").mkdir()
    Image.new("L", (48, 48)).save(tmp_path / "made" / "7" / "3.png")
    with pytest.raises(InputError, match="expected folders named 0 to 6"):
        FER2013Exp(train, tmp_path / "made")
    (tmp_path / "made" / "7" / "3.png").write_bytes(b"\x89PNG")
    (tmp_path / "made" / "7" / "3.png").rename(tmp_path / "made" / "1" / "3.png")
    with pytest.raises(InputError, match=r"1/3\.png: not a PNG, expected a 48x48 grey PNG"):
        FER2013Exp(train, tmp_path / "made")
