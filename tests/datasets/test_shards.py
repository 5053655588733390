"""Images in tar files: the same images as single PNGs, whole shards or none, and damage that is named."""

import io
import json
import os
import signal
import tarfile

import numpy as np
import pytest
import torch
from augmentation_stand_ins import TinyEditor, contents, expected_image, make
from PIL import Image

from core_code.core_utils.errors import InputError
from core_code.datasets.augmentations import png as png_images
from core_code.datasets.augmentations import shards as image_shards
from core_code.datasets.augmentations.pack import PACK_NAME
from core_code.datasets.augmentations.store import Augmentations, FER2013Exp
from core_code.datasets.fer2013 import FER2013


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    """Of 32 images: two batches."""
    monkeypatch.setattr(image_shards, "SHARD_IMAGES", 40)


@pytest.fixture
def train(fer2013_csv, tmp_path) -> FER2013:
    return FER2013(fer2013_csv(tmp_path / "fer2013"), "train")


def test_shards_are_tars_of_pngs_with_nothing_but_names_and_pixels(train, tmp_path):
    made = make(tmp_path / "made", train, storage="shards")
    shards = sorted((tmp_path / "made").glob("*.tar"))
    assert [path.name for path in shards] == [f"shard_0000{number}.tar" for number in range(4)]
    row = 0
    for path, count in zip(shards, (32, 32, 32, 24), strict=True):
        with tarfile.open(path) as tar:
            members = tar.getmembers()
            assert len(members) == count
            for member in members:
                assert member.name == f"{made.plan.faces[row]}_{made.plan.ks[row]}.png"
                assert (member.mtime, member.uid, member.gid, member.uname, member.mode) == (0, 0, 0, "", 0o644)
                with Image.open(io.BytesIO(tar.extractfile(member).read())) as image:
                    assert np.array_equal(np.asarray(image), expected_image(train, made.plan, row))
                row += 1
    assert row == 120 and not list((tmp_path / "made").glob("*/*.png"))
    assert json.loads((tmp_path / "made" / "manifest.json").read_text())["storage"] == "shards"


def test_members_of_an_expansion_lie_under_their_label(train, tmp_path):
    plan = make(tmp_path / "made", train, mode="expansion", storage="shards").plan
    names = []
    for path in sorted((tmp_path / "made").glob("*.tar")):
        with tarfile.open(path) as tar:
            names += tar.getnames()
    assert names == [f"{label}/{face}.png" for face, label in zip(plan.faces, plan.ks, strict=True)]


def test_augmentations_are_read_alike_from_either_format(train, tmp_path):
    for storage in ("png", "shards"):
        make(tmp_path / storage, train, storage=storage)
    for _ in range(2):  # from the images, and from the packed file
        single, sharded = (Augmentations.open(tmp_path / storage, train) for storage in ("png", "shards"))
        assert torch.equal(single.images, sharded.images) and torch.equal(single.first, sharded.first)
    assert (tmp_path / "shards" / PACK_NAME).exists()


def test_an_expansion_is_read_alike_from_either_format(train, tmp_path):
    for storage in ("png", "shards"):
        make(tmp_path / storage, train, mode="expansion", storage=storage)
    single, sharded = (FER2013Exp(train, tmp_path / storage) for storage in ("png", "shards"))
    assert torch.equal(single.faces, sharded.faces) and torch.equal(single.labels, sharded.labels)


def test_several_processes_read_the_same(train, tmp_path, monkeypatch):
    make(tmp_path / "made", train, storage="shards")
    alone = Augmentations.open(tmp_path / "made", train).images.clone()
    (tmp_path / "made" / PACK_NAME).unlink()
    monkeypatch.setattr(png_images, "FEW", 0)
    monkeypatch.setattr(png_images, "cores", lambda: 2)
    assert torch.equal(Augmentations.open(tmp_path / "made", train).images, alone)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_and_started_again_equals_unbroken_shard_by_shard(train, tmp_path, number):
    make(tmp_path / "unbroken", train, storage="shards")

    def interrupt(batch: int) -> None:
        if batch == 5:
            os.kill(os.getpid(), number)

    with pytest.raises((KeyboardInterrupt, SystemExit)):
        make(tmp_path / "broken", train, TinyEditor(before=interrupt), storage="shards")
    partly, unbroken = contents(tmp_path / "broken"), contents(tmp_path / "unbroken")
    assert sorted(partly) == ["manifest.json", "shard_00000.tar", "shard_00001.tar"]
    assert partly["shard_00001.tar"] == unbroken["shard_00001.tar"]
    editor = TinyEditor()
    make(tmp_path / "broken", train, editor, storage="shards")
    assert contents(tmp_path / "broken") == unbroken and len(editor.batches) == 4


