"""Sample faces on a walk through the conditional space, beside a map that shows the point, as a GIF."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from EmotionGAN.conditional_space import ConditionalSpace
from EmotionGAN.editor import Editor
from EmotionGAN.figures.space import label_places
from EmotionGAN.walk import walk, write_gif

LEG_FRAMES, FRAME_MILLISECONDS = 5, 140
FACE_SIDE, GAP = 96, 8  # pixels
MAP_SIDE, MAP_MARGIN, FONT_SIZE = 200, 22, 13
DOT = 5  # radius of the moving point


def write_face_walk(path: Path, editor: Editor, faces: Tensor) -> Path:
    """Write the GIF of faces uint8 [N,H,W], two in a column, that go from emotion to emotion; returns the path."""
    points = walk(editor.space.centres, LEG_FRAMES)
    edits = editor.edit_all(faces.repeat(len(points), 1, 1), points.repeat_interleave(len(faces), dim=0))
    background = space_map(editor.space)
    frames = [
        walk_frame(background, point, faces_now.numpy())
        for point, faces_now in zip(points.tolist(), edits.unflatten(0, (len(points), len(faces))), strict=True)
    ]
    return write_gif(path, frames, FRAME_MILLISECONDS)


def walk_frame(background: Image.Image, point: list[float], faces: np.ndarray) -> Image.Image:
    """The map with the point (x, y), and faces uint8 [N,H,W] to its right, in mode L."""
    columns = -(-len(faces) // 2)
    frame = Image.new("L", (MAP_SIDE + columns * (FACE_SIDE + GAP), max(MAP_SIDE, 2 * FACE_SIDE + GAP)), 255)
    frame.paste(background, (0, 0))
    x, y = on_map(*point)
    ImageDraw.Draw(frame).ellipse((x - DOT, y - DOT, x + DOT, y + DOT), fill=0)
    for number, face in enumerate(faces):
        column, row = divmod(number, 2)
        tile = Image.fromarray(face).resize((FACE_SIDE, FACE_SIDE), Image.Resampling.BICUBIC)
        frame.paste(tile, (MAP_SIDE + GAP + column * (FACE_SIDE + GAP), row * (FACE_SIDE + GAP)))
    return frame


def space_map(space: ConditionalSpace) -> Image.Image:
    """The square with the emotions' centres and names, in mode L."""
    image = Image.new("L", (MAP_SIDE, MAP_SIDE), 255)
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(FONT_SIZE)
    pen.rectangle((*on_map(-1, 1), *on_map(1, -1)), outline=120)
    centres = space.centres.tolist()
    height = 2 * FONT_SIZE / (MAP_SIDE - 2 * MAP_MARGIN)
    for (x, y), label, emotion in zip(
        centres, label_places(centres, space.emotions, height), space.emotions, strict=True
    ):
        left, top = on_map(x, y)
        pen.ellipse((left - 2, top - 2, left + 2, top + 2), fill=120)
        pen.text(on_map(*label), emotion, fill=70, font=font, anchor="mm")
    return image


def on_map(x: float, y: float) -> tuple[int, int]:
    """The pixel (from left, from top) of a point of [-1,1]^2."""
    scale = (MAP_SIDE - 2 * MAP_MARGIN) / 2
    return round(MAP_MARGIN + (x + 1) * scale), round(MAP_MARGIN + (1 - y) * scale)
