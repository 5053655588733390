"""What dlib sees in faces, by several processes; without PyTorch, so that these start quickly."""

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from tqdm import tqdm

from core_code.core_utils.cores import cores
from core_code.core_utils.photos.face_finder import MODELS_PACKAGE, detect, dlib_file, frontal_box, load_dlib

LANDMARKS, DESCRIPTOR = "shape_predictor_5_face_landmarks.dat", "dlib_face_recognition_resnet_model_v1.dat"
ENLARGED = 256  # pixels a side of the copies in which landmarks are looked for
FEW, CHUNK = 100, 16  # so few faces need no further process; so many are handed to one at once

Box = tuple[int, int, int, int]
Run = Callable[[Callable[[Any], Any], Sequence[Any], str], list]


class Detection(NamedTuple):
    """box: the largest face's left, top, right and bottom in pixels, None where none is found; frontal: whether
    frontal_box finds one."""

    box: Box | None
    frontal: bool


def missing_packages() -> list[str]:
    """What is to be installed for these figures, as pip names it."""
    names = {"dlib": "dlib-bin", MODELS_PACKAGE: MODELS_PACKAGE}
    return [package for module, package in names.items() if find_spec(module) is None]


def detect_face(face: np.ndarray) -> Detection:
    """Where dlib finds a face in uint8 [H,H], on the enlarged copy of `detect`, and whether it is a frontal one."""
    found = [box for box, _ in detect(face)]
    largest = max(found, key=lambda box: box.width * box.height, default=None)
    box = (largest.left, largest.top, largest.right, largest.bottom) if largest else None
    return Detection(box, frontal_box(face) is not None)


def is_found(face: np.ndarray) -> bool:
    """Whether dlib finds a face in uint8 [H,H], on the enlarged copy of `detect`."""
    return bool(detect(face))


def describe(face_and_box: tuple[np.ndarray, Box]) -> np.ndarray:
    """dlib's descriptor of a face uint8 [H,H], aligned by its landmarks within a box: float32 [128]. Descriptors of
    one person are less than 0.6 apart, as a rule."""
    face, box = face_and_box
    dlib, predictor, net = describer()
    large = np.asarray(Image.fromarray(face).resize((ENLARGED, ENLARGED), Image.Resampling.BICUBIC))
    picture = np.repeat(large[:, :, None], 3, axis=2)
    left, top, right, bottom = (round(edge * ENLARGED / len(face)) for edge in box)
    chip = dlib.get_face_chip(picture, predictor(picture, dlib.rectangle(left, top, right - 1, bottom - 1)))
    return np.array(net.compute_face_descriptor(chip), dtype=np.float32)


@lru_cache(maxsize=1)
def describer() -> tuple[Any, Any, Any]:
    """dlib, the predictor of landmarks and the descriptor's net."""
    dlib = load_dlib()
    return dlib, dlib.shape_predictor(dlib_file(LANDMARKS)), dlib.face_recognition_model_v1(dlib_file(DESCRIPTOR))


@contextmanager
def processes() -> Iterator[Run]:
    """Within it `run(function, items, what)` calls a function with every item, in as many processes as there are cores,
    and returns the results in order; `what` is the progress bar's title. dlib computes on one core and keeps Python's
    lock, so that threads would not do."""
    count = cores()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(count, context, signal.signal, (signal.SIGINT, signal.SIG_IGN)) as pool:

        def run(function: Callable[[Any], Any], items: Sequence[Any], what: str) -> list:
            alone = count == 1 or len(items) < FEW
            results = map(function, items) if alone else pool.map(function, items, chunksize=CHUNK)
            return list(tqdm(results, desc=what, total=len(items), unit=" faces", leave=False, delay=2))

        yield run
