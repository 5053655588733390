"""Photographs of any size: reading, writing, and cutting the faces out of them.

Pixels are uint8 [H,W,C] throughout: grey (C = 1), RGB (3), either with transparency (2, 4).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from core_code.core_utils.errors import InputError
from core_code.core_utils.files import atomic_write
from core_code.core_utils.photos.face_finder import Box, crop_box, find_faces
from core_code.core_utils.photos.pictures import open_picture, upright

CHANNELS = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4}
LARGEST_PIXELS = 89_000_000  # of a photograph
OPTIONS: dict[str, dict[str, Any]] = {"JPEG": {"quality": 95, "subsampling": 0}, "WEBP": {"lossless": True}}
FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF"}


@dataclass(frozen=True)
class Photograph:
    """An upright picture: pixels uint8 [H,W,C], and the colour profile that says what its numbers mean."""

    pixels: np.ndarray
    profile: bytes | None = None

    @property
    def visible(self) -> np.ndarray:
        """What a face finder looks at: uint8 [H,W] or [H,W,3], without transparency."""
        colours = self.pixels[:, :, : colour_channels(self.pixels)]
        return np.ascontiguousarray(colours[:, :, 0] if colours.shape[2] == 1 else colours)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.pixels.shape[1], self.pixels.shape[0]


def colour_channels(pixels: np.ndarray) -> int:
    """How many of the channels are grey or colour, not transparency."""
    return 1 if pixels.shape[2] < 3 else 3


def read_photograph(path: Path) -> Photograph:
    """Read a picture, turned upright as its EXIF data say.

    Grey and RGB, with or without transparency, stay what they are; palettes, CMYK and the like become RGB, 16 bits a
    channel 8. Raises InputError when it is missing, no picture, damaged, or of a kind that `upright` refuses.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such picture")
    with open_picture(path, LARGEST_PIXELS, "picture") as opened:
        return from_image(opened, path)


def from_image(opened: Image.Image, where: Path) -> Photograph:
    """A PIL image as a photograph, as `read_photograph` does. `where` names it in the InputError."""
    image = upright(opened, where)
    profile = opened.info.get("icc_profile")
    if image.mode == "1":
        image = image.convert("L")
    if image.mode in ("L", "RGB") and image.has_transparency_data:  # one transparent colour, as in a PNG's tRNS
        image = image.convert("RGBA" if image.mode == "RGB" else "LA")
    if image.mode not in CHANNELS:
        profile = profile if image.mode == "P" else None
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    return Photograph(np.array(image).reshape(image.height, image.width, -1), profile)


def as_image(pixels: np.ndarray) -> Image.Image:
    """uint8 [H,W,C] as a PIL image of the mode that has C channels."""
    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)


def check_format(path: Path, channels: int) -> None:
    """Raise InputError unless pictures of so many channels can be written under this name."""
    if path.suffix.lower() not in FORMATS:
        raise InputError(f"{path}: unknown ending {path.suffix!r}, expected one of {', '.join(FORMATS)}")
    if FORMATS[path.suffix.lower()] == "JPEG" and channels in (2, 4):
        raise InputError(f"{path}: JPEG has no transparency and this picture has, take a name that ends in .png")


def write_photograph(path: Path, photograph: Photograph) -> None:
    """Write in the format of the name's ending, whole or not at all. EXIF data (place, time, camera) are left out."""
    check_format(path, photograph.pixels.shape[2])
    format, image = FORMATS[path.suffix.lower()], as_image(photograph.pixels)
    options = OPTIONS.get(format, {}) | ({"icc_profile": photograph.profile} if photograph.profile else {})
    atomic_write(path, lambda file: image.save(file, format=format, **options))


def face_crops(photograph: Photograph, detector: str, framing: str, where: str) -> list[Box]:
    """The square crop of each face, from left to right.

    detector `dlib` finds the faces and cuts them as `framing` says (`fer2013` or `dlib`); `none` takes the whole
    picture for one crop. `where` names the picture in the InputError, raised when there is no face or no dlib.
    """
    if detector == "none":
        return [Box(0, 0, *photograph.size)]
    return [crop_box(box, framing) for box in find_faces(photograph.visible, where)]


def cut(pixels: np.ndarray, box: Box) -> np.ndarray:
    """The box of a picture [H,W,...]; outside of the picture its edge is repeated."""
    rows = np.arange(box.top, box.bottom).clip(0, pixels.shape[0] - 1)
    columns = np.arange(box.left, box.right).clip(0, pixels.shape[1] - 1)
    return pixels[rows[:, None], columns]
