"""Hundreds of thousands of small PNGs in one file that is mapped into memory, made anew when the images change.

The PNGs are single files, or lie in shards.
"""

import hashlib
import json
import os
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from tqdm import tqdm

from core_code.core_utils.errors import InputError
from core_code.core_utils.files import atomic_write, remove_stale_files
from core_code.datasets.augmentations.png import SIDE, BadImage, read_images
from core_code.datasets.augmentations.shards import BadShard, list_shards, member_names, split_place

PACK_NAME = "packed_images.cache"
FORMAT = "images 1"
HEADER_BYTES = 4096
NAME_PATTERNS = {
    "augmentations": re.compile(r"(?P<face>\d{1,9})_(?P<k>\d{1,9})\.png"),
    "expansion": re.compile(r"(?P<face>\d{1,9})\.png"),
}
SHARD_PATTERNS = {
    "augmentations": NAME_PATTERNS["augmentations"],
    "expansion": re.compile(r"(?P<k>\d{1,9})/(?P<face>\d{1,9})\.png"),
}


@dataclass(frozen=True)
class ImagePack:
    """faces, ks: int64 [M], what the image is of; images: uint8 [M, 48, 48]. By face, then k."""

    faces: np.ndarray
    ks: np.ndarray
    images: np.ndarray


def open_pack(folder: Path, mode: str, manifest_path: Path, remake: str, storage: str = "png") -> ImagePack:
    """All images below `folder`, from the packed file where that is up to date, else packed now.

    The packed file tells its state by the manifest's bytes, the sub-folders' and shards' names and times of change.
    `remake` is the command that makes missing images again, for the error; `storage` is png or shards.
    Raises InputError naming the first file, or place in a shard, that is not a whole 48x48 grey PNG.
    """
    path = folder / PACK_NAME
    source = state_of(folder, manifest_path)
    pack = map_pack(path, source)
    if pack is None:
        sharded = storage == "shards"
        names, faces, ks = list_shard_images(folder, mode, remake) if sharded else list_images(folder, mode)
        chunks = decoded_chunks(folder, names, remake)
        if os.access(folder, os.W_OK):
            remove_stale_files(folder, PACK_NAME)
            atomic_write(path, lambda file: write_pack(file, source, faces, ks, chunks), durable=False)
            pack = map_pack(path, source)
        if pack is None:
            # a read-only folder costs time at every start, and nothing else
            pack = ImagePack(faces, ks, np.concatenate([*decoded_chunks(folder, names, remake), no_images()]))
    return pack


def no_images() -> np.ndarray:
    """An empty array of images, uint8 [0, 48, 48]."""
    return np.empty((0, SIDE, SIDE), dtype=np.uint8)


def sub_folders(folder: Path) -> list[os.DirEntry[str]]:
    """The folder's visible sub-folders, by name."""
    with os.scandir(folder) as entries:
        return sorted((e for e in entries if e.is_dir() and not e.name.startswith(".")), key=lambda e: e.name)


def state_of(folder: Path, manifest_path: Path) -> str:
    """Hex digest that differs whenever the manifest, any sub-folder's list of files or any shard has changed."""
    digest = hashlib.sha256(manifest_path.read_bytes())
    for entry in sub_folders(folder):
        digest.update(f"/{entry.name} {entry.stat().st_mtime_ns}".encode())
    for name in list_shards(folder):
        state = (folder / name).stat()
        digest.update(f"/{name} {state.st_mtime_ns} {state.st_size}".encode())
    return digest.hexdigest()


def list_images(folder: Path, mode: str) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Names below `folder`, faces int64 [M] and ks int64 [M] of the images there, by face, then k.

    Augmentations are found in whatever sub-folder they lie; for the expansion the sub-folder's name is k.
    """
    pattern, found = NAME_PATTERNS[mode], []
    for entry in sub_folders(folder):
        if mode == "expansion" and not entry.name.isdecimal():
            continue
        with os.scandir(entry.path) as files:
            for name in map(lambda file: file.name, files):
                if match := pattern.fullmatch(name):
                    k = int(match["k"] if mode == "augmentations" else entry.name)
                    found.append((int(match["face"]), k, f"{entry.name}/{name}"))
    return by_face(found)


def by_face(found: list[tuple[int, int, str]]) -> tuple[list[str], np.ndarray, np.ndarray]:
    """(face, k, name) to names, faces int64 [M] and ks int64 [M], by face, then k."""
    found.sort()
    keys = np.array([(face, k) for face, k, _ in found], dtype=np.int64).reshape(-1, 2)
    return [name for _, _, name in found], keys[:, 0].copy(), keys[:, 1].copy()


def list_shard_images(folder: Path, mode: str, remake: str) -> tuple[list[str], np.ndarray, np.ndarray]:
    """As list_images, of the images in the folder's shards.

    Raises InputError for a shard that is damaged.
    """
    pattern, found = SHARD_PATTERNS[mode], []
    for shard in list_shards(folder):
        try:
            names = member_names(folder, shard)
        except BadShard as error:
            raise InputError(f"{folder / shard}: {error}; remove it, and make it again with: {remake}") from error
        for name in names:
            if match := pattern.fullmatch(name):
                found.append((int(match["face"]), int(match["k"]), f"{shard}/{name}"))
    return by_face(found)


def decoded_chunks(folder: Path, names: list[str], remake: str) -> Iterator[np.ndarray]:
    """The images in order, a few thousand at a time, uint8 [n, 48, 48], with a progress bar.

    Raises InputError for the first that is damaged.
    """
    with tqdm(total=len(names), desc="packing images", unit=" images", delay=2) as bar:
        try:
            for images in read_images(folder, names):
                yield images
                bar.update(len(images))
        except BadImage as error:
            shard, _ = split_place(error.name)
            raise InputError(
                f"{folder / error.name}: {error}, expected a {SIDE}x{SIDE} grey PNG; remove {shard or 'it'}, and make "
                f"it again with: {remake}"
            ) from error


def write_pack(file: BinaryIO, source: str, faces: np.ndarray, ks: np.ndarray, chunks: Iterator[np.ndarray]) -> None:
    """Write a header of JSON, filled up to 4096 bytes, then faces, ks and images."""
    file.write(bytes(HEADER_BYTES))
    file.write(faces.tobytes() + ks.tobytes())
    checksum = zlib.crc32(ks, zlib.crc32(faces))
    for images in chunks:
        file.write(images.data)
        checksum = zlib.crc32(images, checksum)
    header = {"format": FORMAT, "source": source, "images": len(faces), "checksum": checksum}
    file.seek(0)
    file.write(json.dumps(header).encode().ljust(HEADER_BYTES))


def map_pack(path: Path, source: str) -> ImagePack | None:
    """Map the packed file, copy-on-write; None when there is none, when it is of another state, or damaged."""
    try:
        with open(path, "rb") as file:
            header = json.loads(file.read(HEADER_BYTES))
        count = header["images"]
        if (header["format"], header["source"]) != (FORMAT, source) or type(count) is not int or count < 0:
            return None
        if path.stat().st_size != HEADER_BYTES + count * (16 + SIDE * SIDE):
            return None
        if count == 0:
            return ImagePack(np.empty(0, np.int64), np.empty(0, np.int64), no_images())
        content = np.memmap(path, dtype=np.uint8, mode="c", offset=HEADER_BYTES).view(np.ndarray)
        if zlib.crc32(content) != header["checksum"]:
            return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    keys = content[: count * 16].view(np.int64)
    return ImagePack(keys[:count], keys[count:], content[count * 16 :].reshape(count, SIDE, SIDE))
