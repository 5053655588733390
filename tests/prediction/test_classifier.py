"""`from core_code import Classifier`: pictures in every form, tables and arrays out."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_faces import smooth_faces
from torch.utils.flop_counter import FlopCounterMode

import core_code
from core_code import Classifier
from core_code.core_utils.checkpoints import CheckpointFiles
from core_code.core_utils.emotions import EMOTIONS
from core_code.core_utils.errors import InputError
from core_code.core_utils.transforms import evaluation_view
from core_code.models.emotion_net import EmotionNet
from core_code.prediction import classifier as module

FACES = smooth_faces(4)


def closed() -> Image.Image:
    """A PIL image whose pixels are gone."""
    image = Image.new("L", (4, 4))
    image.close()
    return image


@pytest.fixture
def trained(tmp_path, small) -> tuple[Path, np.ndarray]:
    """A checkpoint at 32 pixels, and its probabilities of FACES worked out here."""
    torch.manual_seed(0)
    net = EmotionNet(small).eval()
    torch.nn.init.normal_(net.head.weight, std=5)
    rest = {key: None for key in ("optimizer", "scheduler", "loss", "seed", "history")}
    state = {**rest, "net": net.state_dict(), "epoch": 1, "settings": {"image_size": 32}}
    path = CheckpointFiles(tmp_path, small, "A").save("best_validation", state)
    with torch.no_grad():
        return path, net(evaluation_view(torch.from_numpy(FACES), 32)).double().softmax(1).numpy()


def test_arrays_tensors_pil_images_and_paths_give_the_same(trained, tmp_path):
    path, expected = trained
    classifier = Classifier.load(str(path), device="cpu", precision="fp32")
    files = [tmp_path / f"{k}.png" for k in range(4)]
    for file, face in zip(files, FACES, strict=True):
        Image.fromarray(face).save(file)
    forms = [FACES, torch.from_numpy(FACES), list(FACES), [Image.fromarray(face) for face in FACES], files,
             [str(files[0]), FACES[1], torch.from_numpy(FACES[2]), Image.open(files[3])]]  # fmt: skip
    for faces in forms:
        np.testing.assert_allclose(classifier.probabilities(faces), expected, atol=1e-5)
    np.testing.assert_allclose(classifier.probabilities(FACES[0]), expected[:1], atol=1e-5)
    colour = np.repeat(FACES[..., None], 3, axis=-1)
    np.testing.assert_allclose(classifier.probabilities(colour), expected, atol=1e-5)


def test_a_table_with_a_row_a_face(trained, tmp_path):
    path, expected = trained
    Image.fromarray(FACES[0]).save(tmp_path / "a.png")
    table = Classifier.load(path, device="cpu", precision="fp32").predict([tmp_path / "a.png", FACES[1]], False)
    assert table.picture.tolist() == [str(tmp_path / "a.png"), 1]
    assert table.emotion.tolist() == [EMOTIONS[k] for k in expected[:2].argmax(1)]
    np.testing.assert_allclose(table.confidence, expected[:2].max(1), atol=1e-5)
    np.testing.assert_allclose(table[list(EMOTIONS)], expected[:2], atol=1e-5)
    assert table[["left", "top", "right", "bottom"]].to_numpy().tolist() == [[0, 0, 48, 48]] * 2


def test_faces_are_found_and_pictures_without_one_keep_their_row(trained, monkeypatch):
    pytest.importorskip("dlib")
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "EmotionGAN")
    import scenes

    pictures = np.stack([scenes.background(), scenes.scene(((480, 250), (160, 230)))])
    table = Classifier.load(trained[0], device="cpu").predict(pictures)
    assert table.picture.tolist() == [0, 1, 1] and table.face.tolist()[1:] == [1, 2]
    assert table.loc[0, ["face", "left", "emotion", "confidence", "Happy"]].isna().all()
    assert table.left[1] < 160 < table.right[1] and table.left[2] < 480 < table.right[2]
    assert table[list(EMOTIONS)].iloc[1:].sum(axis=1).to_numpy() == pytest.approx(1)


def test_several_checkpoints_vote(trained):
    path, expected = trained
    twice = Classifier.load([path, path], device=torch.device("cpu"), precision="fp32")
    np.testing.assert_allclose(twice.probabilities(FACES), expected, atol=1e-5)


@pytest.mark.parametrize(
    "pictures, message",
    [(FACES.astype(np.float32), "an array of float32, expected an array or tensor of uint8"), ([], "no pictures were"),
     (np.zeros((2, 2, 2, 2, 2), np.uint8), r"an array \[2, 2, 2, 2\], expected"), ([3], "picture 0: int, expected"),
     ("missing.png", "missing.png: no such picture"), (None, "picture 0: NoneType, expected"),
     (np.array(3, np.uint8), r"an array \[\], expected \[H,W\]"), (np.zeros(5, np.uint8), r"an array \[5\], expected"),
     (torch.zeros(4, 4, dtype=torch.bfloat16), "an array of torch.bfloat16, expected"),
     ([Image.new("RGB", (0, 5))], "picture 0: not a readable picture"),
     (closed(), "picture 0: not a readable picture")],
)  # fmt: skip
def test_what_is_no_picture(trained, pictures, message):
    with pytest.raises(InputError, match=message):
        Classifier.load(trained[0], device="cpu").predict(pictures, find_faces=False)


def test_arrays_of_unusual_kinds_are_what_they_hold(trained):
    path, expected = trained
    kinds = [np.matrix(FACES[0]), np.ma.masked_array(FACES[0], FACES[0] > 9), np.asfortranarray(FACES[0]),
             torch.from_numpy(FACES[0]).to_sparse()]  # fmt: skip
    for face in kinds:
        probabilities = Classifier.load(path, device="cpu", precision="fp32").probabilities(face)
        np.testing.assert_allclose(probabilities, expected[:1], atol=1e-5)


@pytest.mark.parametrize(
    "settings, message",
    [({"tta": "twice"}, "tta 'twice', expected one of none, flip, ten_crop"),
     ({"precision": "fp8"}, "--precision fp8: expected auto, bf16, fp32"),
     *(({"image_size": side}, "image_size .*, expected a whole number from 1") for side in (0, -1, 1.5, "big", 5000))],
)  # fmt: skip
def test_settings_that_no_classifier_can_have(trained, settings, message):
    with pytest.raises(InputError, match=message):
        Classifier.load(trained[0], **{"device": "cpu"} | settings)


def test_a_prediction_costs_one_pass_of_the_net(trained):
    classifier = Classifier.load(trained[0], device="cpu", precision="fp32")
    with FlopCounterMode(display=False) as predicting:
        classifier.probabilities_of(torch.from_numpy(FACES[:1]))
    with FlopCounterMode(display=False) as one_pass, torch.no_grad():
        classifier.nets[0].net(evaluation_view(torch.from_numpy(FACES[:1]), 32))
    assert predicting.get_total_flops() == one_pass.get_total_flops() > 0


def test_faces_of_floats_are_not_taken_for_black(trained):
    with pytest.raises(InputError, match=r"faces of torch\.float32, expected torch\.uint8"):
        Classifier.load(trained[0], device="cpu").probabilities_of(torch.rand(2, 48, 48))


def test_a_missing_checkpoint_is_named():
    with pytest.raises(InputError, match=r"missing\.pth: no such checkpoint"):
        Classifier.load("missing.pth")


def test_importing_the_package_alone_does_not_import_torch():
    code = "import core_code, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], timeout=60).returncode == 0
    assert core_code.Classifier is module.Classifier
    with pytest.raises(AttributeError, match="no attribute 'Painter'"):
        _ = core_code.Painter
