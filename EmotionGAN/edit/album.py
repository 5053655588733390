"""One photograph at many points of the space: all seven emotions side by side, and a walk through them as a GIF."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from tqdm import tqdm

from core_code.core_utils.files import atomic_write
from core_code.core_utils.photos.face_finder import Box
from core_code.core_utils.photos.photographs import Photograph, as_image, colour_channels, cut
from EmotionGAN.editor import Editor
from EmotionGAN.photographs import add_changes, generator_view, shrunk
from EmotionGAN.walk import walk, write_gif

COLUMNS = 4
SMALLEST_CELL, LARGEST_CELL = 192, 400  # pixels of a cell's longer side
GAP, TITLE_HEIGHT, FONT_SIZE = 8, 26, 16
AROUND = 0.2  # of the crops' common box is shown beside it

GIF_SIDE = 640  # pixels of the longer side


def luminance_changes(editor: Editor, photograph: Photograph, crops: Sequence[Box], codes: Tensor) -> np.ndarray:
    """The change of luminance of each of F crops at each code [M,2]: float [M,F,S,S] in grey levels, -255 to 255, at
    the generator's size S. With a progress bar."""
    views = torch.cat([generator_view(cut(photograph.pixels, crop), editor.generator.config) for crop in crops])
    points = codes.repeat_interleave(len(crops), dim=0)
    faces = torch.arange(len(crops)).repeat(len(codes))
    return editor.luminance_changes(views, points, faces).unflatten(0, (len(codes), len(crops))).numpy()


def write_sheet(path: Path, editor: Editor, photograph: Photograph, crops: Sequence[Box], strength: float) -> int:
    """Write a PNG of the faces' surroundings, unedited and at each emotion's centre; returns the number of pictures."""
    changes = luminance_changes(editor, photograph, crops, editor.space.centres)
    region = surroundings(crops, *photograph.size)
    edits = (add_changes(photograph, crops, change, strength) for change in changes)
    cells = [cell(photograph, region), *(cell(edit, region) for edit in edits)]
    sheet = titled(cells, ["as it is", *editor.space.emotions])
    atomic_write(path, lambda file: sheet.save(file, format="PNG"))
    return len(cells)


def surroundings(crops: Sequence[Box], width: int, height: int) -> Box:
    """The crops' common box and AROUND of it on each side, within the picture."""
    left, top = min(crop.left for crop in crops), min(crop.top for crop in crops)
    right, bottom = max(crop.right for crop in crops), max(crop.bottom for crop in crops)
    across, down = round(AROUND * (right - left)), round(AROUND * (bottom - top))
    return Box(max(left - across, 0), max(top - down, 0), min(right + across, width), min(bottom + down, height))


def cell(photograph: Photograph, region: Box) -> Image.Image:
    """A region of the photograph at the size of a sheet's cell."""
    image = opaque(photograph).crop((region.left, region.top, region.right, region.bottom))
    longest = max(image.size)
    scale = min(max(longest, SMALLEST_CELL), LARGEST_CELL) / longest
    return image.resize([max(1, round(side * scale)) for side in image.size], Image.Resampling.LANCZOS)


def opaque(photograph: Photograph) -> Image.Image:
    """The photograph in mode L or RGB; where it is transparent, white shows through."""
    image = as_image(photograph.pixels)
    mode = "L" if colour_channels(photograph.pixels) == 1 else "RGB"
    if image.mode == mode:
        return image
    white = Image.new(mode, image.size, "white")
    white.paste(image.convert(mode), mask=image.getchannel("A"))
    return white


def titled(cells: Sequence[Image.Image], titles: Sequence[str]) -> Image.Image:
    """Images of one size in rows of COLUMNS on white, each under its title."""
    width, height = cells[0].size
    rows = -(-len(cells) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * (width + GAP) + GAP, rows * (TITLE_HEIGHT + height + GAP) + GAP), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(FONT_SIZE)
    for place, (image, title) in enumerate(zip(cells, titles, strict=True)):
        left = GAP + place % COLUMNS * (width + GAP)
        top = GAP + place // COLUMNS * (TITLE_HEIGHT + height + GAP)
        draw.text((left, top + TITLE_HEIGHT / 2), title, fill="black", font=font, anchor="lm")
        sheet.paste(image, (left, top + TITLE_HEIGHT))
    return sheet


def write_walk(path: Path, editor: Editor, photograph: Photograph, crops: Sequence[Box], strength: float) -> int:
    """Write a GIF that goes from emotion to emotion and back to the first, of at most GIF_SIDE pixels; returns the
    number of frames."""
    photograph, crops = shrunk(photograph, crops, GIF_SIDE)
    changes = tqdm(
        luminance_changes(editor, photograph, crops, walk(editor.space.centres)), desc="frames", delay=2, leave=False
    )
    frames = [opaque(add_changes(photograph, crops, change, strength)) for change in changes]
    write_gif(path, frames)
    return len(frames)
