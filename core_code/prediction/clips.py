"""The emotions of faces in a clip, or before a camera, over time."""

import math
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor
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
from core_code.prediction.run import PredictionSettings, check_outputs, emotions_of, load_nets, predict_faces
from core_code.prediction.table import Prediction
from core_code.training.inference import Trained

# Frames are searched with their longer side at this length at most: faces of a tenth of it are found, 80 pixels.
LONGEST_SEARCHED = 800
FACES_PRINTED = 20


def run_clip(settings: PredictionSettings) -> bool:
    """Predict, print and write; returns whether the clip was read to its end. Raises InputError, for outputs that
    cannot be written before anything is predicted."""
    clip = settings.pictures[0] if settings.webcam is None else Path(f"webcam{settings.webcam}")
    check_outputs(settings, settings.pictures)
    nets = load_nets(settings)
    with open_clip(clip) if settings.webcam is None else open_camera(settings.webcam) as reader:
        tables: list[pd.DataFrame] = []
        if settings.draw:
            path = free_path(settings.draw, clip, ".mp4", {Path(os.path.realpath(clip))})
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
    if settings.face_detector == "dlib":
        load_dlib()
    rows: list[np.ndarray] = []
    latest = Latest(settings.smooth)
    total = reader.frame_count(settings.seconds)
    with ExitStack() as stack:
        writer = stack.enter_context(ClipWriter(copy, reader.rate)) if copy else None
        bar = stack.enter_context(tqdm(total=total, desc="predicting", unit=" frames", delay=2, leave=False))
        frames = reader.frames(settings.seconds)
        if settings.webcam is not None:
            frames = until_interrupted(frames)
        for group in follow(frames, partial(find_in_frame, settings.face_detector), settings.detect_every):
            found = rows_of(group, nets, settings, latest)
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


def find_in_frame(detector: str, frame: Frame) -> list[Box]:
    """The boxes that dlib finds, from left to right, or, for `none`, the frame as one face."""
    if detector == "none":
        return [Box(0, 0, frame.pixels.shape[1], frame.pixels.shape[0])]
    grey = np.array(Image.fromarray(frame.pixels).convert("L"))
    return sorted((box for box, _ in detect(grey, LONGEST_SEARCHED)), key=lambda box: (box.left, box.top))


@dataclass
class Latest:
    """Each face's last prediction: its time in seconds and the probabilities [E], averaged over time exponentially with
    a time constant of `smooth` seconds, 0 for none."""

    smooth: float
    of: dict[int, tuple[float, np.ndarray]] = field(default_factory=dict)

    def update(self, face: int, time: float, chances: np.ndarray) -> None:
        """Take a further prediction of a face in."""
        before, average = self.of.get(face, (time, chances))
        kept = math.exp((before - time) / self.smooth) if self.smooth else 0.0
        self.of[face] = time, kept * average + (1 - kept) * chances


def rows_of(
    group: Sequence[Tracked[Frame]], nets: Sequence[Trained], settings: PredictionSettings, latest: Latest
) -> np.ndarray:
    """Rows of clip_tables.clip_table for the faces of some frames, float64 [N,7+E]."""
    crops: list[tuple[Frame, int, Box]] = []
    due: dict[int, Tensor] = {}  # the faces to predict, by their place in crops
    known = set(latest.of)
    for frame, boxes in group:
        for face, box in sorted(boxes.items()):
            crop = crop_box(box, "fer2013") if settings.face_detector == "dlib" else box
            if frame.place % settings.predict_every == 0 or face not in known:
                due[len(crops)] = cut_face(Photograph(frame.pixels), crop)
                known.add(face)
            crops.append((frame, face, crop))
    predicted = iter(predict_faces(nets, torch.stack([*due.values()]), settings).numpy() if due else ())
    rows = np.empty((len(crops), len(WHERE) + len(emotions_of(nets))))
    for row, (frame, face, crop) in enumerate(crops):
        if row in due:
            latest.update(face, frame.time, next(predicted))
        rows[row] = (frame.time, frame.place, face, *vars(crop).values(), *latest.of[face][1])
    return rows


def draw_frame(frame: Frame, rows: np.ndarray, emotions: tuple[str, ...]) -> np.ndarray:
    """The frame with a box, number and emotion at each of its faces, uint8 [H,W,3]."""
    faces = []
    for row in rows:
        face, *edges = map(int, row[2 : len(WHERE)])
        faces.append(Prediction(Path(), face, Box(*edges), row[len(WHERE) :].tolist(), emotions))
    return drawn(Photograph(frame.pixels), faces, numbered=True).pixels


def until_interrupted(frames: Iterator[Frame]) -> Iterator[Frame]:
    """The frames of a camera, until Ctrl-C, which interrupts nothing else."""
    heard: list[bool] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: heard.append(True))
    print("Ctrl-C ends the recording", file=sys.stderr)
    try:
        for frame in frames:
            yield frame
            if heard:
                return
    finally:
        signal.signal(signal.SIGINT, before)


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
            "detect_every": settings.detect_every, "predict_every": settings.predict_every, "smooth": settings.smooth,
            "faces": faces.to_dict("records"),
        })  # fmt: skip
        print(f"JSON: {settings.json}")
    if settings.csv:
        write_csv(settings.csv, table)
        print(f"CSV: {settings.csv}")
    if settings.curves:
        print(f"curves: {draw_curves(table, emotions, settings.curves)}")
    if reader.damage:
        print(reader.damage, file=sys.stderr)
