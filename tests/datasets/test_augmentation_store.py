"""Reading augmentations back: whatever lies there, once packed quickly, and never those of other faces."""

import os

import numpy as np
import pytest
import torch
from augmentation_stand_ins import contents, make
from PIL import Image

from core_code.core_utils.errors import InputError
from core_code.datasets.augmentations import png as png_images
from core_code.datasets.augmentations.pack import PACK_NAME
from core_code.datasets.augmentations.store import Augmentations, FER2013Exp
from core_code.datasets.fer2013 import FER2013


@pytest.fixture
def train(fer2013_csv, tmp_path) -> FER2013:
    return FER2013(fer2013_csv(tmp_path / "fer2013"), "train")


def pixels(path) -> np.ndarray:
    with Image.open(path) as image:
        return np.array(image)


@pytest.mark.parametrize("folders", [1, 7, 100])
def test_face_i_has_its_own_images_whatever_the_folders(train, tmp_path, folders):
    make(tmp_path / "made", train, folder_batch_size=folders)
    store = Augmentations.open(tmp_path / "made", train)
    assert len(store) == 40 and store.images.shape == (120, 48, 48) and store.images.dtype == torch.uint8
    for face in (0, 13, 39):
        images = store.images[store.first[face] : store.first[face + 1]]
        for k in range(3):
            assert np.array_equal(
                images[k].numpy(), pixels(tmp_path / "made" / f"{face % folders}" / f"{face}_{k}.png")
            )


def test_any_folder_will_do_and_missing_images_are_said_and_done_without(train, tmp_path, capsys):
    make(tmp_path / "made", train)
    (tmp_path / "made" / "3" / "3_0.png").rename(tmp_path / "made" / "39" / "3_0.png")
    for k in range(3):
        (tmp_path / "made" / "5" / f"5_{k}.png").unlink()
    (tmp_path / "made" / "7" / "notes.txt").write_text("not an image")
    store = Augmentations.open(tmp_path / "made", train)
    assert "made: 3 of 120 images are missing; generate them again with: " in capsys.readouterr().err
    counts = store.first.diff().tolist()
    assert counts == [0 if face == 5 else 3 for face in range(40)]
    assert np.array_equal(store.images[store.first[3]].numpy(), pixels(tmp_path / "made" / "39" / "3_0.png"))


def test_fewer_faces_made_or_fewer_trained_on(train, fer2013_csv, tmp_path):
    make(tmp_path / "made", train, faces=10)
    store = Augmentations.open(tmp_path / "made", train)
    assert store.first.diff().tolist() == [3] * 10 + [0] * 30
    make(tmp_path / "all", train)
    store = Augmentations.open(tmp_path / "all", FER2013(tmp_path / "fer2013", "train", max_faces=13))
    assert len(store) == 13 and len(store.images) == 39


def test_later_starts_read_the_packed_file_alone(train, tmp_path):
    make(tmp_path / "made", train)
    first = Augmentations.open(tmp_path / "made", train)
    for path in (tmp_path / "made").glob("*/*.png"):
        path.write_bytes(b"")  # the folders' times stay as they were
    again = Augmentations.open(tmp_path / "made", train)
    assert torch.equal(first.images, again.images) and torch.equal(first.first, again.first)


def test_the_packed_file_is_made_anew_when_images_change(train, tmp_path):
    make(tmp_path / "made", train, num_augments=2)
    Augmentations.open(tmp_path / "made", train)
    make(tmp_path / "made", train, num_augments=3)
    assert len(Augmentations.open(tmp_path / "made", train).images) == 120
    (tmp_path / "made" / "0" / "0_0.png").unlink()
    assert len(Augmentations.open(tmp_path / "made", train).images) == 119


@pytest.mark.parametrize("damage", ["truncated", "empty", "text", "flipped"])
def test_a_damaged_packed_file_is_made_anew(train, tmp_path, damage):
    make(tmp_path / "made", train)
    whole = Augmentations.open(tmp_path / "made", train).images.clone()
    path = tmp_path / "made" / PACK_NAME
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    damaged = {"truncated": content[:-1], "empty": b"", "text": b"hello" * 2000, "flipped": content}
    path.write_bytes(damaged[damage])
    assert torch.equal(Augmentations.open(tmp_path / "made", train).images, whole)
    assert torch.equal(Augmentations.open(tmp_path / "made", train).images, whole)


