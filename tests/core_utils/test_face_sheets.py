"""Sheets of faces and the picture of label counts."""

import numpy as np
import pytest
from PIL import Image

from core_code.core_utils.plots.distribution import distribution_table, plot_distribution
from core_code.core_utils.plots.face_sheets import face_sheet, place
from core_code.core_utils.plots.palette import EMOTION_COLOURS


def test_faces_stand_in_their_rows_and_columns():
    one, two = np.full((4, 5), 10, np.uint8), np.full((4, 5), 200, np.uint8)
    canvas, height, width = place([[one, None], [None, two]])
    assert (height, width) == (4, 5)
    dark, light = np.argwhere(canvas == 10), np.argwhere(canvas == 200)
    assert len(dark) == len(light) == 20 and (canvas == 255).sum() == canvas.size - 40
    assert dark.min(axis=0).tolist() == [0, 0] and (light.min(axis=0) > dark.max(axis=0)).all()
    assert light.max(axis=0).tolist() == [canvas.shape[0] - 1, canvas.shape[1] - 1]


def test_a_sheet_is_a_picture(tmp_path):
    faces = [np.full((48, 48), 30 * i, np.uint8) for i in range(6)]
    path = face_sheet(tmp_path / "new" / "sheet.png", [faces[:3], faces[3:]], ["a", "b"], ["x", "y", "z"], "title")
    with Image.open(path) as image:
        assert image.width > image.height > 200


def test_titles_must_fit_and_faces_be_of_one_size(tmp_path):
    face = np.zeros((4, 4), np.uint8)
    with pytest.raises(ValueError, match="one title"):
        face_sheet(tmp_path / "sheet.png", [[face]], ["a"], ["x", "y"])
    with pytest.raises(ValueError, match="one size"):
        face_sheet(tmp_path / "sheet.png", [[face, face[:3]]], ["a"], ["x", "y"])
    assert not list(tmp_path.iterdir())


def test_a_distribution_as_text_and_picture(tmp_path):
    table = distribution_table(["Happy", "Sad"], [3000, 1000], [3500, 3500])
    assert table.to_numpy().tolist() == [
        ["Happy", 3000, 75.0, 3500, 50.0], ["Sad", 1000, 25.0, 3500, 50.0], ["all", 4000, 100.0, 7000, 100.0]
    ]  # fmt: skip
    names = [str(i) for i in range(7)]
    path = plot_distribution(tmp_path / "plot.png", "sample", names, [5, 6, 7, 8, 9, 10, 11])
    with Image.open(path) as image:
        pixels = {tuple(pixel) for pixel in np.asarray(image.convert("RGB")).reshape(-1, 3)}
    assert {tuple(bytes.fromhex(colour[1:])) for colour in EMOTION_COLOURS} <= pixels


def test_the_bars_have_counts_and_percentages_before_and_after_side_by_side(tmp_path, saved_figures):
    before, after = [10, 10, 20, 60, 0, 0, 0], [50, 50, 50, 60, 40, 0, 0]
    plot_distribution(tmp_path / "plot.png", "sample", list("abcdefg"), before, after)
    axes = saved_figures[0].axes[0]
    assert [bar.get_height() for bar in axes.patches] == before + after
    assert [text.get_text() for text in axes.texts][3:7] == ["60\n60.0%", "0\n0.0%", "0\n0.0%", "0\n0.0%"]
    assert [text.get_text() for text in axes.texts][7] == "50\n20.0%"
    pairs = zip(axes.patches[:7], axes.patches[7:], strict=True)
    assert all(0 < one.get_x() + one.get_width() - other.get_x() + 0.05 < 0.1 for one, other in pairs)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "before expansion: 100",
        "after expansion: 250",
    ]
