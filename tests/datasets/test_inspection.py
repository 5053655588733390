"""`python -m core_code.datasets`: which form, whether whole, how many copies, and what to type next."""

import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from small_faces import small_rows, smooth_faces, write_csv

from core_code.core_utils.emotions import EMOTIONS
from core_code.core_utils.errors import InputError
from core_code.datasets.__main__ import main
from core_code.datasets.inspection import FER2013_COUNTS, completeness, find_copies
from core_code.datasets.splits import by_split


def printed(capsys, folder) -> str:
    main(["--data_root", str(folder)])
    return capsys.readouterr().out


def test_a_csv_its_counts_and_what_stands_beside_it(tmp_path, capsys, fer2013_csv):
    fer2013_csv(tmp_path)
    (tmp_path / "fer2013new.csv").write_text("Usage,Image name\n")
    text = printed(capsys, tmp_path)
    assert f"{tmp_path}/icml_face_data.csv: a CSV of 68 faces; fer2013new.csv (labels of FERPlus) beside it" in text
    assert "train Angry" in text and "and 18 more" in text
    assert f"next: python train_model.py --net_name resnet18 --exp_name Regular --emotion_transform_prob 0 " \
           f"--fine_tune True --data_root {tmp_path}\n" in text  # fmt: skip


def test_image_folders_and_parquet_files(tmp_path, capsys):
    for split in ("train", "test"):
        (tmp_path / "folders" / split / "happy").mkdir(parents=True)
        Image.fromarray(smooth_faces(1)[0]).save(tmp_path / "folders" / split / "happy" / "1.png")
    text = printed(capsys, tmp_path / "folders")
    assert "image folders of 2 faces" in text and "next: add faces for val;" in text
    assert "1 faces equal an earlier one, pixel for pixel; 0 faces of val and 1 of test" in text
    pytest.importorskip("pyarrow")
    for split in ("train", "val", "test"):
        pd.DataFrame({"pixels": ["1 " * 2304], "label": [0]}).to_parquet(tmp_path / f"{split}.parquet")
    assert "parquet files of 3 faces" in printed(capsys, tmp_path)


def test_what_is_whole_and_what_is_not():
    assert FER2013_COUNTS.sum(1).tolist() == [28709, 3589, 3589]
    assert completeness(FER2013_COUNTS).startswith("whole")
    two_splits = np.stack([FER2013_COUNTS[0], 0 * FER2013_COUNTS[1], FER2013_COUNTS[1] + FER2013_COUNTS[2]])
    assert "test holds PublicTest and PrivateTest together" in completeness(two_splits)
    less = FER2013_COUNTS.copy()
    less[2, 3] -= 1
    assert completeness(less).endswith("another data set: test Happy 878 in place of 879")


def test_copies_are_counted_as_by_hand():
    a, b, c, d = (face.ravel() for face in smooth_faces(4))
    # train: a, b, a; val: a (as another emotion); test: c, c, d, b
    splits = by_split([a, b, a, a, c, c, d, b], [0, 1, 0, 2, 3, 3, 4, 1], [0, 0, 0, 1, 2, 2, 2, 2])
    found = find_copies(splits)
    assert (found.copies, found.in_train, found.disagreeing) == (4, {"val": 1, "test": 1}, 1)


@pytest.mark.parametrize(
    "name, message",
    [("archive.zip", "holds archive.zip, which is packed"), ("train.csv", "the competition's train.csv or test.csv"),
     ("fer2013new.csv", "labels without faces"), (None, "icml_face_data.csv: no such file")],
)  # fmt: skip
def test_what_is_no_data_set_yet(tmp_path, name, message):
    if name:
        (tmp_path / name).write_text("")
    with pytest.raises(InputError, match=message):
        main(["--data_root", str(tmp_path)])


def test_faces_in_a_folder_of_the_folder_are_pointed_at(tmp_path):
    (tmp_path / "images" / "train" / EMOTIONS[0]).mkdir(parents=True)
    (tmp_path / "archive.zip").write_text("")
    with pytest.raises(InputError, match=rf"--data_root {re.escape(str(tmp_path / 'images'))}$"):
        main(["--data_root", str(tmp_path)])


def test_the_loader_names_the_flag_that_reads_image_folders(tmp_path):
    from core_code.datasets.fer2013 import FER2013

    (tmp_path / "train" / EMOTIONS[0]).mkdir(parents=True)
    with pytest.raises(InputError, match=r"no icml_face_data.csv; read them with --dataset folder"):
        FER2013(tmp_path, "train")
    write_csv(tmp_path / "fer2013.csv", small_rows())
    assert len(FER2013(tmp_path, "train")) == 40
