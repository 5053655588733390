"""Single PNGs: what is written any reader reads, and what any writer writes is read."""

import io

import numpy as np
import pytest
from PIL import Image

from core_code.datasets.augmentations.png import BadImage, decode, encode


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (48, 48), dtype=np.uint8)


def test_pillow_reads_what_is_written(image):
    with Image.open(io.BytesIO(encode(image))) as opened:
        opened.verify()
    with Image.open(io.BytesIO(encode(image))) as opened:
        assert (opened.mode, opened.size) == ("L", (48, 48))
        assert np.array_equal(np.asarray(opened), image)


@pytest.mark.parametrize("level", [0, 1, 9])
@pytest.mark.parametrize("smooth", [False, True])
def test_pngs_of_other_writers_are_read(image, level, smooth):
    if smooth:
        image = (np.add.outer(np.arange(48), np.arange(48)) * 2).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", compress_level=level)
    assert np.array_equal(decode(buffer.getvalue()), image)
    assert np.array_equal(decode(encode(image)), image)


def test_every_flipped_bit_and_every_cut_is_noticed(image):
    content = encode(image)
    for place in range(0, len(content), 13):
        damaged = bytearray(content)
        damaged[place] ^= 4
        with pytest.raises(BadImage):
            decode(bytes(damaged))
        with pytest.raises(BadImage):
            decode(content[:place])
