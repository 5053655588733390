"""Making a plan's images and writing them: the generator computes a batch while the one before goes to disk.

Processes that torchrun starts divide the plan's stretches among themselves, by their numbers alone.
"""

import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from tqdm import tqdm

from core_code.core_utils.distributed.job import FIRST_WITHIN, barrier, is_main_process, rank, world_size
from core_code.core_utils.distributed.shared_work import SharedWork
from core_code.core_utils.errors import InputError
from core_code.core_utils.files import atomic_write, read_json, remove_stale_files, write_json
from core_code.core_utils.interrupts import catch_sigterm, exit_with_message
from core_code.core_utils.locks import exclusive_lock
from core_code.datasets.augmentations.detection import write_faces_not_found
from core_code.datasets.augmentations.manifest import MANIFEST_NAME, check_same, describe
from core_code.datasets.augmentations.pack import list_images, sub_folders
from core_code.datasets.augmentations.plan import FACE, SHARDS, CodeSpace, Plan, Settings, image_names, make_plan
from core_code.datasets.augmentations.png import SIDE, encode
from core_code.datasets.augmentations.shards import list_shards, shard_bytes, split_place, write_shard
from core_code.datasets.fer2013 import FER2013

IMAGE_BYTES = len(encode(np.zeros((SIDE, SIDE), dtype=np.uint8)))  # all are as long: pixels are stored as they are
# more threads write fewer files a second: they wait for the interpreter's lock more than for the disk
WRITERS = 1
WAITING_BATCHES = 2


class Editor(Protocol):
    """What is needed of EmotionGAN's Editor."""

    name: str
    fingerprint: str
    space: CodeSpace

    def encode_faces(self, faces: torch.Tensor) -> torch.Tensor:
        """Faces uint8 [N, H, W] to their own codes float32 [N, 2]; raises InputError where it cannot."""

    def edit(self, faces: torch.Tensor, codes: torch.Tensor, boxes: torch.Tensor | None = None) -> torch.Tensor:
        """Faces uint8 [B, H, W] and codes float32 [B, 2] to faces uint8 [B, H, W]; with boxes float [B, 4] (left,
        top, right, bottom) only these parts of the faces are edited."""


@dataclass(frozen=True)
class Made:
    """What all processes of a run have done: images of the plan, how many were found on disk, and the seconds."""

    plan: Plan
    found: int
    seconds: float

    @property
    def made(self) -> int:
        return len(self.plan) - self.found


