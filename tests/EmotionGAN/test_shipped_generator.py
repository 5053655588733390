"""The generators that ship: they load, are small, and make seven different faces that are still the same person."""

import pytest
import torch

from core_code.datasets.fer2013 import FER2013
from EmotionGAN.editor import DEFAULT_GENERATOR, WEIGHTS_FILE, Editor
from EmotionGAN.measure.quality import mean_change

FOLDERS = {"gaussian": DEFAULT_GENERATOR, "linear": DEFAULT_GENERATOR.with_name("fer2013_linear_48")}


@pytest.fixture(scope="module", params=FOLDERS)
def parametrisation(request):
    return request.param


@pytest.fixture(scope="module")
def editor(parametrisation):
    return Editor.load(FOLDERS[parametrisation], torch.device("cpu"))


def test_they_load_and_are_small_enough_for_git(editor, parametrisation):
    assert editor.image_size == 48 and editor.generator.config.parametrisation == parametrisation
    assert editor.face_encoder is not None
    assert (FOLDERS[parametrisation] / WEIGHTS_FILE).stat().st_size < 20e6
    assert (FOLDERS[parametrisation] / "README.md").is_file()


def test_the_gaussian_one_is_the_default():
    assert Editor.load(None, torch.device("cpu")).name == FOLDERS["gaussian"].name


def test_emotions_lie_apart_and_their_edits_differ_while_the_face_stays(editor):
    assert torch.pdist(editor.space.centres).min() > 0.4
    faces = FER2013(split="val", dataset="sample", max_faces=12).faces
    edits = [editor.edit(faces, centre.expand(12, 2)) for centre in editor.space.centres]
    for i, edit in enumerate(edits):
        assert mean_change(faces, edit) < 0.12
        assert all(mean_change(edit, other) > 0.01 for other in edits[:i])


def test_six_augmentations_of_a_face_are_six_visibly_different_faces(editor):
    """At least three grey levels in the mean, of 255; in version 0.1 they were two apart."""
    data = FER2013(split="val", dataset="sample", max_faces=24)
    uniforms = torch.rand(6, 24, 2, generator=torch.Generator().manual_seed(0))
    faces = [editor.edit(data.faces, editor.space.codes(data.labels, each, 0.2)) for each in uniforms]
    apart = [mean_change(faces[i], faces[j]) * 255 for i in range(6) for j in range(i)]
    assert sum(apart) / len(apart) > 3
    assert min(apart) > 1
