"""The generator that ships: it loads, is small, and makes seven different faces that are still the same person."""

import torch

from core_code.datasets.fer2013 import FER2013
from EmotionGAN.editor import DEFAULT_GENERATOR, WEIGHTS_FILE, Editor
from EmotionGAN.measure.metrics import mean_change


def test_it_loads_by_default_and_is_small_enough_for_git():
    editor = Editor.load(None, torch.device("cpu"))
    assert editor.image_size == 48 and editor.generator.config.parametrisation == "gaussian"
    assert (DEFAULT_GENERATOR / WEIGHTS_FILE).stat().st_size < 20e6
    assert (DEFAULT_GENERATOR / "README.md").is_file()


def test_emotions_lie_apart_and_their_edits_differ_while_the_face_stays():
    editor = Editor.load(None, torch.device("cpu"))
    assert torch.pdist(editor.space.centres).min() > 0.4
    faces = FER2013(phase="val", dataset="sample", max_faces=12).faces
    edits = [editor.edit(faces, centre.expand(12, 2)) for centre in editor.space.centres]
    for i, edit in enumerate(edits):
        assert mean_change(faces, edit) < 0.12
        assert all(mean_change(edit, other) > 0.01 for other in edits[:i])
