"""Pictures of other depths and modes: the right grey values or a refusal, the same for data sets and photographs."""

import builtins
import errno
import io
import struct
import sys
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image, ImageCms

from core_code.core_utils.errors import InputError
from core_code.core_utils.photos import pictures
from core_code.core_utils.photos.photographs import read_photograph
from core_code.core_utils.photos.pictures import open_picture
from core_code.datasets.image_folder import read_face

GREY = np.random.default_rng(5).integers(0, 256, (48, 48)).astype(np.uint8)
DEEP = GREY.astype(np.uint16) * 257
COLOUR = Image.fromarray(GREY).convert("RGB")


def saved(image: Image.Image, format: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format)
    return buffer.getvalue()


def png(bits: int, kind: int, samples: np.ndarray) -> bytes:
    """Samples [48, 48, C] of a depth and a colour type, written by the specification."""
    rows = b"".join(b"\0" + row.astype(">u2" if bits == 16 else "u1").tobytes() for row in samples)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 48, 48, bits, kind, 0, 0, 0)), (b"IDAT", zlib.compress(rows)),
              (b"IEND", b"")]  # fmt: skip
    packed = (struct.pack(">I", len(c)) + name + c + struct.pack(">I", zlib.crc32(name + c)) for name, c in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def tiff(content: bytes, bits: int, white_is_zero: bool = False, format: int = 1, order: str = "<") -> bytes:
    """48x48 grey samples, written by the specification; format: 1 unsigned, 2 signed, 3 float."""
    tags = {256: 48, 257: 48, 258: bits, 259: 1, 262: 0 if white_is_zero else 1, 273: 8 + 2 + 12 * 10 + 4, 277: 1,
            278: 48, 279: len(content), 339: format}  # fmt: skip
    directory = b"".join(struct.pack(f"{order}HHIHH", tag, 3, 1, value, 0) for tag, value in tags.items())
    start = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, len(tags))
    return start + directory + bytes(4) + content


def twelve_bits() -> bytes:
    values = (GREY.astype(np.uint32) * 4095 // 255).ravel()
    first, second = values[::2], values[1::2]
    packed = np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], -1).astype(np.uint8)
    return tiff(packed.tobytes(), 12)


def lab() -> Image.Image:
    profiles = [ImageCms.createProfile(name) for name in ("sRGB", "LAB")]
    return ImageCms.applyTransform(COLOUR, ImageCms.buildTransform(*profiles, "RGB", "LAB"))


