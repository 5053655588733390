"""Opening pictures of any origin: a few formats, a limit on their size, and errors of one line."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from pathlib import Path

from PIL import Image

from core_code.core_utils.errors import InputError

# Pillow looks at the content, not at the name, and would hand other formats to programs (EPS to Ghostscript).
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")

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
