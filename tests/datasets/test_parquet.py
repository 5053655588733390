"""FER2013 in parquet files, in the forms that hubs of data sets have it in."""

import io
import json
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from small_faces import smooth_faces

from core_code.core_utils.errors import InputError
from core_code.datasets import parquet
from core_code.datasets.fer2013 import FER2013

pyarrow = pytest.importorskip("pyarrow")
pytest.importorskip("pyarrow.parquet")


def png(face: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(face).save(file, "PNG")
    return file.getvalue()


def write_hub(path, table: pd.DataFrame, names: list[str] | None = None) -> None:
    """A parquet file with the label names that a hub writes into its metadata."""
    import pyarrow.parquet

    arrow = pyarrow.Table.from_pandas(table)
    if names:
        info = {"info": {"features": {"label": {"names": names, "_type": "ClassLabel"}}}}
        arrow = arrow.replace_schema_metadata({"huggingface": json.dumps(info)})
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(arrow, path)


def test_a_hub_s_files_with_names_of_labels(tmp_path):
    faces = smooth_faces(6)
    names = ["happy", "angry"]
    for number, split in enumerate(("train", "validation", "test")):
        rows = [{"image": {"bytes": png(face), "path": None}, "label": k}
                for k, face in enumerate(faces[2 * number : 2 * number + 2])]  # fmt: skip
        write_hub(tmp_path / "data" / f"{split}-00000-of-00001.parquet", pd.DataFrame(rows), names)
    for _ in ("first load", "from the cache"):
        for number, split in enumerate(("train", "val", "test")):
            read = FER2013(tmp_path, split)
            np.testing.assert_array_equal(read.faces.numpy(), faces[2 * number : 2 * number + 2])
            assert read.labels.tolist() == [3, 0]


@pytest.mark.parametrize("form", ["text", "list", "rows"])
def test_pixels_and_usage_in_columns(tmp_path, form):
    faces = smooth_faces(3)
    shape = {"text": lambda face: " ".join(map(str, face.ravel())), "list": lambda face: face.ravel().tolist(),
             "rows": lambda face: face.tolist()}[form]  # fmt: skip
    table = pd.DataFrame(
        {"emotion": [0, 3, 6], "pixels": [shape(f) for f in faces], "Usage": ["Training", "PublicTest", "PrivateTest"]}
    )
    table.to_parquet(tmp_path / "fer.parquet")
    for split, face, label in zip(("train", "val", "test"), faces, (0, 3, 6), strict=True):
        read = FER2013(tmp_path, split)
        np.testing.assert_array_equal(read.faces[0].numpy(), face)
        assert read.labels.tolist() == [label]


def test_two_splits_whose_images_are_named_after_the_usage(tmp_path):
    faces = smooth_faces(3)
    names = ("Training_1.jpg", "PublicTest_2.jpg", "PrivateTest_3.jpg")
    rows = [
        {"image": {"bytes": png(face), "path": f"test/happy/{name}"}, "label": "happy"}
        for face, name in zip(faces, names, strict=True)
    ]
    write_hub(tmp_path / "train.parquet", pd.DataFrame(rows[:1]))
    write_hub(tmp_path / "test.parquet", pd.DataFrame(rows[1:]))
    for split, face in zip(("train", "val", "test"), faces, strict=True):
        np.testing.assert_array_equal(FER2013(tmp_path, split).faces[0].numpy(), face)


@pytest.mark.parametrize(
    "columns, message",
    [
        ({"image": [b"x"], "label": [0]}, "train.parquet, row 1: not a readable image"),
        ({"pixels": ["1 2 3"], "label": [0]}, "train.parquet, row 1: 3 pixels, expected 2304"),
        ({"pixels": [[1, 2]], "label": [0]}, "train.parquet, row 1: no face, expected an image or 2304 whole numbers"),
        ({"pixels": ["1 " * 2304], "label": [7]}, "train.parquet, row 1: label '7', expected a whole number from 0"),
        ({"pixels": ["1 " * 2304], "label": [0], "usage": ["x"]}, "row 1: usage 'x', expected one of Training"),
        ({"pixels": ["1 " * 2304]}, "no column label or labels or emotion, found pixels"),
    ],
)
def test_damage_is_named_with_its_row(tmp_path, columns, message):
    pd.DataFrame(columns).to_parquet(tmp_path / "train.parquet")
    with pytest.raises(InputError, match=message):
        FER2013(tmp_path, "train")


def test_a_truncated_file_and_a_name_that_tells_no_split(tmp_path):
    path = tmp_path / "train.parquet"
    pd.DataFrame({"pixels": ["1 " * 2304], "label": [0]}).to_parquet(path)
    content = path.read_bytes()
    path.write_bytes(content[:-20])
    with pytest.raises(InputError, match=r"train.parquet: not a readable parquet file"):
        FER2013(tmp_path, "train")
    path.unlink()
    (tmp_path / "faces.parquet").write_bytes(content)
    with pytest.raises(InputError, match="of which split are its faces"):
        FER2013(tmp_path, "train")


def test_without_pyarrow_one_line_tells_what_to_install(tmp_path, monkeypatch):
    pd.DataFrame({"pixels": ["1 " * 2304], "label": [0]}).to_parquet(tmp_path / "train.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(InputError, match="needs pyarrow: pip install pyarrow"):
        FER2013(tmp_path, "train")


@pytest.mark.parametrize(
    "column, message",
    {
        "a value that a byte repeats": (("1 " * 500_000, 20_000), "row 1: 500000 pixels, expected 2304"),
        "a page that unpacks to much": (("0" * (1 << 24), 1), "1 rows in groups of up to 1677"),
        "many rows": (("0", 1 << 17), "131072 rows in groups of up to "),
    }.values(),
)
def test_what_unpacks_to_more_than_memory_should_hold(tmp_path, monkeypatch, column, message):
    monkeypatch.setattr(parquet, "LARGEST_GROUP", 1 << 23)
    monkeypatch.setattr(parquet, "MOST_ROWS", 1 << 16)
    value, rows = column
    pixels = pyarrow.DictionaryArray.from_arrays(pyarrow.array([0] * rows), pyarrow.array([value]))
    table = pyarrow.table({"pixels": pixels, "label": [0] * rows})
    pyarrow.parquet.write_table(table, tmp_path / "train.parquet", compression="zstd", store_schema=False)
    assert (tmp_path / "train.parquet").stat().st_size < 10_000  # read at once it is 20 GB
    with pytest.raises(InputError, match=message):
        FER2013(tmp_path, "train")


@pytest.mark.parametrize("label", ["\u00b2", "9" * 5000, "-1", "1e0", "\u0663"])
def test_labels_that_python_takes_for_digits(tmp_path, label):
    pd.DataFrame({"pixels": ["1 " * 2304], "label": [label]}).to_parquet(tmp_path / "train.parquet")
    with pytest.raises(InputError, match=r"train\.parquet, row 1: label "):
        FER2013(tmp_path, "train")