@pytest.mark.parametrize(
    "content",
    {
        "png of 16 bits": png(16, 0, DEEP),
        "png of 16 bits in colour": png(16, 2, np.stack([DEEP] * 3, -1)),
        "png of 16 bits with alpha": png(16, 4, np.stack([DEEP, np.full_like(DEEP, 65535)], -1)),
        "tiff": tiff(GREY.tobytes(), 8),
        "tiff, white is 0": tiff((255 - GREY).tobytes(), 8, white_is_zero=True),
        "tiff of 16 bits": tiff(DEEP.astype("<u2").tobytes(), 16),
        "tiff of 16 bits, big endian": tiff(DEEP.astype(">u2").tobytes(), 16, order=">"),
        "tiff of 16 bits, white is 0": tiff((65535 - DEEP).astype("<u2").tobytes(), 16, white_is_zero=True),
        "tiff of 12 bits": twelve_bits(),
        "pgm of 16 bits": b"P5 48 48 65535\n" + DEEP.astype(">u2").tobytes(),
        "pgm of 12 bits": b"P5 48 48 4095\n" + (GREY.astype(np.uint32) * 4095 // 255).astype(">u2").tobytes(),
        "pgm in text": b"P2 48 48 255\n" + " ".join(map(str, GREY.ravel())).encode(),
        "jpeg 2000 of 16 bits": saved(Image.fromarray(DEEP), "JPEG2000"),
        "ycbcr": saved(COLOUR.convert("YCbCr"), "TIFF"),
        "cmyk": saved(COLOUR.convert("CMYK"), "TIFF"),
        "palette": saved(COLOUR.convert("P", palette=Image.Palette.ADAPTIVE), "PNG"),
    }.items(),
    ids=lambda item: item[0],
)
def test_grey_values_are_those_of_the_picture(tmp_path, content):
    (tmp_path / "a.picture").write_bytes(content[1])
    face, photograph = read_face(tmp_path / "a.picture"), read_photograph(tmp_path / "a.picture")
    picture = np.asarray(Image.fromarray(photograph.visible).convert("L"))
    for read in (face, picture):
        assert read.dtype == np.uint8 and np.abs(read.astype(int) - GREY).max() <= 1


@pytest.mark.parametrize(
    "content, said",
    {
        "12 bits in a png of 16": (png(16, 0, DEEP >> 4), "brightest value is 4095 of 65535"),
        "8 bits in a tiff of 16": (tiff(GREY.astype("<u2").tobytes(), 16), "brightest value is 255 of 65535"),
        "10 bits in jpeg 2000": (saved(Image.fromarray(DEEP >> 6), "JPEG2000"), "brightest value is 1023"),
        "signed": (tiff((GREY.astype("<i2") - 128).tobytes(), 16, format=2), "mode I, expected grey or RGB"),
        "32 bits": (tiff(GREY.astype("<u4").tobytes(), 32), "mode I, expected"),
        "floats": (tiff((GREY / 255).astype("<f4").tobytes(), 32, format=3), "mode F, expected"),
        "doubles": (tiff((GREY / 255).astype("<f8").tobytes(), 64, format=3), "not a readable"),
        "pfm": (b"Pf 48 48 -1.0\n" + GREY.astype("<f4").tobytes(), "mode F, expected"),
        "lab": (saved(lab(), "TIFF"), "mode LAB, expected"),
        "cut off": (tiff(DEEP.astype("<u2").tobytes()[:99], 16), "not a readable"),
    }.values(),
)
def test_a_range_that_is_not_known_is_refused(tmp_path, content, said):
    (tmp_path / "a.picture").write_bytes(content)
    for read in (read_face, read_photograph):
        with pytest.raises(InputError, match=f"a.picture: .*{said}"):
            read(tmp_path / "a.picture")


def test_black_of_16_bits_is_black_and_exif_turns_it(tmp_path):
    Image.fromarray(np.zeros((48, 48), dtype=np.uint16)).save(tmp_path / "black.png")
    assert not read_face(tmp_path / "black.png").any()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(DEEP).save(tmp_path / "turned.png", exif=exif)
    np.testing.assert_array_equal(read_face(tmp_path / "turned.png"), np.rot90(GREY, -1))


@pytest.mark.parametrize(
    "bits, kind, samples, clear",
    [
        (8, 0, GREY[..., None], (7,)),
        (8, 2, np.stack([GREY] * 3, -1), (7, 7, 7)),
        (16, 0, DEEP, (7 * 257,)),
        (16, 2, np.stack([DEEP] * 3, -1), (7 * 257,) * 3),
    ],
)
def test_a_png_with_one_transparent_colour_keeps_it(tmp_path, bits, kind, samples, clear):
    content = png(bits, kind, samples)
    body = b"tRNS" + struct.pack(f">{len(clear)}H", *clear)
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    (tmp_path / "a.png").write_bytes(content.replace(content[33:37] + b"IDAT", chunk + content[33:37] + b"IDAT"))
    pixels = read_photograph(tmp_path / "a.png").pixels
    np.testing.assert_array_equal(pixels[:, :, -1], np.where(GREY == 7, 0, 255))
    assert np.abs(pixels[:, :, 0].astype(int) - GREY).max() <= 1
    np.testing.assert_array_equal(read_face(tmp_path / "a.png"), pixels[:, :, 0])


def scans_of(content: bytes) -> list[bytes]:
    """A progressive JPEG in pieces: what is before its first scan, then each scan."""
    before, *scans = content[:-2].split(b"\xff\xda")
    return [before, *(b"\xff\xda" + scan for scan in scans)]


def progressive(times: int) -> bytes:
    """A JPEG whose last scan, of a few bytes, is there so many times."""
    buffer = io.BytesIO()
    Image.fromarray(GREY).save(buffer, "JPEG", progressive=True)
    *before, last = scans_of(buffer.getvalue())
    return b"".join(before) + last * times + b"\xff\xd9"


def tiled(side: int) -> bytes:
    """A TIFF of 48x48 grey pixels in one tile of side x side, packed."""
    packed = zlib.compress(GREY.tobytes())
    tags = {256: 48, 257: 48, 258: 8, 259: 8, 262: 1, 277: 1, 322: side, 323: side, 324: 8 + 2 + 12 * 10 + 4,
            325: len(packed)}  # fmt: skip
    directory = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + directory + bytes(4) + packed


@pytest.mark.parametrize("read", [read_face, read_photograph])
@pytest.mark.parametrize(
    "content, said",
    {
        "a JPEG of many scans": (progressive(400), "scans, expected a JPEG of at most 100"),
        "a TIFF of large tiles": (tiled(46_000), "tiles larger than any picture may be"),
        "a long side": (saved(Image.new("L", (1, 70_000)), "PNG"), "1x70000 pixels, expected at most"),
    }.values(),
)
def test_what_costs_more_than_its_size_is_refused_before_it_is_decoded(tmp_path, content, said, read):
    (tmp_path / "a.picture").write_bytes(content)
    with pytest.raises(InputError, match=f"a.picture: .*{said}"):
        read(tmp_path / "a.picture")


@pytest.mark.parametrize("read", [read_face, read_photograph])
def test_a_file_of_more_bytes_than_its_pixels_could_take_is_not_read(tmp_path, read):
    with open(tmp_path / "a.webp", "wb") as file:
        file.write(b"RIFF")
        file.truncate(1 << 31)
    with pytest.raises(InputError, match=r"a\.webp: 2147483648 bytes, expected at most"):
        read(tmp_path / "a.webp")


@pytest.mark.skipif(sys.platform == "win32", reason="Pillow holds libtiff in itself there")
@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits", "group4", "jpeg"])
def test_damaged_tiffs_are_one_line_and_libtiff_prints_none(tmp_path, capfd, compression):
    whole, path, refused = io.BytesIO(), tmp_path / "a.tif", 0
    Image.fromarray(GREY).convert("1" if compression == "group4" else "L").save(whole, "TIFF", compression=compression)
    for at in range(0, len(whole.getvalue()), max(1, len(whole.getvalue()) // 150)):
        content = bytearray(whole.getvalue())
        content[at] ^= 0xFF
        path.write_bytes(content)
        try:
            read_photograph(path)
        except InputError as error:
            refused += 1
            assert str(error).startswith(f"{path}: ")
    assert refused > 1 and capfd.readouterr() == ("", "")


def test_few_scans_and_small_tiles_are_read(tmp_path):
    (tmp_path / "a.jpg").write_bytes(progressive(1))
    with Image.open(tmp_path / "a.jpg") as image:
        np.testing.assert_array_equal(read_face(tmp_path / "a.jpg"), np.asarray(image))
    Image.fromarray(GREY).save(tmp_path / "a.tif", tile=(16, 16))
    np.testing.assert_array_equal(read_face(tmp_path / "a.tif"), GREY)


def test_large_pictures_are_decoded_one_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "LARGE", 48 * 48)
    Image.fromarray(GREY).resize((49, 49)).save(tmp_path / "large.png")
    Image.fromarray(GREY).save(tmp_path / "small.png", compress_level=9)
    at_work, most, guard = set(), [], threading.Lock()

    def decode(name: str) -> None:
        with open_picture(tmp_path / name, 1 << 20, "image"):
            with guard:
                at_work.add(threading.get_ident())
                most.append(len(at_work))
            time.sleep(0.02)
            with guard:
                at_work.remove(threading.get_ident())

    (tmp_path / "small.png").write_bytes((tmp_path / "small.png").read_bytes()[: 48 * 48])
    for name, expected in (("large.png", 1), ("small.png", 4)):
        most.clear()
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(decode, [name] * 8))
        assert max(most) <= expected and (expected == 1 or max(most) > 1)


def test_a_file_that_cannot_be_opened_is_named_with_the_reason(tmp_path, monkeypatch):
    Image.fromarray(GREY).save(tmp_path / "a.png")
    refuse = PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "a.png"))
    monkeypatch.setattr(builtins, "open", lambda *a, **b: (_ for _ in ()).throw(refuse))
    for read in (read_face, read_photograph):
        with pytest.raises(PermissionError, match="Permission denied"):
            read(tmp_path / "a.png")
