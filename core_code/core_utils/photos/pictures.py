"""Opening pictures of any origin: a few formats, a limit on their size, and errors of one line."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from core_code.core_utils.errors import InputError

# Pillow looks at the content, not at the name, and would hand other formats to programs (EPS to Ghostscript).
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")

MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV")  # Pillow's, of 8 bits a channel
DARK = 0.25  # of the full range: a picture that stays below it has fewer bits than its file says
BITS_PER_SAMPLE, PHOTOMETRIC, WHITE_IS_ZERO = 258, 262, 0  # tags of TIFF

# What is strange in a file but can be read is no concern of the user's; `largest` limits the size.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", module=r"PIL\.")


@cache
def readable_formats() -> list[str]:
    """Those of FORMATS that the Pillow here was built with."""
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


@contextmanager
def open_picture(path: Path, largest: int, what: str, content: bytes | None = None) -> Iterator[Image.Image]:
    """The picture, to be decoded within. Raises InputError for one that cannot be, or of more than `largest` pixels.

    `what` is what the error calls it: "image" or "picture". Where its `content` is in memory, `path` only names it.
    """
    try:
        with Image.open(path if content is None else BytesIO(content), formats=readable_formats()) as image:
            if image.width * image.height > largest:
                found = f"{image.width}x{image.height} pixels"
                raise InputError(f"{path}: {found}, expected one of at most {largest} pixels")
            yield image
    except InputError:
        raise
    except Exception as error:  # Pillow raises nearly anything on damaged files
        raise InputError(
            f"{path}: not a readable {what} (of no known format, damaged, truncated or too large)"
        ) from error


def upright(opened: Image.Image, path: Path) -> Image.Image:
    """An opened picture decoded, turned as its EXIF data say, with 8 bits a channel: a mode in MODES.

    Grey of 16 bits (PNG, TIFF, PGM, JPEG 2000) is scaled down, also TIFF's of 12 bits. Raises InputError for one whose
    values are those of fewer bits, and for kinds whose range is not known: floats, 32 bits, signed ones, LAB.
    """
    turned = ImageOps.exif_transpose(opened)
    if opened.mode.startswith("I;16") or (opened.mode == "I" and opened.format == "PPM"):
        values = np.asarray(turned, dtype=np.uint32)
        grey = Image.fromarray(eight_bits(values, getattr(opened, "tag_v2", {}), path))
        if isinstance(opened.info.get("transparency"), int):
            grey.putalpha(Image.fromarray(values != opened.info["transparency"]).convert("L"))
        return grey
    if opened.mode not in MODES:
        expected = "expected grey or RGB of 8 or 16 bits a channel: save it so"
        raise InputError(f"{path}: a picture of mode {opened.mode}, {expected}")
    if opened.mode == "RGB" and max(clear := opened.info.get("transparency") or (0,)) > 255:  # of a PNG of 16 bits
        turned.info["transparency"] = tuple(value >> 8 for value in clear)
    return turned


def eight_bits(values: np.ndarray, tags: Mapping[int, Any], path: Path) -> np.ndarray:
    """Grey values uint32 of 16 bits, or of 12 as a TIFF's `tags` may say, as uint8. Raises InputError where they are
    of fewer bits."""
    full = 4095 if tags.get(BITS_PER_SAMPLE) == (12,) else 65535
    if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO:
        values = full - values
    if 0 < values.max() < DARK * full:
        found = f"its brightest value is {values.max()} of {full}"
        raise InputError(f"{path}: {found}, as in pictures of fewer bits: save it with 8 bits a channel")
    return ((values * 255 + full // 2) // full).astype(np.uint8)
