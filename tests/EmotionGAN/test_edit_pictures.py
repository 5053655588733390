"""`Editor.edit_pictures`: pictures in every form, to emotions and codes."""

import numpy as np
import pytest
import torch
from PIL import Image
from scenes import background, scene

from core_code.core_utils.errors import InputError
from core_code.datasets.fer2013 import FER2013
from EmotionGAN import EMOTIONS, Editor


@pytest.fixture(scope="module")
def editor() -> Editor:
    return Editor.load(device="cpu")


@pytest.fixture(scope="module")
def faces() -> torch.Tensor:
    return FER2013(split="val", dataset="sample").faces[:3]


def test_cut_out_faces_in_every_form_are_what_the_generator_outputs(editor, faces, tmp_path):
    centres = editor.space.centres
    happy = editor.edit(faces, centres[EMOTIONS.index("Happy")].expand(3, 2)).numpy().astype(int)
    Image.fromarray(faces[2].numpy()).save(tmp_path / "face.png")
    for given in (faces, faces.numpy(), [faces[0], Image.fromarray(faces[1].numpy()), tmp_path / "face.png"]):
        edited = editor.edit_pictures(given, "happy")
        assert isinstance(edited, list) == isinstance(given, list)
        assert np.abs(np.stack(edited).astype(int) - happy).max() <= 1
    assert editor.edit_pictures(faces[0], "Happy").shape == (48, 48)
    each = editor.edit_pictures(faces, ["Sad", (0.1, -0.2), "Angry"])
    codes = torch.stack([centres[4], torch.tensor([0.1, -0.2]), centres[0]])
    assert np.abs(each.astype(int) - editor.edit(faces, codes).numpy()).max() <= 1
    assert (editor.edit_pictures(faces, "Happy", strength=0) == faces.numpy()).all()


def test_faces_in_photographs_are_found_and_all_else_stays(editor):
    pytest.importorskip("dlib")
    photograph = scene(((480, 250), (160, 230)))
    edited = editor.edit_pictures([photograph, Image.fromarray(photograph)], "Surprise", find_faces=True)
    assert (edited[0] == edited[1]).all() and edited[0].shape == photograph.shape
    change = np.abs(edited[0].astype(int) - photograph).sum(2)
    assert change[200:260, 130:190].mean() > 2 and change[220:280, 450:510].mean() > 2
    assert not change[:100].any() and not change[-40:].any()
    with pytest.raises(InputError, match="picture 1: no face found"):
        editor.edit_pictures([photograph, background()], "Happy", find_faces=True)


@pytest.mark.parametrize(
    "to, message",
    [("Bored", "'Bored': no emotion, expected one of Angry"), ((0.2, 3), "no code, expected two numbers from -1 to 1"),
     (["Happy"], "1 emotions or codes for 3 pictures"), (None, "None: no code"), (5, "5: no code"),
     ([(0.1, "a"), None, [[]]], r"\(0.1, 'a'\): no code"), ((float("nan"), 0), "no code")],
)  # fmt: skip
def test_targets_that_are_none(editor, faces, to, message):
    with pytest.raises(InputError, match=message):
        editor.edit_pictures(faces, to)


def test_codes_of_any_numbers(editor, faces):
    expected = editor.edit_pictures(faces, (0.5, -0.25))
    for code in (np.array([0.5, -0.25], np.float32), torch.tensor([0.5, -0.25]), (np.float32(0.5), np.float64(-0.25)),
                 torch.tensor([[0.5, -0.25]] * 3)):  # fmt: skip
        assert (editor.edit_pictures(faces, code) == expected).all()


@pytest.mark.parametrize("strength", [float("nan"), float("inf"), 1e39, -1])
def test_a_strength_that_is_none(editor, faces, strength):
    with pytest.raises(InputError, match=r"strength .*, expected a number from 0 to 100"):
        editor.edit_pictures(faces, "Happy", strength=strength)


def test_faces_of_floats_are_not_taken_for_black(editor):
    for edit in (editor.edit, editor.edit_all):
        with pytest.raises(InputError, match=r"faces of torch\.float32, expected torch\.uint8"):
            edit(torch.rand(2, 48, 48), torch.zeros(2, 2))
