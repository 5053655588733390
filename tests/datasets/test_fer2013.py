"""FER2013 from its CSV: the right faces and labels, a cache that is never wrong, and errors that name the row."""

import csv
import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_faces import USAGES, small_rows, smooth_faces, write_csv

from core_code.core_utils.emotions import EMOTIONS
from core_code.core_utils.errors import InputError
from core_code.datasets import fer2013_csv as fer2013_csv_module
from core_code.datasets.fer2013 import FER2013, SPLITS
from core_code.datasets.splits import Splits

HEADERS = ("emotion, Usage, pixels", "emotion,pixels,Usage", "pixels, Usage,emotion", "Emotion,usage,PIXELS")


def read_independently(path: Path, usage: str) -> tuple[np.ndarray, list[int]]:
    """The independent reading: Python's csv module, a number at a time."""
    with open(path, newline="", encoding="utf-8-sig") as file:
        rows = [{k.strip().lower(): v.strip() for k, v in row.items()} for row in csv.DictReader(file)]
    rows = [row for row in rows if row["usage"] == usage]
    faces = np.array([[int(pixel) for pixel in row["pixels"].split()] for row in rows]).reshape(-1, 48, 48)
    return faces, [int(row["emotion"]) for row in rows]


@pytest.mark.parametrize("split, usage", list(zip(SPLITS, USAGES, strict=True)))
@pytest.mark.parametrize("header", HEADERS)
def test_each_split_holds_the_rows_of_its_usage(tmp_path, header, split, usage):
    rows = small_rows(train=23, val=9, test=8)
    write_csv(tmp_path / "fer2013.csv", rows[::2] + rows[1::2], header)  # each usage in two runs
    expected_faces, expected_labels = read_independently(tmp_path / "fer2013.csv", usage)
    for _ in ("first load", "from the cache"):
        faces = FER2013(tmp_path, split)
        assert faces.faces.dtype == torch.uint8 and faces.labels.dtype == torch.int64
        np.testing.assert_array_equal(faces.faces.numpy(), expected_faces)
        assert faces.labels.tolist() == expected_labels
        assert faces.class_counts.tolist() == [expected_labels.count(label) for label in range(len(EMOTIONS))]


def test_quotes_spaces_windows_lines_and_a_byte_order_mark_are_read(tmp_path):
    face = smooth_faces(1)[0]
    pixels = " ".join(map(str, face.ravel()))
    text = f'\ufeff"emotion"," pixels ","Usage"\r\n"5","{pixels}","Training"\r\n\r\n 6 ,  {pixels}  , Training \r\n'
    (tmp_path / "fer2013.csv").write_bytes(text.encode())
    faces = FER2013(tmp_path, "train")
    assert faces.labels.tolist() == [5, 6]
    assert (faces.faces.numpy() == face).all()


def test_unusual_but_plain_numbers_are_read(tmp_path):
    face = smooth_faces(1)[0].ravel()
    pixels = "\t ".join(f"{pixel:04d}" for pixel in face)
    (tmp_path / "fer2013.csv").write_text(f"emotion,pixels,Usage\n3,{pixels},Training\n")
    assert (FER2013(tmp_path, "train").faces.numpy().ravel() == face).all()


def decoded(text: str) -> list[int]:
    """One row's numbers."""
    (face,) = fer2013_csv_module.decode_pixels([(text.encode(), "here")])
    return face.tolist()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 255), min_size=1, max_size=60), st.sampled_from([" ", "  ", "\t"]))
def test_decoding_gives_the_numbers_that_were_written(some, gap):
    numbers = (some * 2304)[:2304]
    assert decoded(gap.join(map(str, numbers))) == numbers


def test_every_number_is_decoded_after_every_other_and_256_up_is_not():
    numbers = np.random.default_rng(0).permutation(np.arange(2304) % 256).tolist()
    assert decoded(" ".join(map(str, numbers))) == numbers
    for wrong in (256, 299, 399, 999, 1000, 2550, 65536, 2**32, 2**63, 2**64, 2**64 + 7):
        for place in (0, 1000, 2303):
            row = numbers.copy()
            row[place] = wrong
            with pytest.raises(InputError, match=f"here: pixel {place + 1} is '{wrong}', expected a whole number"):
                decoded(" ".join(map(str, row)))


