"""What the pictures of an evaluation show, and where."""

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from small_faces import smooth_faces

from core_code.core_utils.emotions import EMOTIONS
from core_code.core_utils.metrics.scores import Reliability, reliability
from core_code.core_utils.plots import evaluation as evaluation_plots
from core_code.core_utils.plots.palette import EMOTION_COLOURS


def test_reliability_shows_accuracy_and_share_of_faces_of_each_bin(tmp_path, saved_figures, small_pictures):
    val = Reliability([0, 2, 8], [0, 0.5, 0.9], [0, 0.75, 0.6])
    test = reliability(torch.eye(7), torch.arange(7), bins=3)
    evaluation_plots.plot_reliability({"val": val, "test": test}, tmp_path / "r.png", "title")
    accuracy, _, counts, _ = saved_figures[0].axes
    bars = [(bar.get_x() + bar.get_width() / 2, bar.get_y(), bar.get_height()) for bar in accuracy.patches]
    assert np.allclose(bars, [(0.5, 0, 0.75), (5 / 6, 0, 0.6)])
    (marks,) = accuracy.collections
    assert np.allclose([line.mean(axis=0) for line in marks.get_segments()], [(0.5, 0.5), (5 / 6, 0.9)])
    assert [bar.get_height() for bar in counts.patches] == pytest.approx([0, 0.2, 0.8])
    assert "10 faces, calibration error 29.00 %" in accuracy.get_title(loc="left")


def test_a_map_has_a_point_for_each_face_in_the_colour_of_its_emotion(tmp_path, saved_figures, small_pictures):
    points, labels = np.random.default_rng(0).normal(size=(9, 2)), np.array([0, 1, 2, 3, 4, 5, 6, 6, 0])
    evaluation_plots.plot_map(points, labels, EMOTIONS, tmp_path / "m.png", "title")
    (axes,) = saved_figures[0].axes
    (dots,) = axes.collections
    assert np.allclose(dots.get_offsets(), points)
    assert [to_hex(colour).upper() for colour in dots.get_facecolors()] == [EMOTION_COLOURS[i].upper() for i in labels]
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert [text.split()[0] for text in legend] == list(EMOTIONS) and legend[0] == "Angry (2)"


def test_the_sheet_names_label_prediction_and_confidence_of_each_face(tmp_path, saved_figures, small_pictures):
    faces = smooth_faces(9)
    labels, predictions = np.arange(9) % 7, (np.arange(9) + 3) % 7
    evaluation_plots.plot_most_wrong(
        faces, labels, predictions, np.linspace(0.99, 0.5, 9), EMOTIONS, tmp_path / "w.png", "title"
    )
    used = [axes for axes in saved_figures[0].axes if axes.images]
    assert len(used) == 9
    for axes, face, label, predicted in zip(used, faces, labels, predictions, strict=True):
        assert (axes.images[0].get_array() == face).all()
        assert axes.get_title() == EMOTIONS[label] and axes.texts[0].get_text().split()[0] == EMOTIONS[predicted]
    assert used[0].texts[0].get_text() == "Happy 99 %"


def test_a_net_without_errors_has_a_sheet_that_says_so(tmp_path, saved_figures, small_pictures):
    none = np.zeros(0, dtype=int)
    path = evaluation_plots.plot_most_wrong(
        np.zeros((0, 48, 48), np.uint8), none, none, none.astype(float), EMOTIONS, tmp_path / "w.png", "title"
    )
    assert path.stat().st_size and "no errors" in [text.get_text() for text in saved_figures[0].texts]
