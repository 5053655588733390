"""Editing faces in photographs of any size: a face is cropped, the generator edits it at its own small size, and the
change alone, enlarged, is added to the photograph, which keeps its detail.

Pixels are uint8 [H,W,C] throughout: grey (C = 1), RGB (3), either with transparency (2, 4).
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from core_code.core_utils.photos.face_finder import Box
from core_code.core_utils.photos.photographs import Photograph, as_image, colour_channels
from EmotionGAN.images import resize
from EmotionGAN.networks.config import GeneratorConfig

GREY_OF_RGB = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R 601, as in PIL's "L"
FADE_WIDTH = 0.14  # of a crop's side: over so much the change fades in
STRIP = 1 << 20  # pixels


def shrunk(photograph: Photograph, crops: Sequence[Box], longest: int) -> tuple[Photograph, list[Box]]:
    """The photograph and its crops, made smaller where a side is longer than `longest` pixels."""
    scale = longest / max(photograph.size)
    if scale >= 1:
        return photograph, list(crops)
    width, height = (max(1, round(side * scale)) for side in photograph.size)
    image = as_image(photograph.pixels).resize((width, height), Image.Resampling.LANCZOS)
    edges = [[round(edge * scale) for edge in (crop.left, crop.top, crop.right, crop.bottom)] for crop in crops]
    boxes = [Box(left, top, max(right, left + 1), max(bottom, top + 1)) for left, top, right, bottom in edges]
    return Photograph(np.array(image).reshape(height, width, -1), photograph.profile), boxes


def generator_view(crop: np.ndarray, config: GeneratorConfig) -> Tensor:
    """A crop uint8 [h,w,C] as the generator takes faces: float [1,C',S,S] in [-1,1], antialiased. One of many pixels is
    first made smaller by a whole number, for floats take four times the memory."""
    if (factor := math.isqrt(crop.shape[0] * crop.shape[1] // STRIP)) > 1:
        smaller = as_image(crop).reduce(factor)
        crop = np.array(smaller).reshape(smaller.height, smaller.width, -1)
    colours = crop[:, :, : colour_channels(crop)].astype(np.float32)
    if config.colours == "grey":
        planes = grey(colours)[:, :, None]
    else:
        planes = np.broadcast_to(colours, (*colours.shape[:2], 3))
        planes = planes[:, :, ::-1] if config.colours == "BGR" else planes
    images = torch.from_numpy(np.ascontiguousarray(planes)).permute(2, 0, 1)[None]
    return resize(images, (config.image_size, config.image_size)) / 127.5 - 1


def grey(colours: np.ndarray) -> np.ndarray:
    """float [H,W,1] or RGB [H,W,3] -> luminance [H,W]."""
    return colours[:, :, 0] if colours.shape[2] == 1 else colours @ GREY_OF_RGB


def luminance(images: Tensor, colours: str) -> Tensor:
    """float [B,C,S,S] in the order of `colours` (grey, RGB, BGR) -> [B,S,S]."""
    if colours == "grey":
        return images[:, 0]
    weights = torch.from_numpy(GREY_OF_RGB).to(images.device)
    return torch.einsum("bchw,c->bhw", images.float(), weights.flip(0) if colours == "BGR" else weights)


def add_changes(
    photograph: Photograph, crops: Sequence[Box], changes: Sequence[np.ndarray], strength: float = 1.0
) -> Photograph:
    """Add `strength` times each crop's change, float [S,S] in grey levels, to the photograph's luminance.

    Resized by a bicubic kernel and faded towards the crop's sides within the picture. Hues are kept: darker pixels keep
    their proportions of red, green and blue, brighter ones get the same increment of each (the first alone would tint
    bright pixels, the second dark ones). Pixels outside the crops stay. Computed in strips of STRIP pixels, so that
    little memory is taken beside the photograph and its copy.
    """
    height, width, _ = photograph.pixels.shape
    parts = [Enlarged(crop, change, width, height) for crop, change in zip(crops, changes, strict=True)]
    pixels = photograph.pixels.copy()
    rows = max(1, STRIP // width)
    for top in range(0, height, rows):
        strip = pixels[top : top + rows, :, : colour_channels(pixels)]
        total = np.zeros((len(strip), width, 1), dtype=np.float32)
        touched = [part.add_rows(total[:, :, 0], top) for part in parts]
        if any(touched):
            strip[...] = np.rint(with_luminance(strip.astype(np.float32), strength * total)).clip(0, 255)
    return Photograph(pixels, photograph.profile)


class Enlarged:
    """A change [S,S] at the size of its crop of a picture (width x height), faded, of which any rows can be had."""

    def __init__(self, crop: Box, change: np.ndarray, width: int, height: int) -> None:
        self.crop, (size_down, size_across) = crop, change.shape
        self.left, self.right = max(crop.left, 0), min(crop.right, width)
        self.top, self.bottom = max(crop.top, 0), min(crop.bottom, height)
        self.down = bicubic(size_down, crop.height)
        self.fade_down = from_centre(crop.height, crop.top > 0, crop.bottom < height)
        columns = slice(self.left - crop.left, self.right - crop.left)
        self.across = change.astype(np.float32) @ bicubic(size_across, crop.width)[columns].T
        self.fade_across = from_centre(crop.width, crop.left > 0, crop.right < width)[columns]

    def add_rows(self, total: np.ndarray, first: int) -> bool:
        """Add it to float [h,W], the picture's rows from `first` on. Returns whether it has a part in them."""
        top, bottom = max(self.top, first), min(self.bottom, first + len(total))
        if top >= bottom or self.left >= self.right:
            return False
        rows = slice(top - self.crop.top, bottom - self.crop.top)
        faded = self.down[rows] @ self.across * blending_mask(self.fade_down[rows], self.fade_across)
        total[top - first : bottom - first, self.left : self.right] += faded
        return True


def bicubic(before: int, after: int) -> np.ndarray:
    """The weights of resizing `before` numbers to `after` by Pillow's bicubic kernel: float32 [after,before]."""
    return np.array(Image.fromarray(np.eye(before, dtype=np.float32)).resize((before, after), Image.Resampling.BICUBIC))


def with_luminance(colours: np.ndarray, change: np.ndarray) -> np.ndarray:
    """float [H,W,1] or RGB [H,W,3] with its luminance changed by `change` [H,W,1]: darker by a factor, brighter by a
    sum; never below 0, but possibly above 255."""
    before = grey(colours)[:, :, None]
    factor = (before + change.clip(max=0)).clip(min=0) / before.clip(min=1)
    return np.where(change < 0, colours * factor, colours + change)


def blending_mask(down: np.ndarray, across: np.ndarray) -> np.ndarray:
    """The share of the change for each pixel of a crop, of its distances from the centre (see from_centre): float32
    [h,w], 1 in the centre, falling smoothly (3t^2 - 2t^3) to 0 at the ellipse that touches the sides; but not towards
    sides on or beyond the border of the picture, where there is no seam."""
    ramp = ((1 - np.hypot(down[:, None], across)) / (2 * FADE_WIDTH)).clip(0, 1)
    return ramp**2 * (3 - 2 * ramp)


def from_centre(length: int, to_start: bool, to_end: bool) -> np.ndarray:
    """float32 [length]: each pixel's distance from the centre, 1 at the sides; 0 towards sides that do not count."""
    positions = (2 * np.arange(length, dtype=np.float32) + 1) / length - 1
    return np.where(positions < 0, -positions * to_start, positions * to_end)