def test_items_and_batches(tmp_path, fer2013_csv):
    faces = FER2013(fer2013_csv(tmp_path), "train")
    face, label = faces[7]
    assert face.shape == (48, 48) and face.dtype == torch.uint8 and isinstance(label, int)
    for indices in ([3, 0, 7], torch.tensor([3, 0, 7])):
        batch, labels = faces.__getitems__(indices)
        assert torch.equal(batch[2], face) and labels[2] == label
        assert batch.shape == (3, 48, 48) and labels.dtype == torch.int64
    loader = torch.utils.data.DataLoader(faces, batch_size=16, collate_fn=lambda batch: batch)
    assert torch.equal(torch.cat([batch for batch, _ in loader]), faces.faces)


def test_max_faces_keeps_the_first_rows_of_the_split(tmp_path, fer2013_csv):
    folder = fer2013_csv(tmp_path)
    whole, part = FER2013(folder, "val"), FER2013(folder, "val", max_faces=5)
    assert len(part) == 5 and torch.equal(part.faces, whole.faces[:5]) and torch.equal(part.labels, whole.labels[:5])
    assert len(FER2013(folder, "val", max_faces=10_000)) == len(whole)


def test_fingerprints_tell_data_apart(tmp_path, fer2013_csv):
    folder = fer2013_csv(tmp_path / "a")
    train = FER2013(folder, "train")
    assert train.fingerprint() == FER2013(fer2013_csv(tmp_path / "b"), "train").fingerprint()
    assert train.fingerprint(10) == FER2013(folder, "train", max_faces=10).fingerprint() != train.fingerprint()
    assert train.fingerprint() != FER2013(fer2013_csv(tmp_path / "c", seed=1), "train").fingerprint()
    train.labels[3] = (train.labels[3] + 1) % 7
    assert train.fingerprint() != FER2013(folder, "train").fingerprint()
    assert train.fingerprint(3) == FER2013(folder, "train").fingerprint(3)


def caches(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.suffix != ".csv"]


def test_the_cache_is_one_small_file_that_later_loads_use(tmp_path, fer2013_csv):
    """The CSV itself is not read again: spoiled behind its back, it goes on as it was."""
    folder = fer2013_csv(tmp_path)
    first = FER2013(folder, "train").faces.clone()
    (cache,) = caches(folder)
    assert cache.stat().st_size < 68 * 2305 + 1000
    path = folder / "icml_face_data.csv"
    state = path.stat()
    content = path.read_bytes()
    path.write_bytes(content[:70_000] + b"x" * (state.st_size - 140_000) + content[-70_000:])
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert torch.equal(FER2013(folder, "train").faces, first)


@pytest.mark.parametrize("place", [100, -100])
def test_a_csv_of_the_same_size_and_time_with_another_head_or_tail_is_read_again(tmp_path, fer2013_csv, place):
    folder = fer2013_csv(tmp_path)
    old = [FER2013(folder, split).faces.clone() for split in ("train", "val", "test")]
    path = folder / "icml_face_data.csv"
    state, content = path.stat(), bytearray(path.read_bytes())
    place = next(i for i in range(place % len(content), len(content)) if content[i : i + 1].isdigit())
    content[place] = ord("1") if content[place] != ord("1") else ord("0")
    path.write_bytes(content)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    new = [FER2013(folder, split).faces for split in ("train", "val", "test")]
    assert not all(map(torch.equal, old, new))


@pytest.mark.parametrize("damage", ["label", "counts", "negative"])
def test_a_cache_whose_labels_or_counts_cannot_be_is_made_again(tmp_path, fer2013_csv, monkeypatch, damage):
    folder = fer2013_csv(tmp_path)
    read = fer2013_csv_module.read_csv

    def damaged(path):
        splits = read(path)
        labels, counts = splits.labels.copy(), splits.counts.copy()
        labels[3] = 200 if damage == "label" else labels[3]
        counts[:2] += {"label": (0, 0), "counts": (0, 5), "negative": (100, -100)}[damage]
        return Splits(counts, labels, splits.faces)

    sound = FER2013(folder, "train").labels.clone()
    for cache in caches(folder):
        cache.unlink()
    monkeypatch.setattr("core_code.datasets.splits.Splits.fit", lambda self, classes: True)
    monkeypatch.setattr("core_code.datasets.fer2013.read_csv", damaged)
    FER2013(folder, "train")  # the cache that someone has made, with the right checksum
    monkeypatch.undo()
    assert torch.equal(FER2013(folder, "train").labels, sound)


def test_a_changed_csv_is_read_again_and_replaces_the_cache(tmp_path, fer2013_csv):
    folder = fer2013_csv(tmp_path)
    old = FER2013(folder, "train").faces.clone()
    fer2013_csv(folder, seed=9)
    new = FER2013(folder, "train")
    expected, _ = read_independently(folder / "icml_face_data.csv", "Training")
    assert not torch.equal(new.faces, old)
    np.testing.assert_array_equal(new.faces.numpy(), expected)
    assert len(caches(folder)) == 1