def generate_images(
    settings: Settings,
    train: FER2013,
    face_count: int,
    editor: Editor,
    folder: Path,
    command: str = "",
    boxes: torch.Tensor | None = None,
) -> Made:
    """Make whatever is missing in `folder` of the plan for the first `face_count` training faces.

    The images depend on settings, faces and generator alone: a run that was interrupted, however, and started
    again leaves the files that an unbroken one leaves. `command` makes the same images again; it is written into
    the manifest for whoever finds one missing. Of the processes of a job each makes its own stretches of the plan;
    all return when all are done. `boxes`, float [face_count, 4], are the parts of the faces that the
    generator is to see; a face whose box is NaN has none and gets no image.

    Raises InputError when the folder holds other images or is another run's, and when it cannot be written;
    KeyboardInterrupt or SystemExit(143), having said what is saved, when interrupted.
    """
    if train.phase != "train":
        raise ValueError(f"faces of {train.phase}: only training faces may be edited")
    folder = Path(folder)
    with exclusive_job(folder):
        encode_faces = editor.encode_faces(train.faces[:face_count]) if settings.centre == FACE else None
        plan = make_plan(settings, train.labels[:face_count], train.class_counts, editor.space, encode_faces)
        if boxes is not None:
            plan = plan.of_faces(boxes.isfinite().all(dim=1).numpy())
        manifest = describe(settings, train, face_count, editor, plan, command, boxes)
        names = image_names(settings, plan)
        if is_main_process():
            accept_folder(folder, settings, manifest, train)
            missing = missing_images(settings, names, folder)
            if missing.any():
                write_json(folder / MANIFEST_NAME, manifest)
            if boxes is not None:
                write_faces_not_found(folder, boxes, train)
        barrier(FIRST_WITHIN)
        if not is_main_process():  # machines may differ in what --precision auto and --compile come to
            accept_others(folder, manifest, train)
            missing = missing_images(settings, names, folder)
        start, work = time.perf_counter(), SharedWork()
        own = missing & (np.arange(len(plan)) // settings.stretch % world_size() == rank())
        if own.any():
            # on a GPU: the fastest algorithm may not be the same one next time
            with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
                edited = edited_batches(settings.batch_size, plan, own, train.faces, editor, boxes)
                if settings.storage == SHARDS:
                    edited = whole_chunks(edited, settings.stretch, len(plan))
                bar = ProgressBar(len(plan), int((~missing).sum()), int(plan.faces.max()) + 1, work)
                write_missing(names, edited, folder, bar)
        work.wait()
        if is_main_process():
            write_json(folder / MANIFEST_NAME, manifest | {"complete": True})
        barrier()
    return Made(plan, len(plan) - int(missing.sum()), time.perf_counter() - start)


@contextmanager
def exclusive_job(folder: Path) -> Iterator[None]:
    """Hold the folder for all processes of this job: its writer holds the lock, the others begin when it does.

    Raises InputError as exclusive_lock does.
    """
    if not is_main_process():
        barrier()
        yield
        return
    with exclusive_lock(folder):
        barrier()
        yield


def missing_images(settings: Settings, names: list[str], folder: Path) -> np.ndarray:
    """Which of the named images are not on disk: bool [M]. Of a shard all are missing, or none."""
    if settings.storage != SHARDS:
        found = set(list_images(folder, settings.mode)[0])
        return np.array([name not in found for name in names], dtype=bool)
    missing = np.ones(len(names), dtype=bool)
    there = set(list_shards(folder))
    for start in range(0, len(names), settings.stretch):
        shard, _ = split_place(names[start])
        count = min(settings.stretch, len(names) - start)
        # one with fewer images is of a run for fewer faces
        if shard in there and (folder / shard).stat().st_size == shard_bytes(count, IMAGE_BYTES):
            missing[start : start + count] = False
    return missing


def accept_folder(folder: Path, settings: Settings, manifest: dict[str, Any], train: FER2013) -> None:
    """Raise InputError where the folder's images are not of this plan; remove what a killed run left half-written."""
    for part in [folder, *(Path(entry.path) for entry in sub_folders(folder))]:
        remove_stale_files(part)
    path = folder / MANIFEST_NAME
    if path.exists():
        check_same(read_json(path), manifest, folder, train)
    elif list_shards(folder) or list_images(folder, settings.mode)[0]:
        raise InputError(
            f"{path}: no such file beside images; use another --dest_folder, or remove the images in {folder}"
        )


def accept_others(folder: Path, manifest: dict[str, Any], train: FER2013) -> None:
    """Raise InputError where the job's writer, on another machine perhaps, makes other images than this process."""
    if (folder / MANIFEST_NAME).exists():  # there is none where there is nothing to make
        check_same(read_json(folder / MANIFEST_NAME), manifest, folder, train)


def write_missing(
    names: list[str], edited: Iterator[tuple[np.ndarray, np.ndarray]], folder: Path, bar: "ProgressBar"
) -> None:
    """Write the images, rows of the plan and images at a time, as they are made; the bar shows how many."""
    with ThreadPoolExecutor(WRITERS) as writers, catch_sigterm():
        waiting: deque[Future[None]] = deque()
        written: list[int] = []  # counted where they are written: an interruption may lose hold of a waiting batch

        def write(rows: np.ndarray, images: np.ndarray) -> None:
            written.append(write_images(folder, [names[row] for row in rows], images))

        try:
            for rows, images in edited:
                waiting.append(writers.submit(write, rows, images))
                while len(waiting) > WAITING_BATCHES:
                    waiting.popleft().result()
                bar.show(sum(written))
            while waiting:
                waiting.popleft().result()
                bar.show(sum(written))
        except KeyboardInterrupt as interrupt:
            writers.shutdown(wait=True)
            bar.show(sum(written))
            end_interrupted(interrupt, bar, folder)
        except BaseException:
            writers.shutdown(wait=False, cancel_futures=True)
            raise
        finally:
            bar.close()


def edited_batches(
    batch_size: int,
    plan: Plan,
    missing: np.ndarray,
    faces: torch.Tensor,
    editor: Editor,
    boxes: torch.Tensor | None = None,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The missing rows of the plan and their images, uint8 [n, 48, 48], batch by batch.

    Batches are fixed stretches of the plan, computed whole or not at all and always of the same size (the last is
    filled up with its last row): what a batch's neighbours are can change the last bit of an image, and an
    interrupted run must not.
    """
    for start in range(0, len(plan), batch_size):
        wanted = missing[start : start + batch_size]
        if not wanted.any():
            continue
        rows = np.minimum(np.arange(start, start + batch_size), len(plan) - 1)
        picked, codes = torch.from_numpy(plan.faces[rows]), torch.from_numpy(plan.codes[rows])
        images = editor.edit(faces[picked], codes, None if boxes is None else boxes[picked])
        yield start + np.flatnonzero(wanted), images.cpu().numpy()[: len(wanted)][wanted]


def whole_chunks(
    edited: Iterator[tuple[np.ndarray, np.ndarray]], stretch: int, count: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Batches, each of whole rows of the plan's `count`, put together to whole stretches of it."""
    rows: list[np.ndarray] = []
    images: list[np.ndarray] = []
    for batch_rows, batch_images in edited:
        rows.append(batch_rows)
        images.append(batch_images)
        end = int(batch_rows[-1]) + 1
        if end % stretch == 0 or end == count:
            yield np.concatenate(rows), np.concatenate(images)
            rows, images = [], []


def write_images(folder: Path, names: list[str], images: np.ndarray) -> int:
    """Write grey PNGs, each whole or not at all, or the shard that they are all of; returns how many."""
    shard, _ = split_place(names[0])
    if shard:
        write_shard(folder / shard, [split_place(name)[1] for name in names], [encode(image) for image in images])
        return len(names)
    for name, image in zip(names, images, strict=True):
        content = encode(image)
        atomic_write(folder / name, lambda file, content=content: file.write(content), durable=False)
    return len(names)


class ProgressBar:
    """Images done by all processes, per second, time left, and faces per second."""

    def __init__(self, images: int, found: int, faces: int, work: SharedWork) -> None:
        self.bar = tqdm(total=images, initial=found, unit=" images", desc="generating", smoothing=0.1)
        self.faces_per_image = faces / images
        self.found = found
        self.work = work
        self.start = time.perf_counter()

    def show(self, made: int) -> None:
        """`made`: images made by this process so far."""
        seconds = time.perf_counter() - self.start
        self.bar.update(self.found + self.work.report(made) - self.bar.n)
        rate = (self.bar.n - self.found) * self.faces_per_image / max(seconds, 1e-9)
        self.bar.set_postfix_str(f"{rate:.1f} faces/s", refresh=False)

    def close(self) -> None:
        self.bar.close()


def end_interrupted(interrupt: KeyboardInterrupt, bar: ProgressBar, folder: Path) -> None:
    """Say what is saved and raise what ends the command with the shell's status for the signal."""
    bar.close()
    said = f"{bar.bar.n} of {bar.bar.total} images are saved in {folder}; start the same command again to go on"
    exit_with_message(interrupt, said)
