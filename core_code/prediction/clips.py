"""The emotions of faces in a clip, or before a camera, over time."""

import math
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import BinaryIO

import numpy as np
import pandas as pd
import torch
from PIL import Image
from tqdm import tqdm

from core_code.core_utils.errors import InputError
from core_code.core_utils.files import atomic_write, write_json
from core_code.core_utils.photos.face_finder import Box, crop_box, detect, load_dlib
from core_code.core_utils.photos.face_tracker import Tracked, follow
from core_code.core_utils.photos.photographs import Photograph
from core_code.core_utils.tables import as_markdown, write_csv
from core_code.prediction.clip_files import ClipReader, ClipWriter, Frame, open_camera, open_clip
from core_code.prediction.clip_tables import WHERE, clip_table, draw_curves, summary
from core_code.prediction.drawing import drawn, free_path
from core_code.prediction.faces import cut_face
from core_code.prediction.run import PredictionSettings, check_outputs, emotions_of, predict_faces
from core_code.prediction.table import Prediction
from core_code.training.inference import Trained, load_trained_file

# Frames are searched with their longer side at this length at most: faces of a tenth of it are found, 80 pixels.
LONGEST_SEARCHED = 800
FACES_PRINTED = 20


def run_clip(settings: PredictionSettings) -> bool:
    """Predict, print and write; returns whether the clip was read to its end. Raises InputError, for outputs that
    cannot be written before anything is predicted."""
    clip = settings.pictures[0] if settings.webcam is None else Path(f"webcam{settings.webcam}")
    check_outputs(settings, settings.pictures)
    nets = [load_trained_file(path) for path in settings.checkpoint]
    with open_clip(clip) if settings.webcam is None else open_camera(settings.webcam) as reader:
        tables: list[pd.DataFrame] = []
        if settings.draw:
            path = free_path(settings.draw, clip, ".mp4", {clip.resolve()})
            atomic_write(path, lambda file: tables.append(predict_clip(reader, nets, settings, file)))
            print(f"drawn: {path}")
        else:
            tables.append(predict_clip(reader, nets, settings))
    report(settings, reader, tables[0], emotions_of(nets))
    return not reader.damage


def predict_clip(
    reader: ClipReader, nets: Sequence[Trained], settings: PredictionSettings, copy: BinaryIO | None = None
) -> pd.DataFrame:
    """A row a face and frame, see clip_tables.clip_table; `copy` becomes the clip with a box around each face.

    Raises InputError when there is no face in it.
    """
    emotions = emotions_of(nets)
    find = whole_frame
    if settings.face_detector == "dlib":
        load_dlib()
        find = find_in_frame
    rows: list[np.ndarray] = []
    average = MovingAverage(settings.smooth)
    total = reader.frame_count(settings.seconds)
    with ExitStack() as stack:
        writer = stack.enter_context(ClipWriter(copy, reader.rate)) if copy else None
        bar = stack.enter_context(tqdm(total=total, desc="predicting", unit=" frames", delay=2, leave=False))
        frames = reader.frames(settings.seconds)
        if settings.webcam is not None:
            frames = until_interrupted(frames)
        for group in follow(frames, find, settings.detect_every):
            found = rows_of(group, nets, settings, average)
            rows.append(found)
            if writer:
                for frame, _ in group:
                    writer.write(draw_frame(frame, found[found[:, 1] == frame.place], emotions), frame.time)
            bar.update(len(group))
    faces = np.concatenate(rows)
    if not len(faces):
        raise InputError(
            f"{reader.name}: no face found; take a clip in which a face looks at the camera and is a tenth as wide as "
            "the frame or more (--face_detector none takes frames that are one face each, cut as closely as FER2013's)"
        )
    return clip_table(faces, emotions)


def find_in_frame(frame: Frame) -> list[Box]:
    """The boxes that dlib finds, from left to right."""
    grey = np.array(Image.fromarray(frame.pixels).convert("L"))
    return sorted((box for box, _ in detect(grey, LONGEST_SEARCHED)), key=lambda box: (box.left, box.top))


