"""Images in tar files of ten thousand (WebDataset's shards): few files and sequential reading, however many images."""

import io
import os
import re
import tarfile
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import BinaryIO

from core_code.core_utils.archives import BLOCK, tar_members
from core_code.core_utils.files import atomic_write

SHARD_IMAGES = 10_000
SHARD_PATTERN = re.compile(r"shard_\d{5,9}\.tar")
LARGEST_SHARD = 1 << 30  # bytes; ten thousand images take 31 million


class BadImage(Exception):
    """A file that is not a whole 48x48 grey PNG, or tar of them; `name` is as `shard_00003.tar/17_2.png` in a shard."""

    def __init__(self, reason: str, name: str = "") -> None:
        super().__init__(reason)
        self.name = name


def images_per_shard(batch_size: int) -> int:
    """About SHARD_IMAGES, in whole batches."""
    return max(SHARD_IMAGES // batch_size, 1) * batch_size


def shard_name(number: int) -> str:
    return f"shard_{number:05d}.tar"


def split_name(name: str) -> tuple[str, str]:
    """`shard_00003.tar/17_2.png` to the shard's and the member's name; a plain file has no shard, ''."""
    shard, _, member = name.partition("/")
    return (shard, member) if SHARD_PATTERN.fullmatch(shard) else ("", name)


def list_shards(folder: Path) -> list[str]:
    """Names of the shards in the folder, in order."""
    names = [path.name for path in Path(folder).iterdir() if SHARD_PATTERN.fullmatch(path.name)]
    return sorted(names, key=lambda name: (len(name), name))


def write_shard(path: Path, names: list[str], contents: list[bytes]) -> None:
    """Write a tar of these files, whole or not at all, the same bytes each time. Raises InputError where it cannot."""

    def fill(file: BinaryIO) -> None:
        with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for name, content in zip(names, contents, strict=True):
                member = tarfile.TarInfo(name)  # time, user and group are 0
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))

    atomic_write(path, fill)


def shard_bytes(contents: int, each: int) -> int:
    """The size of a shard of so many files of `each` bytes."""
    blocks = contents * (1 + -(-each // BLOCK)) + 2
    return -(-blocks * BLOCK // tarfile.RECORDSIZE) * tarfile.RECORDSIZE


def contents_of(folder: Path, names: list[str], most_bytes: int) -> Iterator[bytes]:
    """The bytes of files and of shards' members below `folder`, in order; of a file, no more than `most_bytes`.

    Raises BadImage for a shard that is damaged or lacks a member, and for a file that cannot be read.
    """
    for shard, group in groupby(names, key=lambda name: split_name(name)[0]):
        held = dict(members(folder, shard)) if shard else {}
        for name in group:
            try:
                if shard:
                    yield held[split_name(name)[1]]
                    continue
                with open(f"{folder}/{name}", "rb", buffering=0, opener=at_once) as file:
                    yield file.read(most_bytes) or b""
            except KeyError as error:
                raise BadImage("no longer in the shard", name) from error
            except OSError as error:
                raise BadImage(f"cannot be read ({error.strerror})", name) from error


def at_once(path: str, flags: int) -> int:
    """An opener that does not wait for a writer: a pipe is an empty file."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def members(folder: Path, shard: str) -> list[tuple[str, bytes]]:
    """Names and contents of a shard's files. Raises BadImage when it cannot be read to its end."""
    path = Path(folder) / shard
    try:
        if (size := path.stat().st_size) > LARGEST_SHARD:
            raise BadImage(f"a file of {size} bytes, expected at most {LARGEST_SHARD}", shard)
        if not path.is_file() and not path.is_dir():
            raise BadImage("a device or a pipe", shard)
        return tar_members(path.read_bytes())
    except OSError as error:
        raise BadImage(f"cannot be read ({error.strerror})", shard) from error
    except ValueError as error:
        raise BadImage(str(error), shard) from error