@pytest.mark.parametrize("damage", ["truncated", "longer", "empty", "header", "label", "face", "nonsense", "folder"])
def test_a_damaged_cache_is_made_again(tmp_path, fer2013_csv, damage):
    folder = fer2013_csv(tmp_path)
    expected = FER2013(folder, "train").faces.clone()
    (cache,) = caches(folder)
    content = bytearray(cache.read_bytes())
    sound = bytes(content)
    if damage == "header":
        content[content.index(b"icml")] ^= 1
    elif damage == "label":
        content[-68 * 48 * 48 - 5] ^= 1
    elif damage == "face":
        content[-1000] ^= 1
    cut = {"truncated": content[:-1], "longer": content + b"x", "empty": b"", "nonsense": b"\xff" * 5000}
    cache.unlink()
    if damage == "folder":
        cache.mkdir()
    else:
        cache.write_bytes(cut.get(damage, content))
    assert torch.equal(FER2013(folder, "train").faces, expected)
    assert damage == "folder" or cache.read_bytes() == sound
    assert len(caches(folder)) == 1


def test_a_data_folder_that_cannot_be_written_costs_only_the_cache(tmp_path, fer2013_csv, monkeypatch):
    folder = fer2013_csv(tmp_path)

    def refuse(path, write, durable=True):
        raise InputError(f"{path}: cannot be written (Read-only file system)") from OSError("Read-only file system")

    monkeypatch.setattr("core_code.datasets.cache.atomic_write", refuse)
    expected, labels = read_independently(folder / "icml_face_data.csv", "PrivateTest")
    faces = FER2013(folder, "test")
    np.testing.assert_array_equal(faces.faces.numpy(), expected)
    assert faces.labels.tolist() == labels and not caches(folder)


def test_writing_to_the_faces_never_reaches_the_cache(tmp_path, fer2013_csv):
    folder = fer2013_csv(tmp_path)
    faces = FER2013(folder, "train").faces
    before = faces.clone()
    faces.zero_()
    assert torch.equal(FER2013(folder, "train").faces, before)


def spoil(folder: Path, line: int, change) -> None:
    """Change the fields (emotion, Usage, pixels) of one line of the CSV."""
    path = folder / "icml_face_data.csv"
    lines = path.read_text().splitlines()
    lines[line - 1] = ",".join(change(*lines[line - 1].split(",")))
    path.write_text("\n".join(lines) + "\n")


def with_pixel(text: str, value: str, place: int = 100) -> str:
    numbers = text.split()
    numbers[place - 1] = value
    return " ".join(numbers)


BAD_ROWS = {
    "too few pixels": (lambda e, u, p: (e, u, p.rsplit(" ", 1)[0]), ["2303 pixels", "2304", "48x48"]),
    "too many pixels": (lambda e, u, p: (e, u, p + " 1"), ["2305 pixels", "2304"]),
    "far too many pixels": (lambda e, u, p: (e, u, " ".join([p] * 30)), ["pixels", "2304"]),
    "no pixels": (lambda e, u, p: (e, u, ""), ["0 pixels", "2304"]),
    "256": (lambda e, u, p: (e, u, with_pixel(p, "256")), ["pixel 100", "'256'", "0 to 255"]),
    "300": (lambda e, u, p: (e, u, with_pixel(p, "300")), ["pixel 100", "'300'", "0 to 255"]),
    "a long number": (lambda e, u, p: (e, u, with_pixel(p, "1" * 5000)), ["pixel 100", "0 to 255"]),
    "negative": (lambda e, u, p: (e, u, with_pixel(p, "-1", 1)), ["pixel 1 ", "'-1'", "0 to 255"]),
    "a fraction": (lambda e, u, p: (e, u, with_pixel(p, "12.5")), ["'12.5'", "whole number"]),
    "not a number": (lambda e, u, p: (e, u, with_pixel(p, "x1")), ["'x1'", "0 to 255"]),
    "not text": (lambda e, u, p: (e, u, with_pixel(p, "²")), ["pixel 100", "0 to 255"]),
    "label 7": (lambda e, u, p: ("7", u, p), ["label '7'", "0 to 6"]),
    "label -1": (lambda e, u, p: ("-1", u, p), ["label '-1'", "0 to 6"]),
    "label word": (lambda e, u, p: ("Happy", u, p), ["label 'Happy'", "0 to 6"]),
    "no label": (lambda e, u, p: ("", u, p), ["label ''", "0 to 6"]),
    "usage": (lambda e, u, p: (e, "Testing", p), ["Usage 'Testing'", "Training, PublicTest, PrivateTest"]),
    "a column too few": (lambda e, u, p: (e, u), ["2 columns", "expected 3"]),
    "a column too many": (lambda e, u, p: (e, u, p, "1"), ["4 columns", "expected 3"]),
}


