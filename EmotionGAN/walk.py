"""A round trip through the conditional space, from emotion to emotion, and its frames as a GIF."""

from collections.abc import Sequence
from itertools import pairwise, permutations
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from core_code.core_utils.files import atomic_write

LEG_FRAMES = 10  # from one centre to the next
FRAME_MILLISECONDS = 70
BAYER = np.array([[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]]) / 16 - 15 / 32
DITHER = 8  # grey levels


def walk(centres: Tensor, leg_frames: int = LEG_FRAMES) -> Tensor:
    """Points on the shortest round trip through the centres [E,2], slow near the centres: float [E * leg_frames, 2]."""
    order = shortest_round(centres)
    steps = torch.arange(leg_frames) / leg_frames
    eased = (steps**2 * (3 - 2 * steps))[:, None]
    legs = [centres[a] + eased * (centres[b] - centres[a]) for a, b in pairwise([*order, order[0]])]
    return torch.cat(legs)


def shortest_round(centres: Tensor) -> list[int]:
    """The order of the shortest closed path through the points [E,2]; it begins with the last of them, Neutral."""
    distances = torch.cdist(centres, centres).tolist()
    last = len(centres) - 1

    def length(order: Sequence[int]) -> float:
        return sum(distances[a][b] for a, b in pairwise([last, *order, last]))

    return [last, *min(permutations(range(last)), key=length)]


def write_gif(path: Path, frames: Sequence[Image.Image], milliseconds: int = FRAME_MILLISECONDS) -> Path:
    """Write frames, all in mode L or all in RGB, as an endless GIF; returns the path. Greys are kept as they are;
    colours are reduced to 256 for all frames."""
    first, *rest = with_one_palette(frames)
    atomic_write(
        path, lambda file: first.save(file, "GIF", save_all=True, append_images=rest, duration=milliseconds, loop=0)
    )
    return path


def with_one_palette(frames: Sequence[Image.Image]) -> list[Image.Image]:
    """Frames in mode L or RGB with at most 256 colours in all. Dithered by a fixed pattern: with a palette for each
    frame, or with errors diffused from pixel to pixel, parts that do not move would flicker."""
    if frames[0].mode == "L":
        return list(frames)
    width, height = frames[0].size
    some = frames[:: max(1, len(frames) // 7)]
    montage = Image.new("RGB", (width, height * len(some)))
    for place, frame in enumerate(some):
        montage.paste(frame, (0, place * height))
    palette = montage.quantize(256, method=Image.Quantize.MEDIANCUT)
    pattern = DITHER * np.tile(BAYER, (height // 4 + 1, width // 4 + 1))[:height, :width, None]
    return [
        Image.fromarray((np.array(frame) + pattern).round().clip(0, 255).astype(np.uint8)).quantize(
            palette=palette, dither=Image.Dither.NONE
        )
        for frame in frames
    ]