def damage_png(path, damage: str) -> None:
    content = bytearray(path.read_bytes())
    if damage == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "no end":
        path.write_bytes(content[:-6])
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "text":
        path.write_text("<html>not found</html>")
    elif damage == "flipped":
        content[len(content) // 2] ^= 16
        path.write_bytes(content)
    elif damage == "colour":
        Image.new("RGB", (48, 48)).save(path)
    elif damage == "palette":
        Image.new("P", (48, 48)).save(path)
    elif damage == "size":
        Image.new("L", (64, 48)).save(path)
    elif damage == "jpeg":
        Image.new("L", (48, 48)).save(path, "JPEG")
    elif damage == "folder":
        path.unlink()
        path.mkdir()
    elif damage == "pipe":
        path.unlink()
        os.mkfifo(path)


@pytest.mark.parametrize(
    "damage",
    ["truncated", "no end", "empty", "text", "flipped", "colour", "palette", "size", "jpeg", "folder", "pipe"],
)
def test_a_damaged_png_is_named_with_the_command_that_makes_it_again(train, tmp_path, damage):
    make(tmp_path / "made", train)
    path = tmp_path / "made" / "23" / "23_1.png"
    damage_png(path, damage)
    with pytest.raises(InputError) as error:
        Augmentations.open(tmp_path / "made", train)
    message = str(error.value)
    assert str(path) in message and "48x48 grey PNG" in message and "make again" in message and "\n" not in message
    assert not (tmp_path / "made" / PACK_NAME).exists() and not list((tmp_path / "made").glob(".*.part"))


def test_a_png_removed_and_made_again_mends_the_folder(train, tmp_path):
    make(tmp_path / "made", train)
    whole = contents(tmp_path / "made")
    damage_png(tmp_path / "made" / "23" / "23_1.png", "truncated")
    (tmp_path / "made" / "23" / "23_1.png").unlink()
    make(tmp_path / "made", train)
    assert contents(tmp_path / "made") == whole


def test_several_processes_read_the_same(train, tmp_path, monkeypatch):
    make(tmp_path / "made", train)
    alone = Augmentations.open(tmp_path / "made", train).images.clone()
    (tmp_path / "made" / PACK_NAME).unlink()
    monkeypatch.setattr(png_images, "CHUNK", 16)
    monkeypatch.setattr(png_images, "FEW", 0)
    monkeypatch.setattr(png_images, "cores", lambda: 3)
    assert torch.equal(Augmentations.open(tmp_path / "made", train).images, alone)
    (tmp_path / "made" / PACK_NAME).unlink()
    damage_png(tmp_path / "made" / "23" / "23_1.png", "flipped")
    with pytest.raises(InputError, match=r"23_1\.png: a damaged"):
        Augmentations.open(tmp_path / "made", train)


def test_a_missing_manifest_says_how_to_make_the_images(train, tmp_path):
    folder, data = tmp_path / "nowhere", tmp_path / "fer2013"
    hint = "no such file; generate the images first: python create_augmentations.py"
    with pytest.raises(InputError) as error:
        Augmentations.open(folder, train)
    assert str(error.value) == f"{folder}/manifest.json: {hint} --data_root {data} --dest_folder {folder}"
    for open_images, flags in (
        (Augmentations.open, ""),
        (lambda *both: FER2013Exp(*both[::-1]), " --expand_dataset True"),
    ):
        with pytest.raises(InputError) as error:
            open_images(folder, FER2013(data, "train", "sample"))
        assert str(error.value).endswith(f"{hint}{flags} --dataset sample --dest_folder {folder}")


def test_images_of_other_faces_are_refused(train, fer2013_csv, tmp_path):
    make(tmp_path / "made", train)
    other = FER2013(fer2013_csv(tmp_path / "other", seed=9), "train")
    with pytest.raises(InputError, match="are of other faces"):
        Augmentations.open(tmp_path / "made", other)
    cut = FER2013(tmp_path / "other", "train", max_faces=3)
    with pytest.raises(InputError, match="are of other faces"):
        Augmentations.open(tmp_path / "made", cut)
    with pytest.raises(InputError, match="are of other faces"):
        Augmentations.open(tmp_path / "made", FER2013(tmp_path / "fer2013", "val"))


def test_the_other_mode_and_unfinished_images_are_refused(train, tmp_path):
    make(tmp_path / "made", train, mode="expansion")
    with pytest.raises(InputError, match="holds expansion, expected augmentations"):
        Augmentations.open(tmp_path / "made", train)
    make(tmp_path / "half", train)
    path = tmp_path / "half" / "manifest.json"
    path.write_text(path.read_text().replace('"complete": true', '"complete": false'))
    with pytest.raises(InputError, match="not finished; go on with: make again"):
        Augmentations.open(tmp_path / "half", train)


def test_an_image_of_a_face_beyond_the_manifests_is_an_error(train, tmp_path):
    make(tmp_path / "made", train)
    Image.new("L", (48, 48)).save(tmp_path / "made" / "0" / "40_0.png")
    with pytest.raises(InputError, match="an image of face 40, expected faces below 40"):
        Augmentations.open(tmp_path / "made", train)


def random_store(counts: list[int]) -> Augmentations:
    """Images whose every pixel is their own number."""
    first = torch.tensor([0, *np.cumsum(counts)])
    return Augmentations(torch.arange(sum(counts), dtype=torch.uint8)[:, None, None].expand(-1, 48, 48), first)


@pytest.mark.parametrize("probability", [0.0, 0.3, 1.0])
def test_each_face_is_replaced_with_the_probability_by_one_of_its_own(probability):
    counts = [4, 0, 1, 3]
    store = random_store(counts)
    indices = torch.arange(4).repeat(5000)
    faces = torch.full((20000, 48, 48), 255, dtype=torch.uint8)
    result = store.replace(faces, indices, probability, torch.Generator().manual_seed(3))
    assert result.shape == faces.shape and result.dtype == torch.uint8 and bool((faces == 255).all())
    shown = result[:, 0, 0]
    assert torch.equal(result, shown[:, None, None].expand_as(result))
    for face, count in enumerate(counts):
        mine = shown[indices == face]
        expected = probability if count else 0.0
        assert abs((mine != 255).float().mean().item() - expected) <= 4 * (expected * (1 - expected) / 5000) ** 0.5
        for image in range(sum(counts[:face]), sum(counts[: face + 1])):
            share = (mine == image).float().mean().item()
            assert abs(share - probability / count) < 0.03
        assert set(mine.tolist()) <= {255, *range(sum(counts[:face]), sum(counts[: face + 1]))}


def test_replace_without_any_images_gives_the_faces_back():
    store = Augmentations(torch.empty(0, 48, 48, dtype=torch.uint8), torch.zeros(4, dtype=torch.int64))
    faces = torch.full((3, 48, 48), 7, dtype=torch.uint8)
    assert torch.equal(store.replace(faces, torch.arange(3), 1.0, torch.Generator()), faces)
