"""All generated images of a folder in one file that is mapped into memory, and written again when images change."""

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from core_code.core_utils.errors import InputError
from core_code.datasets.augmentations.plan import AUGMENTATIONS, EXPANSION, PNG, SHARDS
from core_code.datasets.augmentations.png import read_images
from core_code.datasets.augmentations.shards import BadImage, list_shards, members, split_name
from core_code.datasets.cache import load_or_make
from core_code.datasets.image_folder import subfolders
from core_code.datasets.splits import SIDE

PACK_NAME = "packed_images.cache"
LAYOUT = {"faces": (np.int64, ()), "ks": (np.int64, ()), "images": (np.uint8, (SIDE, SIDE))}
NAME_PATTERNS = {  # below the folder, in sub-folders or shards; of the expansion these have sub-folders for k
    AUGMENTATIONS: re.compile(r"[^/]+/(?P<face>\d{1,9})_(?P<k>\d{1,9})\.png"),
    EXPANSION: re.compile(r"([^/]+/)?(?P<k>\d{1,9})/(?P<face>\d{1,9})\.png"),
}


@dataclass(frozen=True)
class ImagePack:
    """By face, then k. faces, ks: int64 [M], whose image it is, and which of them; images: uint8 [M, 48, 48]."""

    faces: np.ndarray
    ks: np.ndarray
    images: np.ndarray


def open_pack(folder: Path, mode: str, manifest_path: Path, remake: str, storage: str = PNG) -> ImagePack:
    """All images below `folder`, from the packed file if manifest, sub-folders and shards are unchanged, else packed.

    `remake` is the command that generates missing images again, for the error; `storage` is png or shards.
    Raises InputError naming the first file, or member of a shard, that is not a whole 48x48 grey PNG.
    """

    def pack() -> dict:
        names, faces, ks = list_images(folder, mode, storage, remake)
        return {"faces": faces, "ks": ks, "images": lambda: decoded_chunks(folder, names, remake)}

    return ImagePack(**load_or_make(folder / PACK_NAME, state_of(folder, manifest_path), LAYOUT, pack))


def state_of(folder: Path, manifest_path: Path) -> str:
    """Hex digest that differs whenever the manifest, any sub-folder's list of files or any shard has changed."""
    digest = hashlib.sha256(manifest_path.read_bytes())
    for path in subfolders(folder):
        digest.update(f"/{path.name} {path.stat().st_mtime_ns}".encode(errors="surrogateescape"))
    for name in list_shards(folder):
        state = (folder / name).stat()
        digest.update(f"/{name} {state.st_mtime_ns} {state.st_size}".encode(errors="surrogateescape"))
    return digest.hexdigest()


def list_images(
    folder: Path, mode: str, storage: str = PNG, remake: str = ""
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Names below `folder`, faces int64 [M] and ks int64 [M] of the images there, by face, then k.

    Raises InputError for a shard that is damaged.
    """
    pattern, found = NAME_PATTERNS[mode], []
    for name in shard_members(folder, remake) if storage == SHARDS else files_below(folder):
        if match := pattern.fullmatch(name):
            found.append((int(match["face"]), int(match["k"]), name))
    found.sort()
    keys = np.array([(face, k) for face, k, _ in found], dtype=np.int64).reshape(-1, 2)
    return [name for _, _, name in found], keys[:, 0].copy(), keys[:, 1].copy()


def files_below(folder: Path) -> Iterator[str]:
    """The files in the folder's sub-folders."""
    for path in subfolders(folder):
        yield from (f"{path.name}/{file}" for file in os.listdir(path))


def shard_members(folder: Path, remake: str) -> Iterator[str]:
    """The files in the folder's shards. Raises InputError for a shard that is damaged."""
    for shard in list_shards(folder):
        try:
            yield from (f"{shard}/{name}" for name, _ in members(folder, shard))
        except BadImage as error:
            raise InputError(f"{folder / shard}: {error}; remove it, and generate it again with: {remake}") from error


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
            shard, _ = split_name(error.name)
            raise InputError(
                f"{folder / error.name}: {error}, expected a {SIDE}x{SIDE} grey PNG; remove {shard or 'it'}, and "
                f"generate it again with: {remake}"
            ) from error
