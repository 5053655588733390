"""48x48 grey PNGs: one to bytes and back, and many into memory, read by as many processes as there are cores.

The processes run this file (`python -m core_code.datasets.png_images`) and no more: a process pool would import
the main program, torch included, in each of them.
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
from pathlib import Path

import numpy as np
from PIL import PngImagePlugin

SIDE = 48
CHUNK = 2048
FEW = 4 * CHUNK
DAMAGED = 3
SIGNATURE = b"\x89PNG\r\n\x1a\n"
HEADER = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 0, 0, 0, 0)  # 8 bits of grey, not interlaced


class BadImage(Exception):
    """A file that is no whole 48x48 grey PNG: its `name` and, as the message, what is wrong with it."""

    def __init__(self, reason: str, name: str = "") -> None:
        super().__init__(reason)
        self.name = name


def read_images(folder: Path, names: list[str]) -> Iterator[np.ndarray]:
    """The named PNGs below `folder` in order, a few thousand at a time, uint8 [n, 48, 48].

    Raises BadImage for the first that cannot be read.
    """
    chunks = [names[start : start + CHUNK] for start in range(0, len(names), CHUNK)]
    count = min(len(chunks), cores())
    if len(names) < FEW or count < 2:
        yield from (read_chunk(folder, chunk) for chunk in chunks)
        return
    with contextlib.ExitStack() as stack:
        readers = [start_reader(stack, folder, chunks[first::count]) for first in range(count)]
        for number, chunk in enumerate(chunks):
            yield next_chunk(readers[number % count], len(chunk))


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def start_reader(stack: contextlib.ExitStack, folder: Path, chunks: list[list[str]]) -> subprocess.Popen:
    """Start a process that reads these chunks; it is ended with the stack."""
    root = str(Path(__file__).parents[2])
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))}
    reader = subprocess.Popen(
        [sys.executable, "-m", "core_code.datasets.png_images"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    )
    stack.enter_context(reader)
    stack.callback(reader.kill)
    with contextlib.suppress(BrokenPipeError), reader.stdin as pipe:
        pipe.write(json.dumps([str(folder.absolute()), chunks]).encode())
    return reader


def next_chunk(reader: subprocess.Popen, count: int) -> np.ndarray:
    """The reader's next images. Raises BadImage where it found one."""
    content = reader.stdout.read(count * SIDE * SIDE)
    if len(content) == count * SIDE * SIDE:
        return np.frombuffer(content, dtype=np.uint8).reshape(count, SIDE, SIDE)
    said = reader.stderr.read().decode(errors="replace").strip()
    if reader.wait() == DAMAGED:
        raise BadImage(*json.loads(said))
    raise RuntimeError(f"a process that reads images ended with status {reader.returncode}: {said}")


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
    for row, name in enumerate(names):
        try:
            with open(f"{folder}/{name}", "rb") as file:
                images[row] = decode(file.read())
        except BadImage as error:
            raise BadImage(str(error), name) from error
        except OSError as error:
            raise BadImage(f"cannot be read ({error.strerror})", name) from error
    return images


def encode(image: np.ndarray) -> bytes:
    """A grey image, uint8 [48, 48], as the bytes of a PNG whose pixels are stored as they are.

    Squeezed they would fill the same 4096-byte block of the disk, and take ten times as long to write and to read.
    """
    rows = np.zeros((SIDE, SIDE + 1), dtype=np.uint8)  # a row begins with its filter, 0 for none
    rows[:, 1:] = image
    return SIGNATURE + b"".join(
        struct.pack(">I", len(body)) + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")
        for kind, body in ((b"IHDR", HEADER), (b"IDAT", zlib.compress(rows, 0)), (b"IEND", b""))
    )


def decode(content: bytes) -> np.ndarray:
    """A PNG's bytes to uint8 [48, 48]. Raises BadImage for anything but a whole, undamaged 48x48 grey PNG."""
    chunks = split_chunks(content)
    try:
        if chunks[0] == (b"IHDR", HEADER):
            pixels = zlib.decompress(b"".join(body for kind, body in chunks if kind == b"IDAT"))
            rows = np.frombuffer(pixels, dtype=np.uint8).reshape(SIDE, SIDE + 1)
            if not rows[:, 0].any():
                return rows[:, 1:]
        image = PngImagePlugin.PngImageFile(io.BytesIO(content))
        if image.mode != "L" or image.size != (SIDE, SIDE):
            raise BadImage(f"an image of {image.size[0]}x{image.size[1]} pixels in mode {image.mode}")
        return np.frombuffer(image.tobytes(), dtype=np.uint8).reshape(SIDE, SIDE)
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error) as error:
        raise BadImage(f"a damaged PNG ({error})") from error


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
