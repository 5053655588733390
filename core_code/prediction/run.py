"""A prediction from pictures and checkpoints to tables, files and drawn copies."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from core_code.core_utils.choices import NO_TTA
from core_code.core_utils.errors import InputError
from core_code.core_utils.files import check_writable, write_json
from core_code.core_utils.metrics import votes
from core_code.core_utils.tables import as_markdown, write_csv
from core_code.models.smallest_views import check_views
from core_code.prediction.drawing import draw_predictions
from core_code.prediction.faces import find_all_faces, find_pictures
from core_code.prediction.table import Prediction, as_json, csv_table, printed_table
from core_code.training.inference import Trained, check_finite, load_trained_file, predict_batch

BATCH_SIZE = 64


@dataclass(frozen=True)
class PredictionSettings:
    """Which nets predict which pictures' faces, and where that is written.

    pictures: files and folders. vote: one of choices.VOTES, where several checkpoints are given. face_detector: dlib,
    or none for pictures that are one face each. tta: one of choices.TTA_KINDS. image_size: side of the views in pixels,
    None for what each net was trained on. json, csv (files) and draw (a folder): None for not written.

    Of clips alone, see prediction.clips: curves, a file, None for not written. webcam: a camera's number. detect_every
    and predict_every: in how many frames faces are looked for, and predicted, once. smooth: time constant of an
    average, in seconds, 0 for none. seconds: None for the whole clip.
    """

    pictures: Sequence[Path]
    checkpoint: Sequence[Path]
    vote: str
    face_detector: str
    device: torch.device
    dtype: torch.dtype
    tta: str = NO_TTA
    image_size: int | None = None
    json: Path | None = None
    csv: Path | None = None
    draw: Path | None = None
    curves: Path | None = None
    webcam: int | None = None
    detect_every: int = 5
    predict_every: int = 1
    smooth: float = 0.0
    seconds: float | None = None


def run(settings: PredictionSettings) -> list[Prediction]:
    """Predict, print and write; returns the predictions. Raises InputError, for outputs that cannot be written before
    anything is predicted."""
    pictures = find_pictures(settings.pictures)
    check_outputs(settings, pictures)
    predictions = predict_pictures(settings, pictures)
    for one in predictions:
        if one.error:
            print(f"passed over: {one.error}", file=sys.stderr)
    print(as_markdown(printed_table(predictions), decimals=1))
    if settings.json:
        write_json(settings.json, as_json(predictions, settings.checkpoint, settings.vote, settings.tta))
        print(f"JSON: {settings.json}")
    if settings.csv:
        write_csv(settings.csv, csv_table(predictions))
        print(f"CSV: {settings.csv}")
    if settings.draw:
        print(f"drawn: {len(draw_predictions(predictions, settings.draw))} in {settings.draw}")
    return predictions


def check_outputs(settings: PredictionSettings, pictures: Sequence[Path]) -> None:
    """Raise InputError for a file to write that is a folder, an input or another output, and for a draw that is a
    file."""
    written: dict[Path, str] = {}
    for name in ("json", "csv", "curves"):
        path = getattr(settings, name)
        if not path:
            continue
        check_writable(path, (*pictures, *settings.checkpoint))
        if other := written.get(Path(os.path.realpath(path))):
            raise InputError(f"{path}: --{other} and --{name} are one file, expected two")
        written[Path(os.path.realpath(path))] = name
    if settings.draw and settings.draw.exists() and not settings.draw.is_dir():
        raise InputError(f"{settings.draw}: is a file, expected a folder")


def predict_pictures(settings: PredictionSettings, pictures: Sequence[Path]) -> list[Prediction]:
    """A prediction for each face, and one without a face for each picture that has none or cannot be read. Raises
    InputError."""
    nets = load_nets(settings)
    return with_probabilities(*find_all_faces(pictures, settings.face_detector), nets, settings)


def load_nets(settings: PredictionSettings) -> list[Trained]:
    """The nets of the checkpoints, ready to predict on the device, and the sides of their views. Raises InputError."""
    nets = [load_trained_file(path, settings.device) for path in settings.checkpoint]
    nets = [Trained(net.eval(), settings.image_size or own_size) for net, own_size in nets]
    for net, size in nets:
        check_views(net, size)
    return nets


def with_probabilities(
    found: Sequence[Prediction], faces: Sequence[Tensor], nets: Sequence[Trained], settings: PredictionSettings
) -> list[Prediction]:
    """Predictions without probabilities, of which those with a box are of the faces, with the nets' probabilities."""
    emotions = emotions_of(nets)
    each = iter(predict_faces(nets, torch.stack([*faces]), settings).tolist() if faces else ())
    return [replace(one, emotions=emotions, probabilities=next(each) if one.box else None) for one in found]


def emotions_of(nets: Sequence[Trained]) -> tuple[str, ...]:
    """The emotions that all the nets predict. Raises InputError where they differ."""
    emotions, *others = dict.fromkeys(trained.net.emotions for trained in nets)
    if others:
        raise InputError(f"the checkpoints predict different emotions: {', '.join(emotions)}; {', '.join(others[0])}")
    return emotions


def predict_faces(nets: Sequence[Trained], faces: Tensor, settings: PredictionSettings) -> Tensor:
    """Probabilities float64 [N,E] of faces uint8 [N,48,48], on the CPU, by the nets of load_nets; several vote."""
    logits = []
    for number, (net, size) in enumerate(nets, start=1):
        bar = tqdm(faces.split(BATCH_SIZE), f"predicting, net {number}", unit=" batches", delay=2, leave=False)
        batches = (predict_batch(net, batch.to(settings.device), size, settings.dtype, settings.tta) for batch in bar)
        logits.append(check_finite(torch.cat([batch.cpu() for batch in batches]), str(settings.checkpoint[number - 1])))
    return votes.BY_NAME[settings.vote](logits).double().softmax(1)