def whole_frame(frame: Frame) -> list[Box]:
    """The frame as one face."""
    height, width, _ = frame.pixels.shape
    return [Box(0, 0, width, height)]


class MovingAverage:
    """An exponential average over time of each face's probabilities; `seconds` is its time constant, 0 for none."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.last: dict[int, tuple[float, np.ndarray]] = {}

    def __call__(self, face: int, time: float, chances: np.ndarray) -> np.ndarray:
        """The average of a face's probabilities up to these."""
        if not self.seconds:
            return chances
        before, average = self.last.get(face, (time, chances))
        average = average + (1 - math.exp((before - time) / self.seconds)) * (chances - average)
        self.last[face] = time, average
        return average


def rows_of(
    group: Sequence[Tracked[Frame]], nets: Sequence[Trained], settings: PredictionSettings, average: MovingAverage
) -> np.ndarray:
    """Rows of clip_tables.clip_table for the faces of some frames, float64 [N,7+E]."""
    where, faces = [], []
    for frame, boxes in group:
        for face, box in sorted(boxes.items()):
            crop = crop_box(box, "fer2013") if settings.face_detector == "dlib" else box
            where.append([frame.time, frame.place, face, *vars(crop).values()])
            faces.append(cut_face(Photograph(frame.pixels), crop))
    if not faces:
        return np.empty((0, len(WHERE) + len(emotions_of(nets))))
    chances = predict_faces(nets, torch.stack(faces), settings).numpy()
    chances = np.stack([average(int(row[2]), row[0], each) for row, each in zip(where, chances, strict=True)])
    return np.hstack([where, chances])


def draw_frame(frame: Frame, rows: np.ndarray, emotions: tuple[str, ...]) -> np.ndarray:
    """The frame with a box, number and emotion at each of its faces, uint8 [H,W,3]."""
    faces = []
    for row in rows:
        face, *edges = map(int, row[2 : len(WHERE)])
        faces.append(Prediction(Path(), face, Box(*edges), row[len(WHERE) :].tolist(), emotions))
    return drawn(Photograph(frame.pixels), faces, numbered=True).pixels


@contextmanager
def interruption() -> Iterator[list[bool]]:
    """Within it Ctrl-C puts True into the list, and interrupts nothing."""
    heard: list[bool] = []

    def stop(number: int, frame: FrameType | None) -> None:
        heard.append(True)

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield heard
    finally:
        signal.signal(signal.SIGINT, before)


def until_interrupted(frames: Iterator[Frame]) -> Iterator[Frame]:
    """The frames of a camera, until Ctrl-C."""
    print("Ctrl-C ends the recording", file=sys.stderr)
    with interruption() as heard:
        for frame in frames:
            yield frame
            if heard:
                return


def report(settings: PredictionSettings, reader: ClipReader, table: pd.DataFrame, emotions: tuple[str, ...]) -> None:
    """Print the summary and write the files."""
    faces = summary(table, emotions)
    percent = faces.assign(**{emotion: 100 * faces[emotion] for emotion in emotions})
    print(as_markdown(percent[:FACES_PRINTED], decimals=1))
    if len(faces) > FACES_PRINTED:
        print(f"and {len(faces) - FACES_PRINTED} faces that are seen less")
    if settings.json:
        write_json(settings.json, {
            "clip": reader.name, "damage": reader.damage, "checkpoints": [str(path) for path in settings.checkpoint],
            "vote": settings.vote if len(settings.checkpoint) > 1 else None, "tta": settings.tta, "emotions": emotions,
            "detect_every": settings.detect_every, "smooth": settings.smooth, "faces": faces.to_dict("records"),
        })  # fmt: skip
        print(f"JSON: {settings.json}")
    if settings.csv:
        write_csv(settings.csv, table)
        print(f"CSV: {settings.csv}")
    if settings.curves:
        print(f"curves: {draw_curves(table, emotions, settings.curves)}")
    if reader.damage:
        print(reader.damage, file=sys.stderr)
