"""Predictions as a printed table, as JSON and as CSV."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from core_code.core_utils.emotions import EMOTIONS
from core_code.core_utils.photos.face_finder import Box

NO_FACE, NOT_READ = "no face found", "cannot be read"
SIDES = ("left", "top", "right", "bottom")


@dataclass(frozen=True)
class Prediction:
    """One face of a picture, its path or whatever names it: its number from left to right, from 1; the square that was
    cut out; probabilities in the order of `emotions`. Number, square and probabilities are None where no face was
    found; where the picture is damaged, `error` says why."""

    picture: Any
    face: int | None = None
    box: Box | None = None
    probabilities: list[float] | None = None
    emotions: tuple[str, ...] = EMOTIONS
    error: str | None = None

    @property
    def emotion(self) -> str | None:
        """The likeliest emotion."""
        return self.emotions[self.probabilities.index(max(self.probabilities))] if self.probabilities else None

    @property
    def confidence(self) -> float | None:
        """Its probability."""
        return max(self.probabilities) if self.probabilities else None

    @property
    def by_emotion(self) -> dict[str, float] | None:
        """The probability of each emotion."""
        return dict(zip(self.emotions, self.probabilities, strict=True)) if self.probabilities else None


def face_table(predictions: Sequence[Prediction]) -> pd.DataFrame:
    """A row a face: picture, face, its square in pixels, emotion, confidence, and probabilities in [0,1]; the cells of
    a picture without a face are missing."""
    emotions = predictions[0].emotions
    columns = ["picture", "face", *SIDES, "emotion", "confidence", *emotions]
    rows = [
        {"picture": one.picture, "face": one.face, "emotion": one.emotion, "confidence": one.confidence}
        | (vars(one.box) if one.box else {}) | (one.by_emotion or {}) for one in predictions
    ]  # fmt: skip
    kinds = dict.fromkeys(("face", *SIDES), "Int64") | dict.fromkeys(("confidence", *emotions), "float64")
    return pd.DataFrame(rows, columns=columns).astype(kinds)


def csv_table(predictions: Sequence[Prediction]) -> pd.DataFrame:
    """face_table whose column `emotion` also says why there is none. What is no UTF-8 in a picture's name
    is escaped, for pandas does not take it otherwise."""
    table = face_table(predictions)
    names = [str(one.picture).encode(errors="backslashreplace").decode() for one in predictions]
    shown = [one.emotion or (NOT_READ if one.error else NO_FACE) for one in predictions]
    return table.assign(picture=names, emotion=shown)


def printed_table(predictions: Sequence[Prediction]) -> pd.DataFrame:
    """A row a face, probabilities in percent."""
    table = csv_table(predictions)
    percent = 100 * table[[*predictions[0].emotions]]
    boxes = (one.box for one in predictions)
    where = pd.Series([f"{box.width}x{box.height} at ({box.left}, {box.top})" if box else "" for box in boxes])
    head = table[["picture", "face"]].assign(where=where, emotion=table.emotion)
    return pd.concat([head, percent], axis=1)


def as_json(predictions: Sequence[Prediction], checkpoints: Sequence[Path], vote: str, tta: str) -> dict[str, Any]:
    """Plain values: which nets predicted and how, and an entry a face."""
    return {
        "checkpoints": [str(path) for path in checkpoints],
        "vote": vote if len(checkpoints) > 1 else None,
        "tta": tta,
        "emotions": predictions[0].emotions,
        "faces": [
            {
                "picture": str(one.picture), "face": one.face, "box": vars(one.box) if one.box else None,
                "emotion": one.emotion, "confidence": one.confidence, "probabilities": one.by_emotion,
                "note": None if one.box else one.error or NO_FACE,
            }
            for one in predictions
        ],
    }  # fmt: skip
