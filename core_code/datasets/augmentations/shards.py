"""Images in tar files of ten thousand (WebDataset's shards): few files and sequential reading, however many images.

A member's name is written as a path, `shard_00003.tar/17_2.png`.
"""

import io
import re
import tarfile
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from core_code.core_utils.files import atomic_write

SHARD_IMAGES = 10_000
SHARD_PATTERN = re.compile(r"shard_\d{5,9}\.tar")
BLOCK = tarfile.BLOCKSIZE


class BadShard(Exception):
    """A tar that is damaged or lacks a member: its `name`, or the member's, and the fault as the message."""

    def __init__(self, reason: str, name: str) -> None:
        super().__init__(reason)
        self.name = name


def images_per_shard(batch_size: int) -> int:
    """About SHARD_IMAGES, in whole batches."""
    return max(SHARD_IMAGES // batch_size, 1) * batch_size


def shard_name(number: int) -> str:
    return f"shard_{number:05d}.tar"


def split_place(place: str) -> tuple[str, str]:
    """`shard_00003.tar/17_2.png` to the shard's and the member's name; a plain file has no shard, ''."""
    shard, _, member = place.partition("/")
    return (shard, member) if SHARD_PATTERN.fullmatch(shard) else ("", place)


def list_shards(folder: Path) -> list[str]:
    """Names of the shards in the folder, in order."""
    return sorted((path.name for path in Path(folder).iterdir() if SHARD_PATTERN.fullmatch(path.name)), key=number_of)


def number_of(name: str) -> int:
    """shard_00003.tar is number 3."""
    return int(name[len("shard_") : -len(".tar")])


def write_shard(path: Path, names: list[str], contents: list[bytes]) -> None:
    """Write a tar of these files, whole or not at all; its bytes depend on names and contents alone.

    Raises InputError when it cannot be written.
    """

    def fill(file: io.BufferedIOBase) -> None:
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


def member_names(folder: Path, shard: str) -> list[str]:
    """The files in a shard. Raises BadShard for one that is damaged or cut."""
    return [name for name, _ in members(folder, shard)]


def contents_of(folder: Path, places: list[str], most_bytes: int) -> Iterator[bytes]:
    """The bytes of files and of shards' members below `folder`, in order; of a file, no more than `most_bytes`.

    Raises BadShard for a shard that is damaged or lacks a member, OSError for a file that cannot be read.
    """
    for shard, group in groupby(places, key=lambda place: split_place(place)[0]):
        if not shard:
            for place in group:
                with open(f"{folder}/{place}", "rb") as file:
                    yield file.read(most_bytes)
            continue
        held = dict(members(folder, shard))
        for place in group:
            if (content := held.get(split_place(place)[1])) is None:
                raise BadShard("no longer in the shard", place)
            yield content


def members(folder: Path, shard: str) -> list[tuple[str, bytes]]:
    """Names and contents of a shard's files. Raises BadShard when it cannot be read to its end."""
    try:
        content = (Path(folder) / shard).read_bytes()
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as tar:
            headers = tar.getmembers()
    except OSError as error:
        raise BadShard(f"cannot be read ({error.strerror})", shard) from error
    except (tarfile.TarError, ValueError, EOFError) as error:
        raise BadShard(f"a damaged tar ({error})", shard) from error
    # tarfile takes a damaged header, and a cut between two files, for the end
    end = headers[-1].offset_data + -(-headers[-1].size // BLOCK) * BLOCK if headers else 0
    if content[end : end + 2 * BLOCK] != bytes(2 * BLOCK):
        raise BadShard(f"a damaged or truncated tar (after {len(headers)} files)", shard)
    files = [header for header in headers if header.isfile()]
    return [(file.name, content[file.offset_data : file.offset_data + file.size]) for file in files]
