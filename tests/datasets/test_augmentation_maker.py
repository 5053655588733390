"""Images on disk: the right ones, whole or not at all, and the same however often the run was interrupted."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from augmentation_stand_ins import TinyEditor, contents, expected_image, make
from PIL import Image

from core_code.core_utils.errors import InputError
from core_code.core_utils.locks import exclusive_lock
from core_code.datasets.augmentations import make as augmentation_maker
from core_code.datasets.fer2013 import FER2013

ROOT = Path(__file__).parents[2]


@pytest.fixture
def train(fer2013_csv, tmp_path) -> FER2013:
    return FER2013(fer2013_csv(tmp_path / "fer2013"), "train")


@pytest.mark.parametrize("folders", [1, 7, 100])
def test_augmentations_are_files_of_the_specified_names_and_pixels(train, tmp_path, folders):
    made = make(tmp_path / "made", train, folder_batch_size=folders)
    expected = {f"{face % folders}/{face}_{k}.png" for face in range(40) for k in range(3)}
    assert set(contents(tmp_path / "made")) == expected | {"manifest.json"}
    for row in range(0, len(made.plan), 17):
        face, k = made.plan.faces[row], made.plan.ks[row]
        with Image.open(tmp_path / "made" / f"{face % folders}" / f"{face}_{k}.png") as image:
            assert (image.mode, image.size, image.format) == ("L", (48, 48), "PNG")
            assert np.array_equal(np.asarray(image), expected_image(train, made.plan, row))


def test_expansion_is_in_folders_of_the_new_label(train, tmp_path):
    made = make(tmp_path / "made", train, mode="expansion")
    plan = made.plan
    expected = {f"{label}/{face}.png" for face, label in zip(plan.faces, plan.ks, strict=True)}
    assert set(contents(tmp_path / "made")) == expected | {"manifest.json"}
    assert not any((tmp_path / "made" / f"{train.labels[face]}" / f"{face}.png").exists() for face in range(40))
    row = len(plan) // 2
    with Image.open(tmp_path / "made" / f"{plan.ks[row]}" / f"{plan.faces[row]}.png") as image:
        assert np.array_equal(np.asarray(image), expected_image(train, plan, row))


def test_the_manifest_says_what_was_made(train, tmp_path):
    make(tmp_path / "made", train, seed=4)
    manifest = json.loads((tmp_path / "made" / "manifest.json").read_text())
    labels = train.labels.numpy()
    assert manifest["mode"] == "augmentations" and manifest["generator"] == "tiny" and manifest["seed"] == 4
    assert manifest["half_width"] == 0.2 and manifest["faces"] == 40 and manifest["num_augments"] == 3
    assert manifest["images"] == 120 and manifest["complete"] is True
    assert list(manifest["images_per_emotion"].values()) == (3 * np.bincount(labels, minlength=7)).tolist()


def test_only_training_faces_reach_the_generator(fer2013_csv, tmp_path):
    folder = fer2013_csv(tmp_path / "fer2013")
    train = FER2013(folder, "train")
    ours = {face.numpy().tobytes() for face in train.faces}
    for mode in ("augmentations", "expansion"):
        editor = TinyEditor()
        make(tmp_path / mode, train, editor, mode=mode)
        assert {face.numpy().tobytes() for batch in editor.batches for face in batch} == ours
    for split in ("val", "test"):
        with pytest.raises(ValueError, match="only training faces"):
            make(tmp_path / split, FER2013(folder, split))
        assert not (tmp_path / split).exists()


def test_every_batch_has_the_same_size(train, tmp_path):
    editor = TinyEditor()
    make(tmp_path / "made", train, editor, batch_size=50)
    assert [len(batch) for batch in editor.batches] == [50, 50, 50]


def test_a_second_run_makes_what_is_missing_and_nothing_else(train, tmp_path):
    make(tmp_path / "made", train)
    whole = contents(tmp_path / "made")
    (tmp_path / "made" / "5" / "5_1.png").unlink()
    (tmp_path / "made" / "39" / "39_2.png").unlink()
    untouched = (tmp_path / "made" / "5" / "5_2.png").stat().st_mtime_ns
    editor = TinyEditor()
    made = make(tmp_path / "made", train, editor)
    assert contents(tmp_path / "made") == whole
    assert (made.generated, made.found, len(editor.batches)) == (2, 118, 2)
    assert (tmp_path / "made" / "5" / "5_2.png").stat().st_mtime_ns == untouched


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("mode", ["augmentations", "expansion"])
def test_interrupted_and_started_again_equals_unbroken(train, tmp_path, number, mode, capsys):
    make(tmp_path / "unbroken", train, mode=mode)

    def interrupt(batch: int) -> None:
        if batch == 4:
            os.kill(os.getpid(), number)

    with pytest.raises((KeyboardInterrupt, SystemExit)) as ended:
        make(tmp_path / "broken", train, TinyEditor(before=interrupt), mode=mode)
    message = str(ended.value) if number == signal.SIGINT else capsys.readouterr().err
    assert "64 of" in message and "start the same command again" in message
    if number == signal.SIGTERM:
        assert ended.value.code == 143
    partly = contents(tmp_path / "broken")
    assert len(partly) == 65 and json.loads(partly["manifest.json"])["complete"] is False
    make(tmp_path / "broken", train, mode=mode)
    assert contents(tmp_path / "broken") == contents(tmp_path / "unbroken")


SLOW_RUN = """
import sys, time
from pathlib import Path
sys.path[:0] = [{root!r}, {tests!r}]
from augmentation_stand_ins import TinyEditor, make
from core_code.datasets.fer2013 import FER2013
make(Path({folder!r}), FER2013(Path({data!r}), "train"), TinyEditor(before=lambda batch: time.sleep(0.1)))
"""


def test_killed_with_9_leaves_whole_files_and_no_lock_and_the_next_run_ends_like_an_unbroken_one(train, tmp_path):
    folder = tmp_path / "killed"
    script = SLOW_RUN.format(
        root=str(ROOT), tests=str(Path(__file__).parent), folder=str(folder), data=str(tmp_path / "fer2013")
    )
    process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 600
    while len(list(folder.glob("*/*.png"))) < 20 and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.005)
    with pytest.raises(InputError, match="another run is writing here"):
        make(folder, train)
    process.kill()
    process.wait()
    files = contents(folder)
    make(tmp_path / "unbroken", train)
    unbroken = contents(tmp_path / "unbroken")
    images = {name for name in files if name.endswith(".png")}
    assert 20 <= len(images) < 120
    assert all(files[name] == unbroken[name] for name in images)
    (folder / "3" / ".3_2.png.abcd0123.part").write_bytes(b"half")
    (folder / ".manifest.json.abcd0123.part").write_bytes(b"half")
    make(folder, train)
    assert contents(folder) == unbroken


def test_more_faces_and_more_augmentations_may_follow(train, tmp_path):
    make(tmp_path / "grown", train, faces=10, num_augments=2)
    first = contents(tmp_path / "grown")
    make(tmp_path / "grown", train, faces=40, num_augments=3)
    make(tmp_path / "at once", train)
    grown = contents(tmp_path / "grown")
    assert grown == contents(tmp_path / "at once")
    assert all(grown[name] == first[name] for name in first if name.endswith(".png"))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seed": 2}, "--seed 1, this run has 2"),
        ({"precision": "bf16"}, "--precision fp32, this run has bf16"),
        ({"folder_batch_size": 5}, "--folder_batch_size 100, this run has 5"),
        ({"batch_size": 8}, "--batch_size 16, this run has 8"),
        ({"num_augments": 2}, "--num_augments 3, this run has only 2"),
        ({"faces": 20}, "--max_faces 40, this run has only 20"),
        ({"mode": "expansion"}, "holds augmentations, not expansion"),
        ({"editor": TinyEditor("other")}, "generator tiny"),
    ],
)
def test_images_made_otherwise_are_never_mixed_in(train, tmp_path, change, named):
    make(tmp_path / "made", train)
    before = contents(tmp_path / "made")
    with pytest.raises(InputError) as error:
        make(tmp_path / "made", train, **change)
    assert named in str(error.value) and "another --dest_folder" in str(error.value)
    assert "manifest.json" in str(error.value) and "\n" not in str(error.value)
    assert contents(tmp_path / "made") == before


def test_images_of_other_faces_are_never_mixed_in(train, fer2013_csv, tmp_path):
    other = FER2013(fer2013_csv(tmp_path / "other", seed=9), "train")
    make(tmp_path / "made", train)
    with pytest.raises(InputError, match="of other faces"):
        make(tmp_path / "made", other)


def test_images_without_a_manifest_are_left_alone(train, tmp_path):
    make(tmp_path / "made", train)
    (tmp_path / "made" / "manifest.json").unlink()
    with pytest.raises(InputError, match=r"manifest\.json: no such file beside images"):
        make(tmp_path / "made", train)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 1}', '{"format": 2}'])
def test_a_damaged_manifest_is_an_error_of_one_line(train, tmp_path, text):
    make(tmp_path / "made", train)
    (tmp_path / "made" / "manifest.json").write_text(text)
    with pytest.raises(InputError, match=r"manifest\.json: [^\n]*$"):
        make(tmp_path / "made", train)


def test_a_destination_that_is_a_file_is_an_error(train, tmp_path):
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(InputError, match="taken: is a file, expected a folder"):
        make(tmp_path / "taken", train)
    assert (tmp_path / "taken").read_text() == "mine"


def test_a_full_disk_ends_the_run_with_one_line_and_whole_files(train, tmp_path, monkeypatch):
    make(tmp_path / "unbroken", train)
    atomic_write, left = augmentation_maker.atomic_write, iter(range(50))

    def fills_up(path, write, durable=True):
        if next(left, None) is None:
            raise InputError(f"{path}: cannot be written (No space left on device)")
        atomic_write(path, write, durable)

    monkeypatch.setattr(augmentation_maker, "atomic_write", fills_up)
    with pytest.raises(InputError, match=r"cannot be written \(No space left on device\)$"):
        make(tmp_path / "made", train)
    monkeypatch.undo()
    assert len(list((tmp_path / "made").glob("*/*.png"))) == 50
    make(tmp_path / "made", train)
    assert contents(tmp_path / "made") == contents(tmp_path / "unbroken")


def test_a_folder_in_use_is_refused_and_free_afterwards(train, tmp_path):
    with exclusive_lock(tmp_path / "made"), pytest.raises(InputError, match="another run is writing here"):
        make(tmp_path / "made", train)
    assert make(tmp_path / "made", train).generated == 120
