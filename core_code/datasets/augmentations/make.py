"""Generating a plan's images and writing them: the generator computes a batch while the one before goes to disk.

Processes that torchrun starts divide the plan's chunks among themselves, by their ranks alone.
"""

import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from operator import methodcaller
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from core_code.core_utils.distributed.job import FIRST_WITHIN, barrier, is_main_process, rank, world_size
from core_code.core_utils.distributed.shared_work import SharedWork
from core_code.core_utils.errors import InputError
from core_code.core_utils.files import atomic_write, read_json, remove_stale_files, write_json
from core_code.core_utils.locks import exclusive_lock
from core_code.core_utils.signals import catch_signals, exit_with_message
from core_code.datasets.augmentations.detection import write_faces_not_found
from core_code.datasets.augmentations.manifest import MANIFEST_NAME, check_same, describe
from core_code.datasets.augmentations.pack import files_below, list_images
from core_code.datasets.augmentations.plan import FACE, SHARDS, Plan, Settings, image_names, make_plan
from core_code.datasets.augmentations.png import SIDE, encode
from core_code.datasets.augmentations.shards import list_shards, shard_bytes, split_name, write_shard
from core_code.datasets.fer2013 import FER2013
from core_code.datasets.image_folder import subfolders
from EmotionGAN.editor import Editor

IMAGE_BYTES = len(encode(np.zeros((SIDE, SIDE), dtype=np.uint8)))  # of every image: pixels are stored uncompressed
# more threads write fewer files a second: they wait for the interpreter's lock more than for the disk
WRITERS = 1
WAITING_BATCHES = 2

Batch = tuple[np.ndarray, np.ndarray]  # rows of the plan, int64 [n], and their images, uint8 [n, 48, 48]


@dataclass(frozen=True)
class Result:
    """The images of the plan, how many of them were found on disk, and the seconds that all processes took."""

    plan: Plan
    found: int
    seconds: float

    @property
    def generated(self) -> int:
        return len(self.plan) - self.found