@pytest.mark.parametrize("line", [2, 19, 69])
@pytest.mark.parametrize("bad", BAD_ROWS)
def test_a_bad_row_is_named(tmp_path, fer2013_csv, bad, line):
    folder = fer2013_csv(tmp_path)
    change, told = BAD_ROWS[bad]
    spoil(folder, line, change)
    with pytest.raises(InputError) as error:
        FER2013(folder, "train")
    message = str(error.value)
    assert "\n" not in message and len(message) < 300
    for part in (str(folder / "icml_face_data.csv"), f"line {line}:", *told):
        assert part in message
    assert not caches(folder)


def test_of_several_bad_rows_the_first_is_named(tmp_path, fer2013_csv):
    folder = fer2013_csv(tmp_path)
    spoil(folder, 8, lambda e, u, p: (e, u, with_pixel(p, "999")))
    spoil(folder, 10, lambda e, u, p: ("9", u, p))
    with pytest.raises(InputError, match="line 8: pixel 100 is '999'"):
        FER2013(folder, "train")


def test_a_row_too_long_does_not_make_up_for_one_too_short(tmp_path, fer2013_csv):
    folder = fer2013_csv(tmp_path)
    spoil(folder, 5, lambda e, u, p: (e, u, p + " 7"))
    spoil(folder, 6, lambda e, u, p: (e, u, p.rsplit(" ", 1)[0]))
    with pytest.raises(InputError, match="line 5: 2305 pixels"):
        FER2013(folder, "train")


@pytest.mark.parametrize("column", ["emotion", "Usage", "pixels"])
def test_a_missing_column_is_named(tmp_path, fer2013_csv, column):
    path = fer2013_csv(tmp_path) / "icml_face_data.csv"
    path.write_text(path.read_text().replace(column, "other", 1))
    with pytest.raises(InputError, match=f"line 1: no column '{column}'") as error:
        FER2013(tmp_path, "train")
    assert str(path) in str(error.value)


@pytest.mark.parametrize("separator", [";", "\t"])
def test_another_separator_is_named(tmp_path, fer2013_csv, separator):
    path = fer2013_csv(tmp_path) / "icml_face_data.csv"
    path.write_text(path.read_text().replace(",", separator))
    with pytest.raises(InputError) as error:
        FER2013(tmp_path, "train")
    assert str(error.value) == f"{path}, line 1: columns are separated by {separator!r}, expected by ','"


@pytest.mark.parametrize("text", ["", "emotion, Usage, pixels\n", "emotion, Usage, pixels\n\n\n"])
def test_a_csv_without_rows_is_an_error(tmp_path, text):
    (tmp_path / "icml_face_data.csv").write_text(text)
    with pytest.raises(InputError, match=r"icml_face_data\.csv.* expected"):
        FER2013(tmp_path, "train")


@pytest.mark.parametrize("split, usage", list(zip(SPLITS, USAGES, strict=True)))
def test_an_empty_split_is_named_and_others_are_read(tmp_path, split, usage):
    write_csv(tmp_path / "icml_face_data.csv", [row for row in small_rows(7, 7, 7) if row[1] != usage])
    for other in SPLITS:
        if other != split:
            assert len(FER2013(tmp_path, other)) == 7
    with pytest.raises(InputError, match=rf"icml_face_data\.csv: no faces for {split}, expected rows .*{usage}"):
        FER2013(tmp_path, split)


def test_a_missing_csv_says_how_to_get_it(tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(InputError) as error:
            FER2013(folder, "train")
        for part in (
            str(folder / "icml_face_data.csv"),
            "Kaggle",
            "Challenges in Representation Learning: Facial Expression Recognition Challenge",
            "--dataset sample",
        ):
            assert part in str(error.value)


def test_a_file_in_place_of_the_folder_is_named(tmp_path, fer2013_csv):
    path = fer2013_csv(tmp_path) / "icml_face_data.csv"
    with pytest.raises(InputError, match=r"icml_face_data\.csv: is a file, expected the folder"):
        FER2013(path, "train")


@pytest.mark.parametrize("name", ["fer.csv", "fer2013/icml_face_data.csv"])
def test_a_csv_under_another_name_or_one_folder_deeper_is_pointed_at(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
    with pytest.raises(
        InputError, match=rf"no such file .*; {re.escape(str(tmp_path / name))} is there: give its folder"
    ):
        FER2013(tmp_path)
