"""48x48 grey PNGs: encoding and decoding one, and reading many with as many processes as there are cores.

The processes run this file alone (`python -m core_code.datasets.augmentations.png`): a process pool would import the
main program, torch included, in each of them.
"""

import contextlib
import io
import json
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import numpy as np
from PIL import PngImagePlugin

from core_code.core_utils.cores import cores
from core_code.datasets.augmentations.shards import BadImage, contents_of, split_name
from core_code.datasets.splits import SIDE

CHUNK = 2048
FEW = 4 * CHUNK
DAMAGED = 3
MOST_BYTES = 1 << 20  # of a file: 48x48 pixels take about 2,400, the rest is for metadata of other programs
SIGNATURE = b"\x89PNG\r\n\x1a\n"
HEADER = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 0, 0, 0, 0)  # 8 bits of grey, not interlaced


def read_images(folder: Path, names: list[str]) -> Iterator[np.ndarray]:
    """The named PNGs below `folder` in order, a few thousand at a time, uint8 [n, 48, 48].

    A name may be that of a shard's member. Raises BadImage for the first that cannot be read.
    """
    chunks = split_names(names)
    count = min(len(chunks), cores())
    if len(names) < FEW or count < 2:
        yield from (read_chunk(folder, chunk) for chunk in chunks)
        return
    with contextlib.ExitStack() as stack:
        readers = [start_reader(stack, folder, chunks[first::count]) for first in range(count)]
        for number, chunk in enumerate(chunks):
            yield next_chunk(readers[number % count], len(chunk))


def split_names(names: list[str]) -> list[list[str]]:
    """Chunks of single files, and the members of each shard as one chunk, so that no shard is read twice."""
    chunks: list[list[str]] = []
    for shard, group in groupby(names, key=lambda name: split_name(name)[0]):
        together = list(group)
        size = len(together) if shard else CHUNK
        chunks += [together[start : start + size] for start in range(0, len(together), size)]
    return chunks


def start_reader(stack: contextlib.ExitStack, folder: Path, chunks: list[list[str]]) -> subprocess.Popen:
    """Start a process that reads these chunks; it is ended with the stack."""
    root = str(Path(__file__).parents[3])
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))}
    reader = subprocess.Popen(
        [sys.executable, "-m", "core_code.datasets.augmentations.png"], env=environment,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    stack.enter_context(reader)
    stack.callback(reader.kill)
    assert reader.stdin
    with contextlib.suppress(BrokenPipeError), reader.stdin as pipe:
        pipe.write(json.dumps([str(folder.absolute()), chunks]).encode())
    return reader


def next_chunk(reader: subprocess.Popen, count: int) -> np.ndarray:
    """The reader's next images. Raises BadImage where it found one."""
    assert reader.stdout and reader.stderr
    content = reader.stdout.read(count * SIDE * SIDE)
    if len(content) == count * SIDE * SIDE:
        return np.frombuffer(content, dtype=np.uint8).reshape(count, SIDE, SIDE)
    message = reader.stderr.read().decode(errors="replace").strip()
    if reader.wait() == DAMAGED:
        raise BadImage(*json.loads(message))
    raise RuntimeError(f"a process that reads images ended with status {reader.returncode}: {message}")


def main() -> None:
    """A reader: folder and chunks of names as JSON on stdin, pixels on stdout, or [reason, name] on stderr."""
    folder, chunks = json.load(sys.stdin)
    try:
        for chunk in chunks:
            sys.stdout.buffer.write(read_chunk(Path(folder), chunk).data)
    except BadImage as error:
        sys.stdout.buffer.flush()
        print(json.dumps([str(error), error.name]), file=sys.stderr)
        sys.exit(DAMAGED)


def read_chunk(folder: Path, names: list[str]) -> np.ndarray:
    """The named PNGs, uint8 [n, 48, 48]. Raises BadImage with the name of the first that cannot be read."""
    images = np.empty((len(names), SIDE, SIDE), dtype=np.uint8)
    contents = contents_of(folder, names, MOST_BYTES + 1)
    for row, name in enumerate(names):
        try:
            images[row] = decode(next(contents))
        except BadImage as error:
            raise BadImage(str(error), error.name or name) from error
    return images


def encode(image: np.ndarray) -> bytes:
    """A grey image, uint8 [48, 48], as the bytes of a PNG whose pixels are stored as they are.

    Compressed they would fill the same 4096-byte block of the disk, and take ten times as long to write and to read.
    """
    rows = np.zeros((SIDE, SIDE + 1), dtype=np.uint8)  # a row begins with its filter, 0 for none
    rows[:, 1:] = image
    return SIGNATURE + b"".join(
        struct.pack(">I", len(body)) + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")
        for kind, body in ((b"IHDR", HEADER), (b"IDAT", zlib.compress(rows.data, 0)), (b"IEND", b""))
    )


def decode(content: bytes) -> np.ndarray:
    """A PNG's bytes to uint8 [48, 48]. Raises BadImage for anything but a whole, undamaged 48x48 grey PNG."""
    if len(content) > MOST_BYTES:
        raise BadImage(f"a file of more than {MOST_BYTES} bytes")
    chunks = split_chunks(content)
    try:
        if chunks[0] == (b"IHDR", HEADER):
            rows = unpack(b"".join(body for kind, body in chunks if kind == b"IDAT"))
            if not rows[:, 0].any():
                return rows[:, 1:]
        image = PngImagePlugin.PngImageFile(io.BytesIO(content))
        if image.mode != "L" or image.size != (SIDE, SIDE):
            raise BadImage(f"an image of {image.size[0]}x{image.size[1]} pixels in mode {image.mode}")
        return np.frombuffer(image.tobytes(), dtype=np.uint8).reshape(SIDE, SIDE)
    except BadImage:
        raise
    except Exception as error:  # Pillow raises nearly anything on damaged chunks
        raise BadImage(f"a damaged PNG ({error})") from error


def unpack(packed: bytes) -> np.ndarray:
    """The scan lines, each after its filter, uint8 [48, 49]; more than that is never decompressed."""
    unpacker = zlib.decompressobj()
    pixels = unpacker.decompress(packed, SIDE * (SIDE + 1) + 1)
    if len(pixels) != SIDE * (SIDE + 1) or not unpacker.eof:
        raise BadImage("a damaged PNG (more or fewer pixels than its size)")
    return np.frombuffer(pixels, dtype=np.uint8).reshape(SIDE, SIDE + 1)


def split_chunks(content: bytes) -> list[tuple[bytes, bytes]]:
    """A PNG's chunks, (kind, body) each. Raises BadImage unless all are there, each with its checksum."""
    if content[:8] != SIGNATURE:
        raise BadImage("not a PNG")
    start, chunks = 8, [(b"", b"")]
    while chunks[-1][0] != b"IEND":
        if start + 12 > len(content):
            raise BadImage("a truncated PNG")
        length, kind = struct.unpack(">I4s", content[start : start + 8])
        end = start + 8 + length
        if zlib.crc32(content[start + 4 : end]).to_bytes(4, "big") != content[end : end + 4]:
            raise BadImage("a damaged or truncated PNG")
        chunks.append((kind, content[start + 8 : end]))
        start = end + 4
    return chunks[1:]


if __name__ == "__main__":
    main()