def generate_images(
    settings: Settings, train: FER2013, face_count: int, editor: Editor, folder: Path, command: str = "",
    boxes: Tensor | None = None,
) -> Result:  # fmt: skip
    """Generate the images that `folder` lacks of the plan for the first `face_count` training faces.

    The images depend on settings, faces and generator alone: a run that was interrupted and started again leaves the
    files that an unbroken one leaves. `command`, which generates the same images again, goes into the manifest. Of
    the processes of a job each generates its own chunks of the plan; all return when all are done. `boxes`, float
    [face_count, 4], are the parts of the faces that the generator edits; a face whose box is NaN gets no image.

    Raises InputError when the folder holds other images or is another run's, and when it cannot be written;
    KeyboardInterrupt or SystemExit(143), with a message of what is saved, when interrupted.
    """
    if train.split != "train":
        raise ValueError(f"faces of {train.split}: only training faces may be edited")
    folder = Path(folder)
    with exclusive_lock(folder) if is_main_process() else nullcontext():
        barrier(FIRST_WITHIN)  # the others begin when the main process holds the lock
        face_codes = editor.encode_faces(train.faces[:face_count]) if settings.centre == FACE else None
        plan = make_plan(settings, train.labels[:face_count], train.class_counts, editor.space, face_codes)
        if boxes is not None:
            plan = plan.of_faces(boxes.isfinite().all(dim=1).numpy())
        manifest = describe(settings, train, face_count, editor, plan, command, boxes)
        missing = open_folder(folder, settings, plan, manifest, train)
        if boxes is not None and is_main_process():
            write_faces_not_found(folder, boxes, train)
        start, work = time.perf_counter(), SharedWork()
        own = missing & (np.arange(len(plan)) // settings.chunk % world_size() == rank())
        if own.any():
            # on a GPU: the fastest algorithm may not be the same one next time
            with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
                edited = edited_batches(settings, plan, own, train.faces, editor, boxes)
                write_batches(folder, image_names(settings, plan), edited, Progress(plan, missing, work))
        work.wait()
        if is_main_process():
            write_json(folder / MANIFEST_NAME, manifest | {"complete": True})
        barrier()
    return Result(plan, len(plan) - int(missing.sum()), time.perf_counter() - start)


def open_folder(folder: Path, settings: Settings, plan: Plan, manifest: dict[str, Any], train: FER2013) -> np.ndarray:
    """Which images of the plan are missing in the folder: bool [M]; where some are, the manifest is written.

    Removes the stale temporary files of a killed run. Raises InputError where the folder's images are not of this
    plan, and where the job's processes, perhaps on several machines, have different plans.
    """
    path = folder / MANIFEST_NAME
    if is_main_process():
        for part in [folder, *subfolders(folder)]:
            remove_stale_files(part)
        if not path.exists() and (list_shards(folder) or list_images(folder, settings.mode)[0]):
            advice = f"use another --dest_folder, or remove the images in {folder}"
            raise InputError(f"{path}: no such file beside images; {advice}")
    else:
        barrier(FIRST_WITHIN)
    if path.exists():
        # machines may differ in what --precision auto and --compile come to
        check_same(read_json(path), manifest, folder, train)
    missing = missing_images(settings, image_names(settings, plan), folder)
    if is_main_process():
        if missing.any():
            write_json(path, manifest)
        barrier(FIRST_WITHIN)
    return missing


def missing_images(settings: Settings, names: list[str], folder: Path) -> np.ndarray:
    """Which of the named images are not on disk: bool [M]. Of a shard all are missing, or none."""
    if settings.storage != SHARDS:
        found = set(files_below(folder))
        return np.array([name not in found for name in names], dtype=bool)
    missing = np.ones(len(names), dtype=bool)
    shards = set(list_shards(folder))
    for start in range(0, len(names), settings.chunk):
        shard, _ = split_name(names[start])
        count = min(settings.chunk, len(names) - start)
        # one with fewer images is of a run for fewer faces
        if shard in shards and (folder / shard).stat().st_size == shard_bytes(count, IMAGE_BYTES):
            missing[start : start + count] = False
    return missing


def edited_batches(
    settings: Settings, plan: Plan, missing: np.ndarray, faces: Tensor, editor: Editor, boxes: Tensor | None
) -> Iterator[Batch]:
    """The missing rows of the plan and their images, batch by batch, or shard by shard.

    Batches are fixed ranges of the plan, computed whole or not at all and always of the same size (the last is filled
    up with its last row), which is the whole plan's where that is smaller: what a batch's neighbours are can change the
    last bit of an image, and an interruption must not.
    """
    size = min(settings.batch_size, len(plan))
    for start in range(0, len(plan), settings.chunk):
        rows, images = [], []
        for first in range(start, min(start + settings.chunk, len(plan)), size):
            wanted = missing[first : first + size]
            if not wanted.any():
                continue
            padded = np.minimum(np.arange(first, first + size), len(plan) - 1)
            picked, codes = torch.from_numpy(plan.faces[padded]), torch.from_numpy(plan.codes[padded])
            edited = editor.edit(faces[picked], codes, None if boxes is None else boxes[picked])
            rows.append(first + np.flatnonzero(wanted))
            images.append(edited.cpu().numpy()[: len(wanted)][wanted])
        if rows:
            yield np.concatenate(rows), np.concatenate(images)


def write_batches(folder: Path, names: list[str], edited: Iterator[Batch], progress: "Progress") -> None:
    """Write the images as they are generated. When interrupted, ends with a message of how many are saved."""
    with ThreadPoolExecutor(WRITERS) as writers, catch_signals():
        writers.submit(int).result()  # starts the thread: an interruption in its start would lose hold of it
        waiting: deque[Future[None]] = deque()
        written: list[int] = []  # counted where they are written: an interruption may lose hold of a waiting batch

        def write(rows: np.ndarray, images: np.ndarray) -> None:
            write_images(folder, [names[row] for row in rows], images)
            written.append(len(rows))

        def wait_for_all_but(count: int) -> None:
            while len(waiting) > count:
                waiting.popleft().result()
            progress.show(sum(written))

        try:
            for rows, images in edited:
                waiting.append(writers.submit(write, rows, images))
                wait_for_all_but(WAITING_BATCHES)
            wait_for_all_but(0)
        except KeyboardInterrupt as interrupt:
            writers.shutdown(wait=True)
            progress.show(sum(written))
            progress.bar.close()
            saved = f"{progress.done} of {progress.bar.total} images are saved in {folder}"
            exit_with_message(interrupt, f"{saved}; start the same command again to go on")
        except BaseException:
            writers.shutdown(wait=False, cancel_futures=True)
            raise
        finally:
            progress.bar.close()


def write_images(folder: Path, names: list[str], images: np.ndarray) -> None:
    """Write grey PNGs, each whole or not at all, or the shard that they are all of."""
    contents = map(encode, images)
    shard, _ = split_name(names[0])
    if shard:
        write_shard(folder / shard, [split_name(name)[1] for name in names], list(contents))
        return
    for name, content in zip(names, contents, strict=True):
        atomic_write(folder / name, methodcaller("write", content), durable=False)


class Progress:
    """A bar of the images that all processes have done: per second, time left, and faces per second."""

    def __init__(self, plan: Plan, missing: np.ndarray, work: SharedWork) -> None:
        self.done = self.found = len(plan) - int(missing.sum())
        self.bar = tqdm(total=len(plan), initial=self.found, unit=" images", desc="generating", smoothing=0.1)
        self.faces_per_image = (int(plan.faces.max()) + 1) / len(plan)
        self.work = work
        self.start = time.perf_counter()

    def show(self, written: int) -> None:
        """`written`: images of this process so far."""
        seconds = time.perf_counter() - self.start
        self.done = self.found + self.work.report(written)
        self.bar.update(self.done - self.bar.n)
        rate = (self.done - self.found) * self.faces_per_image / max(seconds, 1e-9)
        self.bar.set_postfix_str(f"{rate:.1f} faces/s", refresh=False)
