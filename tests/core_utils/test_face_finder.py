"""Finding faces: in scenes whose faces' places are known, and what is said where there is none or no dlib."""

import sys

import numpy as np
import pytest
from PIL import Image
from scenes import background, sample_face, scene

from core_code.core_utils.errors import InputError
from core_code.core_utils.photos.face_finder import FRONTAL, Box, crop_box, detect, find_faces
from core_code.datasets.measure_framing import main, measure_framing


def test_faces_are_found_where_they_are_from_left_to_right():
    pytest.importorskip("dlib")
    places = [(530, 190), (130, 150), (330, 280)]
    boxes = find_faces(scene(places))
    assert len(boxes) == 3
    for box, (x, y) in zip(boxes, sorted(places), strict=True):
        assert np.hypot(box.centre[0] - x, box.centre[1] - y) < 40
        assert 192 / 1.7 < box.width < 192 and abs(box.width - box.height) <= 1


def test_grey_and_colour_pictures_are_searched_alike():
    pytest.importorskip("dlib")
    picture = scene()
    grey = np.array(Image.fromarray(picture).convert("L"))
    (colour_box,), (grey_box,) = find_faces(picture), find_faces(grey)
    assert abs(colour_box.left - grey_box.left) < 20 and abs(colour_box.width - grey_box.width) < 40


def test_a_face_as_small_as_fer2013s_is_found_by_enlarging_it():
    pytest.importorskip("dlib")
    (box,) = find_faces(sample_face(5))
    assert 28 < box.width < 50
    assert np.hypot(box.centre[0] - 24, box.centre[1] - 24) < 8


def test_no_face_is_one_line_that_says_what_to_do():
    pytest.importorskip("dlib")
    with pytest.raises(InputError, match=r"^empty.jpg: no face found; take a picture .*--face_detector none.*$"):
        find_faces(background(), "empty.jpg")


def test_without_dlib_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "dlib", None)
    with pytest.raises(InputError, match="pip install dlib-bin"):
        find_faces(background())


def test_crops_are_squares_of_the_framing():
    box = Box(100, 200, 200, 300)
    assert crop_box(box, "dlib") == box
    assert crop_box(Box(10, 20, 41, 50), "dlib").width == crop_box(Box(10, 20, 41, 50), "dlib").height
    wide = crop_box(box, "fer2013")  # 122 pixels about (150, 250 - 7.7)
    assert (wide.width, wide.height) == (122, 122)
    assert wide.centre[0] == 150 and abs(wide.centre[1] - 242.3) <= 0.5
    assert crop_box(Box(-30, -40, 50, 40), "fer2013").left < -30  # over the border, as it is
    with pytest.raises(ValueError, match="expected dlib or fer2013"):
        crop_box(box, "passport")


def test_the_framing_is_measured_on_frontal_boxes_alone(monkeypatch):
    """A detector with known boxes: half as wide as the picture and a tenth of that below its middle."""
    answers = {
        "one": lambda side: [(Box(side // 4, round(0.3 * side), side * 3 // 4, round(0.8 * side)), FRONTAL)],
        "turned": lambda side: [(Box(0, 0, side, side), 1)],
        "two": lambda side: [(Box(0, 0, side, side), FRONTAL)] * 2,
        "none": lambda side: [],
    }
    names = list(answers)
    monkeypatch.setattr(
        "core_code.datasets.measure_framing.detect",
        lambda picture: answers[names[picture[0, 0] // 10]](len(picture)),
    )
    faces = np.stack([np.full((48, 48), 10 * number, dtype=np.uint8) for number in range(4)])
    rows, seen = measure_framing(faces)
    assert len(rows) == 5 and seen == 1
    ratio, right, down = rows.mean(axis=0)
    assert ratio == pytest.approx(2, abs=0.01) and right == 0 and down == pytest.approx(-0.1, abs=0.01)


def test_the_command_prints_what_it_measured(capsys):
    pytest.importorskip("dlib")
    main(["--dataset", "sample", "--max_faces", "4"])
    said = capsys.readouterr().out
    assert "of 4 faces" in said and "crop side / box side" in said


def test_detections_tell_which_detector_saw_them():
    pytest.importorskip("dlib")
    ((box, which),) = detect(scene())
    assert which == FRONTAL and isinstance(box, Box)
