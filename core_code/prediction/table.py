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
    """One face of a picture: its number from left to right, from 1; the square that was cut out; probabilities in the
    order of `emotions`. Number, square and probabilities are None where no face was found; where the picture
    is damaged, `error` says why."""

    picture: Path
    face: int | None = None
    box: Box | None = None
    probabilities: list[float] | None = None
    emotions: tuple[str, ...] = EMOTIONS
    error: str | None = None

    @property
    def without_face(self) -> str:
        """What stands in place of the emotion where there is no face."""
        return NOT_READ if self.error else NO_FACE

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


def as_utf8(path: Path) -> str:
    """The path with what is no UTF-8 in its name as escapes, which pandas does not take otherwise."""
    return str(path).encode(errors="backslashreplace").decode()


def csv_table(predictions: Sequence[Prediction]) -> pd.DataFrame:
    """A row a face: where it is in pixels, the emotion (as `reading`), and probabilities in [0,1]; cells of a picture
    without a face are missing."""
    columns = ["picture", "face", *SIDES, "reading", "confidence", *predictions[0].emotions]
    rows = [
        {"picture": as_utf8(one.picture), "face": one.face, "reading": one.emotion or one.without_face,
         "confidence": one.confidence}
        | (vars(one.box) if one.box else {}) | (one.by_emotion or {}) for one in predictions
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(("face", *SIDES), "Int64"))


def printed_table(predictions: Sequence[Prediction]) -> pd.DataFrame:
    """A row a face, probabilities in percent."""
    table = csv_table(predictions)
    percent = 100 * table[[*predictions[0].emotions]].astype(float)
    boxes = (one.box for one in predictions)
    where = pd.Series([f"{box.width}x{box.height} at ({box.left}, {box.top})" if box else "" for box in boxes])
    head = table[["picture", "face"]].assign(where=where, emotion=table.reading)
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
                "reading": one.emotion, "confidence": one.confidence, "probabilities": one.by_emotion,
                "note": None if one.box else one.error or NO_FACE,
            }
            for one in predictions
        ],
    }  # fmt: skip
