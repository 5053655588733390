"""Copies of pictures with a box around each face, and its predicted emotion."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont

from core_code.core_utils.photos.photographs import Photograph, read_photograph, write_photograph
from core_code.core_utils.plots.palette import colours_of
from core_code.prediction.table import NO_FACE, Prediction

SMALLEST = 320  # pixels of the shorter side; a smaller picture is enlarged, so that there is room to write
LONGEST = 4000  # of the longer side of an enlarged one
NO_FACE_COLOUR = "#444444"
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def draw_predictions(predictions: Sequence[Prediction], folder: Path) -> list[Path]:
    """Write <picture>_predicted.png of every picture into the folder; returns the paths.

    Where several pictures have one name, and where the file is itself one of the pictures, a number is appended.
    Raises InputError when a picture cannot be read or written.
    """
    pictures = list(dict.fromkeys(one.picture for one in predictions if not one.error))
    taken = {Path(os.path.realpath(one.picture)) for one in predictions}
    paths = []
    for picture in pictures:
        path = free_path(folder, picture, ".png", taken)
        faces = [one for one in predictions if one.picture == picture]
        write_photograph(path, drawn(read_photograph(picture), faces, len(faces) > 1))
        paths.append(path)
    return paths


def free_path(folder: Path, picture: Path, suffix: str, taken: set[Path]) -> Path:
    """<picture>_predicted<suffix> in the folder, with a number where that is taken; from here on it is taken itself."""
    path, number = folder / f"{picture.stem}_predicted{suffix}", 1
    while Path(os.path.realpath(path)) in taken:
        number += 1
        path = folder / f"{picture.stem}_predicted_{number}{suffix}"
    taken.add(Path(os.path.realpath(path)))
    return path


def drawn(photograph: Photograph, faces: Sequence[Prediction], numbered: bool) -> Photograph:
    """The picture in colour, enlarged by a whole number where it is small, with its faces' boxes, emotions and, where
    they are `numbered`, numbers."""
    image = Image.fromarray(photograph.visible).convert("RGB")
    scale = max(1, min(-(-SMALLEST // min(image.size)), LONGEST // max(image.size)))
    image = image.resize((image.width * scale, image.height * scale), Image.Resampling.NEAREST)
    pen = ImageDraw.Draw(image)
    font = ImageFont.load_default(size=max(14, round(min(image.size) / 28)))
    for one in faces:
        if one.box is None or one.confidence is None:
            tag(image, (0, 0), NO_FACE, NO_FACE_COLOUR, font)
            continue
        colour = colours_of(one.emotions)[one.emotions.index(one.emotion)]
        left, top = max(0, one.box.left * scale), max(0, one.box.top * scale)
        right, bottom = min(image.width, one.box.right * scale) - 1, min(image.height, one.box.bottom * scale) - 1
        pen.rectangle((left, top, right, bottom), outline=colour, width=max(2, round(min(image.size) / 160)))
        number = f"{one.face}: " if numbered else ""
        tag(image, (left, top), f"{number}{one.emotion} {100 * one.confidence:.0f} %", colour, font)
    profile = photograph.profile if photograph.pixels.shape[2] >= 3 else None
    return Photograph(np.array(image), profile)


def tag(image: Image.Image, corner: tuple[int, int], text: str, colour: str, font: Font) -> None:
    """Text on a ground of the colour, its lower left at the corner, or below the corner where there is no room above;
    moved left where it would reach over the border."""
    pen = ImageDraw.Draw(image)
    left, top, right, bottom = pen.textbbox((0, 0), text, font=font)
    width, height = right - left + 8, bottom - top + 8
    x = max(0, min(corner[0], image.width - width))
    y = corner[1] - height if corner[1] >= height else corner[1]
    pen.rectangle((x, y, x + width, y + height), fill=colour)
    red, green, blue, *_ = ImageColor.getrgb(colour)
    ink = "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else "white"
    pen.text((x + 4 - left, y + 4 - top), text, fill=ink, font=font)
