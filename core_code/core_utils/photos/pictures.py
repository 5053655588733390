"""Opening pictures of any origin: a few formats, a limit on their size, and errors of one line."""

import ctypes
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from io import BytesIO
from pathlib import Path
from threading import RLock
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, ImageOps

from core_code.core_utils.errors import InputError

# Pillow looks at the content, not at the name, and would hand other formats to programs (EPS to Ghostscript).
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")

MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV")  # Pillow's, of 8 bits a channel
DARK = 0.25  # of the full range: a picture that stays below it has fewer bits than its file says
BITS_PER_SAMPLE, PHOTOMETRIC, WHITE_IS_ZERO, TILE_SIDES = 258, 262, 0, (322, 323)  # tags of TIFF

# Decoding takes up to 24 bytes a pixel, and some codecs read the whole file: of large pictures, one at a time.
LARGE = 1 << 22  # pixels, or bytes of a file
LONGEST_SIDE = 1 << 16
BYTES_A_PIXEL = 8  # of a file: RGBA of 16 bits, not compressed
MOST_SCANS = 100  # of a JPEG: one of a few bytes costs as much as a usual one; usual are 1 to 14
SCAN = b"\xff\xda"
one_large = RLock()

# What is strange in a file but can be read is no concern of the user's; `largest` limits the size.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", module=r"PIL\.")
with suppress(OSError, AttributeError):  # libtiff writes to stderr itself; on Windows it cannot be reached
    for handler in ("TIFFSetErrorHandler", "TIFFSetWarningHandler"):
        getattr(ctypes.CDLL(Image.core.__file__), handler)(None)


@cache
def readable_formats() -> list[str]:
    """Those of FORMATS that the Pillow here was built with."""
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


@contextmanager
def open_picture(path: Path, largest: int, what: str, content: bytes | None = None) -> Iterator[Image.Image]:
    """The picture, to be decoded within. Raises InputError for one that cannot be, or of more than `largest` pixels,
    and OSError for a file that cannot be opened.

    `what` is what the error calls it: "image" or "picture". Where its `content` is in memory, `path` only names it.
    """
    with ExitStack() as stack:
        file: BinaryIO = open(path, "rb") if content is None else BytesIO(content)  # noqa: SIM115
        stack.enter_context(file)
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        if size > BYTES_A_PIXEL * largest:
            raise InputError(f"{path}: {size} bytes, expected at most {BYTES_A_PIXEL * largest}")
        if size > LARGE:
            stack.enter_context(one_large)
        stack.enter_context(decoding(path, what))
        image = stack.enter_context(Image.open(file, formats=readable_formats()))
        if image.width * image.height > largest or max(image.size) > LONGEST_SIDE:
            found = f"{image.width}x{image.height} pixels"
            raise InputError(f"{path}: {found}, expected at most {largest} pixels, and {LONGEST_SIDE} a side")
        check_codec(image, file, path, largest)
        if image.width * image.height > LARGE:
            stack.enter_context(one_large)
        yield image


@contextmanager
def decoding(path: Path, what: str) -> Iterator[None]:
    """Within it every error of Pillow is an InputError that names `path`, see open_picture."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # Pillow raises nearly anything on damaged files
        raise InputError(
            f"{path}: not a readable {what} (of no known format, damaged, truncated or too large)"
        ) from error


def check_codec(image: Image.Image, file: BinaryIO, path: Path, largest: int) -> None:
    """Raise InputError where its codec would do more than the picture's size tells: TIFF's tiles of any size, which may
    be all zeros, and JPEG's passes over all pixels."""
    across, down = (getattr(image, "tag_v2", {}).get(tag, 1) for tag in TILE_SIDES)
    if not isinstance(across, int) or not isinstance(down, int) or across * down > largest:
        raise InputError(f"{path}: tiles larger than any picture may be, expected at most {largest} pixels")
    if image.format in ("JPEG", "MPO"):
        place = file.tell()
        file.seek(0)
        scans = sum(block.count(SCAN) for block in iter(lambda: file.read(LARGE), b""))
        file.seek(place)
        if scans > MOST_SCANS:
            raise InputError(f"{path}: {scans} scans, expected a JPEG of at most {MOST_SCANS}")


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
