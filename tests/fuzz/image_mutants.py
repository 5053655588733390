"""Pictures, damaged: the 48x48 PNGs among generated images, image folders, and photographs."""

import io
import os
import struct
import tarfile
import zlib
from functools import cache
from pathlib import Path

import numpy as np
from family import Family, Mutant
from mutations import DAMAGES, Random
from PIL import Image
from small_faces import smooth_faces

from core_code.core_utils.photos.photographs import read_photograph
from core_code.datasets.augmentations.pack import open_pack
from core_code.datasets.augmentations.png import SIGNATURE, encode
from core_code.datasets.image_folder import load_folder

BOMB = 1 << 29  # bytes that half a MiB unpacks to
ENDINGS = {".jpg": "JPEG", ".png": "PNG", ".bmp": "BMP", ".gif": "GIF", ".tif": "TIFF", ".webp": "WEBP", ".pgm": "PPM"}


def chunk(kind: bytes, body: bytes) -> bytes:
    """A PNG's chunk with its right checksum."""
    return struct.pack(">I", len(body)) + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")


def png(header: tuple[int, ...], *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of the header's seven fields (width, height, depth, colour, compression, filter, interlace)."""
    every = ((b"IHDR", struct.pack(">IIBBBBB", *header)), *chunks, (b"IEND", b""))
    return SIGNATURE + b"".join(chunk(kind, body) for kind, body in every)


GREY = (48, 48, 8, 0, 0, 0, 0)


@cache
def face() -> np.ndarray:
    return smooth_faces(1)[0]


def rows_of(pixels: np.ndarray, filter_kind: int = 0) -> bytes:
    """Raw scan lines, each after its filter's number."""
    return b"".join(bytes([filter_kind]) + row.tobytes() for row in pixels)


@cache
def zeros_packed(size: int) -> bytes:
    """zlib's form of `size` zeros (whole MiB), made without making them: one piece again and again."""
    packer = zlib.compressobj(9)
    start = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    piece = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    adler = (size % 65521) << 16 | 1
    return start + piece * ((size >> 20) - 1) + b"\x03\x00" + adler.to_bytes(4, "big")


def sizes(rng: Random) -> bytes:
    """A header that claims another size."""
    odd = (0, 1, 47, 49, 96, 100_000, 2**31 - 1, 2**31, 2**32 - 1)
    width, height = rng.choice(odd), rng.choice((*odd, 48))
    return png((width, height, *GREY[2:]), (b"IDAT", zlib.compress(rows_of(face()))))


def claims(rng: Random) -> bytes:
    """100,000 x 100,000 pixels."""
    return png((100_000, 100_000, *GREY[2:]), (b"IDAT", zlib.compress(rows_of(face()))))


def depths(rng: Random) -> bytes:
    """Another depth, kind of colour, compression, filter or interlacing than the pixels have."""
    header = list(GREY)
    field = rng.randint(2, 6)
    header[field] = rng.choice({2: (1, 2, 4, 16, 3, 255), 3: (2, 3, 4, 6, 1, 255)}.get(field, (1, 2, 255)))
    return png(tuple(header), (b"IDAT", zlib.compress(rows_of(face()))))


def bomb(rng: Random) -> bytes:
    """Pixels that unpack to half a GiB."""
    return png(GREY, (b"IDAT", zeros_packed(BOMB)))


def text_bomb(rng: Random) -> bytes:
    """A remark, or a colour profile, that unpacks to half a GiB."""
    kind, start = rng.choice(((b"zTXt", b"a\0\0"), (b"iTXt", b"a\0\1\0\0\0"), (b"iCCP", b"a\0\0")))
    pixels = zlib.compress(rows_of(face(), rng.choice((0, 1))))
    return png(GREY, (kind, start + zeros_packed(BOMB)), (b"IDAT", pixels))


def pixel_data(rng: Random) -> bytes:
    """IDAT chunks that are too short, too long, doubled, raw, empty, missing, or of strange filters."""
    raw = rows_of(face(), rng.choice((0, 1, 2, 3, 4, 5, 255)))
    packed = zlib.compress(raw)
    bodies = rng.choice((
        [zlib.compress(raw[:-1])], [zlib.compress(raw + b"\0")], [zlib.compress(raw * 9)], [packed, packed], [raw],
        [b""], [], [packed[:100], packed[100:]], [packed[:-4]], [packed + b"more"], [packed], [b"", packed],
        [packed[::-1]], [zlib.compress(b"")],
    ))  # fmt: skip
    return png(GREY, *((b"IDAT", body) for body in bodies))


def chunks(rng: Random) -> bytes:
    """Chunks that are strange in kind, order or number."""
    good = (b"IDAT", zlib.compress(rows_of(face(), rng.choice((0, 1)))))
    body = rng.randbytes(rng.choice((0, 1, 5, 26, 300)))
    kinds = (b"IHDR", b"PLTE", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"tEXt", b"zTXt", b"iTXt", b"pHYs", b"eXIf",
             b"tIME", b"acTL", b"fcTL", b"fdAT", b"ABCD", b"abcd", b"\0\0\0\0", b"\xff\xff\xff\xff")  # fmt: skip
    odd = (rng.choice(kinds), body)
    content = png(GREY, *rng.choice(([odd, good], [good, odd], [odd, odd, good], [good, odd, good])))
    return content + rng.choice((b"", b"", b"more", content))


def checksum(rng: Random) -> bytes:
    """A wrong CRC."""
    content = bytearray(encode(face()))
    at = rng.choice((29, len(content) - 1, len(content) - 13))
    content[at] ^= 1 << rng.randrange(8)
    return bytes(content)


def another_format(rng: Random) -> bytes:
    """A sound picture of another form: colour, 16 bits, palette, another size, animated, JPEG and so on."""
    grey = Image.fromarray(face())
    modes = ("RGB", "RGBA", "LA", "P", "1", "I;16", "L")
    image = grey.resize((96, 96)) if rng.random() < 0.2 else grey
    buffer = io.BytesIO()
    if rng.random() < 0.4:
        name = rng.choice(("JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "TGA", "ICO", "PCX"))
        image.convert(rng.choice(("L", "RGB"))).save(buffer, name)
    elif rng.random() < 0.3:
        image.save(buffer, "PNG", save_all=True, append_images=[image, image.rotate(90)])
    else:
        image.convert(rng.choice(modes)).save(buffer, "PNG")
    return buffer.getvalue()


def interlaced(rng: Random) -> bytes:
    """Adam7, as it should be or cut."""
    passes = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
    raw = b"".join(rows_of(np.ascontiguousarray(face()[y::down, x::right])) for x, y, right, down in passes)
    raw = raw if rng.random() < 0.5 else raw[: rng.randrange(len(raw))]
    return png((*GREY[:6], 1), (b"IDAT", zlib.compress(raw)))


STRUCTURED = {
    make.__name__: make
    for make in (sizes, bomb, depths, pixel_data, chunks, checksum, another_format, interlaced, text_bomb, claims)
}
MUST_FAIL = ("bomb", "checksum", "claims")


def sound_png(rng: Random) -> bytes:
    """One that the program wrote, or that another writer did."""
    if rng.random() < 0.5:
        return encode(face())
    buffer = io.BytesIO()
    Image.fromarray(face()).save(buffer, "PNG", compress_level=rng.choice((1, 9)))
    return buffer.getvalue()


def mutate_png(folder: Path, kind: str, rng: Random) -> Mutant:
    """A folder of generated images, one of them damaged."""
    (folder / "0").mkdir()
    (folder / "manifest.json").write_text("{}")
    (folder / "0" / "0_0.png").write_bytes(encode(face()))
    path = folder / "0" / "0_1.png"
    if kind == "a file full of holes":
        with open(path, "wb") as file:
            file.write(sound_png(rng))
            file.truncate(BOMB)
    else:
        made = STRUCTURED[kind](rng) if kind in STRUCTURED else DAMAGES[kind](sound_png(rng), rng)
        path.write_bytes(made)
    return Mutant(path, ("make again",), refused=kind in MUST_FAIL)


def read_png(mutant: Mutant) -> None:
    """Pack the folder; what is accepted must be what Pillow sees in the file."""
    folder = mutant.path.parents[1]
    pack = open_pack(folder, "augmentations", folder / "manifest.json", "make again")
    assert pack.images.shape == (2, 48, 48) and pack.images.dtype == np.uint8 and pack.ks.tolist() == [0, 1]
    try:
        with Image.open(mutant.path) as image:
            seen, mode = np.asarray(image), image.mode
    except Exception:  # what Pillow refuses to look at, such as bombs in remarks, has not touched the pixels
        seen, mode = face(), "L"
    assert mode == "L" and np.array_equal(seen, pack.images[1])


def header(name: bytes, size: bytes, kind: bytes) -> bytes:
    """A tar's header with its right checksum."""
    fields = name.ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2 + size + b"00000000000\0"
    rest = kind + bytes(100) + b"ustar\x0000" + bytes(247)
    return fields + b"%06o\0 " % (sum(fields) + sum(rest) + 8 * 32) + rest


def odd_sizes(rng: Random) -> bytes:
    """A size that is negative, binary, huge, empty or no number."""
    odd = (
        b"\xff" * 12,
        b"-0000002000\0",
        b"77777777777\0",
        b"\x80" + bytes(10) + b"\1",
        bytes(12),
        b"9" * 12,
        b" " * 12,
    )
    return header(b"0_1.png", rng.choice(odd), b"0")


def chains(rng: Random) -> bytes:
    """Thousands of headers that each say something of the next."""
    held = rng.choice((b"0_1.png", b"30 mtime=1.0\n", b"18 size=-1\n", b"26 GNU.sparse.major=1\n"))
    one = header(b"././@LongLink", b"%011o\0" % len(held), rng.choice((b"L", b"K", b"x", b"g"))) + held.ljust(
        512, b"\0"
    )
    return one * rng.choice((1, 3000))


def odd_kinds(rng: Random) -> bytes:
    """A member that is no plain file: sparse, a link, a folder, a device."""
    return header(b"0_1.png", b"00000000000\0", rng.choice((b"S", b"1", b"2", b"3", b"4", b"5", b"6", b"7", b"\xff")))


TARS = {make.__name__: make for make in (odd_sizes, chains, odd_kinds)}


def mutate_shard(folder: Path, kind: str, rng: Random) -> Mutant:
    """A folder of generated images in a shard that is damaged, or has an odd member among sound ones."""
    (folder / "manifest.json").write_text("{}")
    path, png_file = folder / "shard_00000.tar", encode(face())
    whole = b"".join(
        header(name, b"%011o\0" % len(png_file), b"0") + png_file.ljust(-(-len(png_file) // 512) * 512, b"\0")
        for name in (b"0_0.png", b"0_2.png")
    )
    if kind in TARS:
        at = rng.choice((0, len(whole) // 2, len(whole)))
        content = whole[:at] + TARS[kind](rng) + whole[at:] + bytes(1024)
    elif kind == "a shard full of holes":
        content = whole + bytes(1024)
    else:
        content = DAMAGES[kind](whole + bytes(1024), rng)
    path.write_bytes(content)
    if kind == "a shard full of holes":
        os.truncate(path, 1 << 40)
    return Mutant(path, ("make again",), refused=kind in (*TARS, "a shard full of holes"))


def read_shard(mutant: Mutant) -> None:
    """Pack the folder; what is accepted is what Python's tarfile finds there."""
    folder = mutant.path.parent
    pack = open_pack(folder, "augmentations", folder / "manifest.json", "make again", "shards")
    with tarfile.open(mutant.path) as tar:
        found = {member.name: tar.extractfile(member).read() for member in tar.getmembers()}
    assert len(pack.images) <= len(found) and pack.images.shape[1:] == (48, 48)
    for one, k, image in zip(pack.faces, pack.ks, pack.images, strict=True):
        with Image.open(io.BytesIO(next(held for name, held in found.items() if f"{one}_{k}.png" in name))) as seen:
            assert np.array_equal(np.asarray(seen), image)


def sound_picture(ending: str, rng: Random) -> bytes:
    """A face of any usual format, perhaps in colour, perhaps with EXIF data."""
    image = Image.fromarray(face())
    if rng.random() < 0.4:
        image = image.convert("RGB")
    if rng.random() < 0.3:
        image = image.resize((64, 80))
    options = {}
    if ending in (".jpg", ".png", ".webp", ".tif") and rng.random() < 0.5:
        exif = Image.Exif()
        exif[0x0112], exif[0x010F] = rng.randint(1, 8), "maker"
        options["exif"] = exif
    buffer = io.BytesIO()
    image.save(buffer, ENDINGS[ending], **options)
    return buffer.getvalue()


def many_scans(rng: Random) -> tuple[str, bytes]:
    """A progressive JPEG whose last scan, of a few bytes, is there thousands of times."""
    buffer = io.BytesIO()
    Image.fromarray(face()).resize((2000, 2000)).save(buffer, "JPEG", progressive=True)
    before, mark, last = buffer.getvalue()[:-2].rpartition(b"\xff\xda")
    return ".jpg", before + (mark + last) * rng.choice((200, 5000)) + b"\xff\xd9"


def large_tiles(rng: Random) -> tuple[str, bytes]:
    """A TIFF of 48x48 pixels in a tile of a thousand times its sides, packed zeros."""
    side = rng.choice((30_000, 46_000, 1 << 20))
    packed = zeros_packed(256 << 20)
    tags = {256: 48, 257: 48, 258: 8, 259: 8, 262: 1, 277: 1, 322: side, 323: side, 324: 134, 325: len(packed)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return ".tif", b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + packed


def long_line(rng: Random) -> tuple[str, bytes]:
    """A picture of one row or column."""
    buffer, size = io.BytesIO(), rng.choice(((1, 70_000), (70_000, 1)))
    Image.new("L", size).save(buffer, "PNG")
    return ".png", buffer.getvalue()


def empty_canvas(rng: Random) -> tuple[str, bytes]:
    """A GIF whose header or frame says that it is large."""
    sides = [(48, 48), (60_000, 60_000)]
    rng.shuffle(sides)
    (width, height), (right, down) = sides
    start = b"GIF89a" + struct.pack("<HH", width, height) + b"\x80\0\0" + bytes(3) + b"\xff" * 3
    return ".gif", start + b"," + struct.pack("<HHHH", 0, 0, right, down) + b"\0\2\2\x44\1\0;"


CODECS = {make.__name__: make for make in (many_scans, large_tiles, long_line, empty_canvas)}


def any_picture(kind: str, rng: Random) -> tuple[str, bytes]:
    """A damaged picture and its ending."""
    if kind in CODECS:
        return CODECS[kind](rng)
    if kind == "a large claim":  # just below what Pillow itself takes for a bomb
        side = rng.choice((9_400, 13_300))
        return ".png", png((side, side, 8, rng.choice((0, 2, 6)), 0, 0, 0), (b"IDAT", zeros_packed(64 << 20)))
    if kind in STRUCTURED:
        return ".png", STRUCTURED[kind](rng)
    ending = rng.choice(list(ENDINGS))
    return ending, DAMAGES[kind](sound_picture(ending, rng), rng)


def mutate_folder(folder: Path, kind: str, rng: Random) -> Mutant:
    """train/happy and test/sad with a picture each, and a damaged one of a perhaps odd name."""
    for name in ("train/happy", "test/sad"):
        (folder / name).mkdir(parents=True)
        Image.fromarray(face()).save(folder / name / "a.png")
    ending, content = any_picture(kind, rng)
    odd_names = ("b", "PublicTest_1", "line\nbreak", "\x1b[2J", "émotion", "x" * 200, "with space", "b'\"", "\udcff")
    path = folder / "train" / "happy" / (rng.choice((*["b"] * 10, *odd_names)) + ending)
    path.write_bytes(content)
    return Mutant(path, refused=kind in ("claims", "a large claim", *CODECS))


def read_folder(mutant: Mutant) -> None:
    """Load the folder."""
    splits = load_folder(mutant.path.parents[2])
    assert splits.faces.shape == (3, 48, 48) and splits.faces.dtype == np.uint8
    assert sorted(splits.labels.tolist()) == [3, 3, 4]


def mutate_photograph(folder: Path, kind: str, rng: Random) -> Mutant:
    """A picture to edit or to read."""
    ending, content = any_picture(kind, rng)
    path = folder / f"photo{ending}"
    path.write_bytes(content)
    return Mutant(path, refused=kind in ("claims", *CODECS), may_write=())


def read_one_photograph(mutant: Mutant) -> None:
    """Read it."""
    photograph = read_photograph(mutant.path)
    assert photograph.pixels.dtype == np.uint8 and photograph.pixels.ndim == 3
    assert photograph.pixels.shape[2] in (1, 2, 3, 4) and photograph.visible.size


FAMILIES = (
    Family("png", (*STRUCTURED, "a file full of holes", *DAMAGES), mutate_png, read_png),
    Family("shard", (*TARS, "a shard full of holes", *DAMAGES), mutate_shard, read_shard),
    Family("image_folder", ("a large claim", *CODECS, *DAMAGES, *STRUCTURED), mutate_folder, read_folder),
    Family("photograph", (*CODECS, *DAMAGES, *STRUCTURED), mutate_photograph, read_one_photograph),
)
