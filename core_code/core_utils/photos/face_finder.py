"""Where faces are in a picture, and how much around each a generator was taught to see.

Run as a command it measures the framing of FER2013's faces: `python -m core_code.core_utils.photos.face_finder`.
"""

import argparse
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from core_code.core_utils import flags
from core_code.core_utils.errors import InputError, run_command

# The picture is searched with its longer side at twice its length, within these. The detector's window is 80 pixels.
SHORTEST_SEARCHED, LONGEST_SEARCHED = 256, 4000

# FER2013's crops are wider than dlib's boxes, and lie higher. This file's command, with --max_faces 1000, measured on
# 2,588 frontal boxes of 606 training faces: the crop's side is 1.223 (mean; deviation 0.153) of the box's, its centre
# lies 0.077 (0.060) of the box's side above the box's centre, and 0.013 (0.061) right of it: half a pixel of 48, left
# out.
FER2013_SIDE, FER2013_DOWN = 1.22, -0.077

MEASURED_SIDES = (128, 160, 192, 224, 256)
FRONTAL = 0  # the first of the five detectors; the others look for turned and tilted heads


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


def detect(picture: np.ndarray) -> list[tuple[Box, int]]:
    """Each face's box and which of dlib's five detectors (FRONTAL, and turned ones) saw it."""
    from PIL import Image

    detector = frontal_detector(load_dlib())
    height, width = picture.shape[:2]
    longest = max(height, width)
    scale = min(max(2 * longest, SHORTEST_SEARCHED), LONGEST_SEARCHED) / longest
    size = max(1, round(width * scale)), max(1, round(height * scale))
    searched = np.array(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC))
    found, _, detectors = detector.run(searched, 0, 0.0)
    return [
        (Box(*(round(edge / scale) for edge in (box.left(), box.top(), box.right() + 1, box.bottom() + 1))), which)
        for box, which in zip(found, detectors, strict=True)
    ]


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


def measure_framing(faces: np.ndarray) -> tuple[np.ndarray, int]:
    """How faces uint8 [N,H,H] are cut, compared with dlib's boxes: rows (ratio of the sides, right, down) of float,
    the crop's centre from the box's in sides of the box; and how many faces they are of.

    The detector knows few sizes of boxes and few places, so each face is looked for at several sizes. Only boxes that
    the frontal detector saw, alone in the picture, count.
    """
    from PIL import Image
    from tqdm import tqdm

    rows, seen = [], 0
    for face in tqdm(faces, desc="finding faces", unit=" faces", delay=2, leave=False):
        before = len(rows)
        for side in MEASURED_SIDES:
            found = detect(np.array(Image.fromarray(face).resize((side, side), Image.Resampling.BICUBIC)))
            if len(found) == 1 and found[0][1] == FRONTAL:
                box = found[0][0]
                width = (box.width + box.height) / 2
                rows.append((side / width, *((side / 2 - middle) / width for middle in box.centre)))
        seen += len(rows) > before
    return np.array(rows).reshape(-1, 3), seen


def main(arguments: list[str] | None = None) -> None:
    parser = flags.make_parser(
        "Measure how the training faces are cut, compared with the boxes that dlib's frontal face detector finds on "
        "them: how much wider the crop is, and where its centre lies.",
        "python -m core_code.core_utils.photos.face_finder --max_faces 1000",
    )
    flags.add_data_flags(parser)
    args: argparse.Namespace = parser.parse_args(arguments)

    from core_code.datasets.fer2013 import FER2013

    faces = FER2013(args.data_root, "train", args.dataset, args.max_faces).faces.numpy()
    rows, seen = measure_framing(faces)
    if not len(rows):
        raise InputError(f"{args.dataset}: no frontal face found in {len(faces)} faces")
    print(f"{len(rows)} boxes, on enlarged copies of {seen} of {len(faces)} faces; mean (median, deviation):")
    for name, values in zip(("crop side / box side", "centre right", "centre down"), rows.T, strict=True):
        print(f"{name:<22}{values.mean():8.3f} ({np.median(values):.3f}, {values.std():.3f})")


if __name__ == "__main__":
    run_command(main)
