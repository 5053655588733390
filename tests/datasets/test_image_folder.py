"""Image folders as a data set: which file is which emotion and split, other sizes and colours, and errors."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_faces import smooth_faces

from core_code.core_utils.emotions import EMOTIONS
from core_code.core_utils.errors import InputError
from core_code.datasets.fer2013 import FER2013, SPLITS


def save(folder: Path, name: str, face: np.ndarray) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(face).save(folder / name)
    return folder / name


@pytest.fixture
def folders(tmp_path) -> tuple[Path, np.ndarray]:
    """Two pictures of each emotion in each split; face 14 * split + 2 * label + k is <k>.png."""
    faces = smooth_faces(42)
    for split, folder in enumerate(("train", "validation", "test")):
        for label, emotion in enumerate(EMOTIONS):
            for k in range(2):
                save(tmp_path / folder / emotion.lower(), f"{k}.png", faces[14 * split + 2 * label + k])
    return tmp_path, faces


def test_folders_tell_split_and_emotion(folders):
    root, faces = folders
    for _ in ("first load", "from the cache"):
        for split, name in enumerate(SPLITS):
            read = FER2013(root, name, "folder")
            order = sorted(range(7), key=lambda label: EMOTIONS[label].lower())
            assert read.labels.tolist() == [label for label in order for _ in range(2)]
            expected = [faces[14 * split + 2 * label + k] for label in order for k in range(2)]
            np.testing.assert_array_equal(read.faces.numpy(), np.stack(expected))
            assert read.class_counts.tolist() == [2] * 7


@pytest.mark.parametrize(
    "name, label",
    [("ANGER", 0), ("Angry", 0), ("disgusted", 1), ("Fearful", 2), ("happiness", 3), ("HAPPY", 3), ("sadness", 4),
     ("Surprised", 5), ("neutral", 6), ("3", 3)],
)  # fmt: skip
def test_names_of_emotions_in_any_case_and_their_usual_aliases(tmp_path, name, label):
    save(tmp_path / "Train" / name, "a.png", smooth_faces(1)[0])
    assert FER2013(tmp_path, "train", "folder").labels.tolist() == [label]


@pytest.mark.parametrize("layout", ["test alone", "train and test"])
def test_without_a_validation_folder_file_names_tell_the_split(tmp_path, layout):
    faces = smooth_faces(3)
    first = "train" if layout == "train and test" else "test"
    save(tmp_path / first / "happy", "Training_1.png", faces[0])
    save(tmp_path / "test" / "sad", "PublicTest_2.png", faces[1])
    save(tmp_path / "test" / "fear", "PrivateTest_3.png", faces[2])
    for split, label, face in zip(SPLITS, (3, 4, 2), faces, strict=True):
        read = FER2013(tmp_path, split, "folder")
        assert read.labels.tolist() == [label]
        assert (read.faces[0].numpy() == face).all()


def test_with_a_validation_folder_folders_alone_tell_the_split(tmp_path):
    faces = smooth_faces(3)
    for folder, face in zip(("train", "val", "test"), faces, strict=True):
        save(tmp_path / folder / "happy", "PublicTest_1.png", face)
    for split, face in zip(SPLITS, faces, strict=True):
        assert (FER2013(tmp_path, split, "folder").faces.numpy() == face).all()


def test_colour_and_other_sizes_become_grey_48_by_48(tmp_path):
    grey = smooth_faces(1)[0]
    large = np.kron(grey, np.ones((3, 3), dtype=np.uint8))
    save(tmp_path / "train" / "sad", "colour.png", np.repeat(grey[..., None], 3, axis=2))
    save(tmp_path / "train" / "sad", "large.png", large)
    colour = np.zeros((48, 48, 3), dtype=np.uint8)
    colour[..., 1] = 200
    save(tmp_path / "train" / "sad", "pure_green.png", colour)
    checks = (np.indices((96, 96)).sum(axis=0) % 2 * 255).astype(np.uint8)
    save(tmp_path / "train" / "sad", "tall_checks.png", np.tile(checks, (2, 1)))
    read = FER2013(tmp_path, "train", "folder").faces.numpy().astype(int)
    assert (read[0] == grey).all()
    assert abs(read[1] - grey).mean() < 3
    assert abs(read[2] - 0.587 * 200).max() <= 1  # ITU-R 601 luma
    assert abs(read[3] - 127.5).max() <= 2  # an antialiased reduction sees the mean, others see stripes


def test_a_changed_a_new_and_a_deleted_file_are_seen(folders):
    root, _ = folders
    before = FER2013(root, "train", "folder")
    fresh = smooth_faces(2, seed=5)
    save(root / "train" / "angry", "0.png", fresh[0])
    save(root / "train" / "angry", "9.png", fresh[1])
    (root / "train" / "sad" / "1.png").unlink()
    after = FER2013(root, "train", "folder")
    assert after.class_counts.tolist() == [3, 2, 2, 2, 1, 2, 2]
    assert (after.faces[0].numpy() == fresh[0]).all() and (after.faces[2].numpy() == fresh[1]).all()
    assert torch.equal(after.faces[1], before.faces[1])


@pytest.mark.parametrize("damage", ["truncated", "empty", "text"])
def test_a_damaged_image_is_named_and_nothing_is_cached(folders, damage):
    root, _ = folders
    path = root / "test" / "fear" / "1.png"
    content = path.read_bytes()
    path.write_bytes({"truncated": content[: len(content) // 2], "empty": b"", "text": b"not an image"}[damage])
    with pytest.raises(InputError, match="not a readable image") as error:
        FER2013(root, "train", "folder")
    assert str(path) in str(error.value) and "\n" not in str(error.value)
    assert sorted(entry.name for entry in root.iterdir()) == ["test", "train", "validation"]


def test_an_unknown_folder_is_named(folders):
    root, _ = folders
    (root / "train" / "confused").mkdir()
    with pytest.raises(InputError, match="confused: not the name of an emotion, expected one of Angry"):
        FER2013(root, "train", "folder")


def test_other_files_and_hidden_folders_are_passed_over(folders):
    root, _ = folders
    (root / "train" / "sad" / "notes.txt").write_text("x")
    (root / "train" / ".thumbnails").mkdir()
    (root / "readme").mkdir()
    assert len(FER2013(root, "train", "folder")) == 14


def test_an_empty_split_and_missing_folders_are_named(tmp_path):
    with pytest.raises(InputError, match="nowhere: no such folder"):
        FER2013(tmp_path / "nowhere", "train", "folder")
    with pytest.raises(InputError, match="no folder train"):
        FER2013(tmp_path, "train", "folder")
    (tmp_path / "train" / "sad").mkdir(parents=True)
    with pytest.raises(InputError, match="holds no images"):
        FER2013(tmp_path, "train", "folder")
    save(tmp_path / "train" / "sad", "a.png", smooth_faces(1)[0])
    with pytest.raises(InputError, match=r"no faces for val, expected images in validation/<emotion>/.*PublicTest_"):
        FER2013(tmp_path, "val", "folder")


@pytest.mark.parametrize("name", ["a.JPG", "a.jfif", "a.jpe", "a.jp2", "a.avif", "a.PNG", "a.ppm", "a.apng"])
def test_what_pillow_reads_is_taken(tmp_path, name):
    face = smooth_faces(1)[0]
    kinds = {"jfif": "JPEG", "jpe": "JPEG", "avif": "AVIF", "apng": "PNG", "jp2": "JPEG2000"}
    (tmp_path / "train" / "happy").mkdir(parents=True)
    Image.fromarray(face).save(tmp_path / "train" / "happy" / name, kinds.get(name.split(".")[1]))
    assert np.abs(FER2013(tmp_path, "train", "folder").faces[0].numpy().astype(int) - face).max() < 30


def test_sub_folders_and_the_usages_as_folders(tmp_path):
    faces = smooth_faces(4)
    save(tmp_path / "Training" / "happy", "a.png", faces[0])
    save(tmp_path / "Training" / "happy" / "person 2" / "left", "a.png", faces[1])
    save(tmp_path / "PublicTest" / "sad", "a.png", faces[2])
    save(tmp_path / "PrivateTest" / "sad", "a.png", faces[3])
    for split, expected in (("train", faces[:2]), ("val", faces[2:3]), ("test", faces[3:])):
        np.testing.assert_array_equal(FER2013(tmp_path, split, "folder").faces.numpy(), expected)


def test_what_is_passed_over_is_said_and_so_is_an_emotion_without_a_face(tmp_path, capsys):
    save(tmp_path / "train" / "happy", "a.png", smooth_faces(1)[0])
    for name in ("notes.txt", "b.TXT", "c", ".DS_Store", "._a.png"):
        (tmp_path / "train" / "happy" / name).touch()
    save(tmp_path / "train" / "happy" / ".thumbs", "a.png", smooth_faces(1)[0])
    (tmp_path / "train" / "list.csv").touch()
    (tmp_path / "train" / "sad").mkdir()
    assert len(FER2013(tmp_path, "train", "folder")) == 1
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(f"{tmp_path}: passed over 7 files: ")
    assert "2 files ending in .txt" in first and "2 hidden files" in first and ".csv beside the emotions" in first
    assert second == f"warning: {tmp_path}: no face of Angry, Disgust, Fear, Sad, Surprise, Neutral in train"
    FER2013(tmp_path, "train", "folder")
    assert not capsys.readouterr().err  # the cache is read


@pytest.mark.parametrize("target, said", [("gone", "a link to nothing"), ("a.png", "a link to nothing")])
def test_a_link_that_leads_nowhere_is_one_line(tmp_path, target, said):
    save(tmp_path / "train" / "happy", "b.png", smooth_faces(1)[0])
    (tmp_path / "train" / "happy" / "a.png").symlink_to(target)
    with pytest.raises(InputError, match=rf"happy/a\.png: {said}"):
        FER2013(tmp_path, "train", "folder")


@pytest.mark.parametrize("root", [".", "faces", "faces/", "./faces", "absolute"])
def test_the_data_root_may_be_written_in_any_way(tmp_path, monkeypatch, root):
    monkeypatch.chdir(tmp_path)
    where = tmp_path / "faces" if root == "absolute" else Path(root)
    save(where / "train" / "happy" / "more", "b.png", smooth_faces(1)[0])
    assert len(FER2013(where, "train", "folder")) == 1