def test_more_faces_may_follow_and_make_the_last_shard_anew(train, tmp_path):
    make(tmp_path / "grown", train, faces=25, storage="shards")
    editor = TinyEditor()
    make(tmp_path / "grown", train, editor, storage="shards")
    make(tmp_path / "at once", train, storage="shards")
    assert contents(tmp_path / "grown") == contents(tmp_path / "at once") and len(editor.batches) == 4


def test_formats_and_numbers_of_augmentations_are_never_mixed(train, tmp_path):
    make(tmp_path / "made", train, storage="shards")
    with pytest.raises(InputError, match="generated with --format shards, this run has png"):
        make(tmp_path / "made", train)
    with pytest.raises(InputError, match="generated with --num_augments 3, this run has 4"):
        make(tmp_path / "made", train, storage="shards", num_augments=4)
    make(tmp_path / "single", train)
    with pytest.raises(InputError, match="generated with --format png, this run has shards"):
        make(tmp_path / "single", train, storage="shards")


def test_a_missing_shard_is_done_without_and_made_again(train, tmp_path):
    make(tmp_path / "made", train, storage="shards")
    whole = contents(tmp_path / "made")
    (tmp_path / "made" / "shard_00001.tar").unlink()
    assert len(Augmentations.open(tmp_path / "made", train).images) == 88
    (tmp_path / "made" / PACK_NAME).unlink()
    make(tmp_path / "made", train, storage="shards")
    assert contents(tmp_path / "made") == whole


def header_at(content: bytearray, number: int) -> int:
    """Where the header of a shard's n-th image begins: each is a block of header and five of PNG."""
    return number * 6 * 512


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda content: content[: header_at(content, 7)], r"shard_00002\.tar: a damaged or truncated tar"),
        (lambda content: content[: header_at(content, 7) + 900], r"shard_00002\.tar: a truncated tar"),
        (lambda content: b"", r"shard_00002\.tar: a damaged or truncated tar"),
        (lambda content: b"<html>not found</html>" * 100, r"shard_00002\.tar: a damaged or truncated tar"),
        (lambda content: flipped(content, header_at(content, 5) + 2), r"shard_00002\.tar: a damaged or truncated tar"),
        (lambda content: flipped(content, 2), r"shard_00002\.tar: a damaged or truncated tar"),
        (lambda content: flipped(content, header_at(content, 5) + 900), r"shard_00002\.tar/23_0\.png: a damaged"),
    ],
    ids=["cut between images", "cut in an image", "empty", "text", "header", "first header", "pixels"],
)
def test_damage_is_named_with_the_command_that_makes_the_shard_again(train, tmp_path, damage, named):
    make(tmp_path / "made", train, storage="shards")
    path = tmp_path / "made" / "shard_00002.tar"
    whole = contents(tmp_path / "made")
    path.write_bytes(damage(bytearray(path.read_bytes())))
    with pytest.raises(InputError, match=named) as error:
        Augmentations.open(tmp_path / "made", train)
    message = str(error.value)
    assert "remove" in message and "make again" in message and "\n" not in message
    assert not (tmp_path / "made" / PACK_NAME).exists()
    path.unlink()
    make(tmp_path / "made", train, storage="shards")
    assert contents(tmp_path / "made") == whole


def test_a_pipe_in_place_of_a_shard_is_not_waited_for(train, tmp_path):
    make(tmp_path / "made", train, storage="shards")
    path = tmp_path / "made" / "shard_00002.tar"
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(
        InputError, match=r"shard_00002\.tar: a device or a pipe; remove it, and generate it again with"
    ):
        Augmentations.open(tmp_path / "made", train)


def flipped(content: bytearray, place: int) -> bytes:
    content[place] ^= 4
    return bytes(content)


def test_a_full_disk_leaves_whole_shards_alone(train, tmp_path, monkeypatch):
    atomic_write, left = image_shards.atomic_write, iter(range(2))

    def fills_up(path, write):
        if next(left, None) is None:
            raise InputError(f"{path}: cannot be written (No space left on device)")
        atomic_write(path, write)

    monkeypatch.setattr(image_shards, "atomic_write", fills_up)
    with pytest.raises(InputError, match=r"shard_00002\.tar: cannot be written"):
        make(tmp_path / "made", train, storage="shards")
    assert sorted(contents(tmp_path / "made")) == ["manifest.json", "shard_00000.tar", "shard_00001.tar"]
