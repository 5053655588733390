"""Editing faces in photographs of any size: a face is cut out, a generator says at its own small size what changes,
and the change alone, enlarged, is added to the photograph, so that its own detail stays.

Pixels are uint8 [H,W,C] throughout: grey (C = 1), RGB (3), either with transparency (2, 4).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from core_code.core_utils.devices import autocast
from core_code.core_utils.photos.face_finder import Box
from core_code.core_utils.photos.photographs import Photograph, as_image, colour_channels, cut
from EmotionGAN.editor import resize

if TYPE_CHECKING:
    from EmotionGAN.editor import Editor
    from EmotionGAN.networks.generator import GeneratorConfig

GREY_OF_RGB = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R 601, as in PIL's "L"
FEATHER = 0.14  # of a crop's side: over so much the change fades in
PASSES = 64  # faces at once


def shrunk(photograph: Photograph, crops: Sequence[Box], longest: int) -> tuple[Photograph, list[Box]]:
    """The photograph and its crops, made smaller where a side is longer than `longest` pixels."""
    scale = longest / max(photograph.size)
    if scale >= 1:
        return photograph, list(crops)
    width, height = (max(1, round(side * scale)) for side in photograph.size)
    image = as_image(photograph.pixels).resize((width, height), Image.Resampling.LANCZOS)
    boxes = [Box(*(round(edge * scale) for edge in (crop.left, crop.top, crop.right, crop.bottom))) for crop in crops]
    return Photograph(np.array(image).reshape(height, width, -1), photograph.profile), boxes


def generator_view(crop: np.ndarray, config: "GeneratorConfig") -> Tensor:
    """A crop uint8 [h,w,C] as the generator was taught to see faces: float [1,C',S,S] in [-1,1], antialiased."""
    colours = crop[:, :, : colour_channels(crop)].astype(np.float32)
    if config.colours == "grey":
        seen = grey(colours)[:, :, None]
    else:
        seen = np.broadcast_to(colours, (*colours.shape[:2], 3))
        seen = seen[:, :, ::-1] if config.colours == "BGR" else seen
    planes = torch.from_numpy(np.ascontiguousarray(seen)).permute(2, 0, 1)[None]
    return resize(planes, (config.image_size, config.image_size)) / 127.5 - 1


def grey(colours: np.ndarray) -> np.ndarray:
    """float [H,W,1] or RGB [H,W,3] -> luminance [H,W]."""
    return colours[:, :, 0] if colours.shape[2] == 1 else colours @ GREY_OF_RGB


@torch.inference_mode()
def luminance_changes(editor: "Editor", photograph: Photograph, crops: Sequence[Box], codes: Tensor) -> np.ndarray:
    """What each code [M,2] adds to the luminance of each of F crops: float [M,F,S,S] in grey levels, -255 to 255,
    at the generator's own size S. With a progress bar."""
    from tqdm import tqdm

    views = torch.cat([generator_view(cut(photograph.pixels, crop), editor.generator.config) for crop in crops])
    faces = torch.arange(len(crops)).repeat(len(codes))
    points = codes.repeat_interleave(len(crops), dim=0)
    batches = list(zip(faces.split(PASSES), points.split(PASSES), strict=True))
    changes = []
    for batch, at in tqdm(batches, desc="editing", unit="batch", delay=2, leave=False):
        images = views[batch].to(editor.device, memory_format=torch.channels_last)
        with autocast(editor.device, editor.dtype):
            edited, _, _ = editor.generator(images, at.to(editor.device))
        changes.append(luminance(edited.float() - images, editor.generator.config.colours).cpu())
    return (torch.cat(changes) * 127.5).unflatten(0, (len(codes), len(crops))).numpy()


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

    Enlarged (or shrunk) by a bicubic kernel, faded towards the crop's sides within the picture. Colours stay: what
    gets darker keeps its proportions of red, green and blue, what gets brighter is given the same of each (the first
    alone would tint what is bright, the second what is dark). Nothing outside the crops changes.
    """
    height, width, _ = photograph.pixels.shape
    total = np.zeros((height, width, 1), dtype=np.float32)
    for crop, change in zip(crops, changes, strict=True):
        whole = Image.fromarray(change.astype(np.float32)).resize((crop.width, crop.height), Image.Resampling.BICUBIC)
        faded = np.array(whole) * feather(crop, width, height)
        top, left = max(crop.top, 0), max(crop.left, 0)
        within = faded[top - crop.top : height - crop.top, left - crop.left : width - crop.left]
        total[top : top + within.shape[0], left : left + within.shape[1], 0] += within
    pixels = photograph.pixels.copy()
    colours = pixels[:, :, : colour_channels(pixels)]
    colours[...] = np.rint(with_luminance(colours.astype(np.float32), strength * total)).clip(0, 255)
    return Photograph(pixels, photograph.profile)


def with_luminance(colours: np.ndarray, change: np.ndarray) -> np.ndarray:
    """float [H,W,1] or RGB [H,W,3] with so much more luminance, change [H,W,1]: darker by a factor, brighter by a
    sum; never below 0, but perhaps above 255."""
    before = grey(colours)[:, :, None]
    factor = (before + change.clip(max=0)).clip(min=0) / before.clip(min=1)
    return np.where(change < 0, colours * factor, colours + change)


def feather(crop: Box, width: int, height: int) -> np.ndarray:
    """How much of the change each pixel of the crop takes: float32 [h,w], 1 in the middle, falling smoothly
    (3t^2 - 2t^3) to 0 at the oval that touches the sides; but not towards sides on or beyond the border of the picture
    (width x height), where no seam can be."""
    across = from_middle(crop.width, crop.left > 0, crop.right < width)
    down = from_middle(crop.height, crop.top > 0, crop.bottom < height)
    ramp = ((1 - np.hypot(down[:, None], across)) / (2 * FEATHER)).clip(0, 1)
    return ramp**2 * (3 - 2 * ramp)


def from_middle(length: int, to_start: bool, to_end: bool) -> np.ndarray:
    """float32 [length]: how far each pixel is from the middle, 1 at the sides; 0 towards sides that do not count."""
    places = (2 * np.arange(length, dtype=np.float32) + 1) / length - 1
    return np.where(places < 0, -places * to_start, places * to_end)
