"""Predictions as a printed table, as JSON and as CSV."""

import argparse
import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core_code.core_utils.emotions import EMOTIONS
from core_code.core_utils.errors import InputError
from core_code.core_utils.photos.face_finder import Box

NO_FACE = "no face found"


@dataclass(frozen=True)
class Prediction:
    """One face of a picture: its number from left to right, from 1; the square that was read; seven probabilities in
    the order of EMOTIONS. All but the picture are None where no face was found."""

    picture: Path
    face: int | None = None
    box: Box | None = None
    probabilities: list[float] | None = None

    @property
    def reading(self) -> str | None:
        """The likeliest emotion."""
        return self.probabilities and EMOTIONS[self.probabilities.index(max(self.probabilities))]

    @property
    def confidence(self) -> float | None:
        """Its probability."""
        return self.probabilities and max(self.probabilities)


def as_markdown(predictions: Sequence[Prediction]) -> str:
    """A line a face; probabilities in percent."""
    lines = [["picture", "face", "where", "reading", *EMOTIONS]]
    for one in predictions:
        if one.probabilities is None:
            lines.append([str(one.picture), "-", "", NO_FACE, *[""] * len(EMOTIONS)])
            continue
        where = f"{one.box.width}x{one.box.height} at ({one.box.left}, {one.box.top})"
        chances = [f"{100 * chance:.1f}" for chance in one.probabilities]
        lines.append([str(one.picture), str(one.face), where, one.reading, *chances])
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    numbers = {1, *range(4, len(widths))}
    rows = [
        "| " + " | ".join(f"{cell:{'>' if i in numbers else '<'}{widths[i]}}" for i, cell in enumerate(line)) + " |"
        for line in lines
    ]
    rule = "|" + "|".join("-" * (width + 1) + ("-:"[i in numbers]) for i, width in enumerate(widths)) + "|"
    return "\n".join([rows[0], rule, *rows[1:]])


def as_json(predictions: Sequence[Prediction], checkpoints: Sequence[str], vote: str, tta: str) -> dict[str, Any]:
    """Plain values: what read, and an entry a face."""
    return {
        "checkpoints": list(checkpoints),
        "vote": vote if len(checkpoints) > 1 else None,
        "tta": tta,
        "emotions": EMOTIONS,
        "faces": [
            {
                "picture": str(one.picture),
                "face": one.face,
                "box": one.box and vars(one.box),
                "reading": one.reading,
                "confidence": one.confidence,
                "probabilities": one.probabilities and dict(zip(EMOTIONS, one.probabilities, strict=True)),
                "note": None if one.box else NO_FACE,
            }
            for one in predictions
        ],
    }


def as_csv(predictions: Sequence[Prediction]) -> str:
    """A line a face; empty fields where there is none."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["picture", "face", "left", "top", "right", "bottom", "reading", "confidence", *EMOTIONS])
    for one in predictions:
        edges = [None] * 4 if one.box is None else [one.box.left, one.box.top, one.box.right, one.box.bottom]
        chances = one.probabilities or [None] * len(EMOTIONS)
        table.writerow([one.picture, one.face, *edges, one.reading or NO_FACE, one.confidence, *chances])
    return text.getvalue()


def check_outputs(args: argparse.Namespace) -> None:
    """Raise InputError, before anything is read, for a --json or --csv that is a folder or one of the pictures or
    checkpoints, and for a --draw that is a file."""
    for path in (args.json, args.csv):
        if path and path.is_dir():
            raise InputError(f"{path}: is a folder, expected a file to write")
        if path and path.resolve() in {given.resolve() for given in (*args.pictures, *args.checkpoint)}:
            raise InputError(f"{path}: would be written over, but it is to be read")
    if args.json and args.csv and args.json.resolve() == args.csv.resolve():
        raise InputError(f"{args.csv}: --json and --csv are one file, expected two")
    if args.draw and args.draw.exists() and not args.draw.is_dir():
        raise InputError(f"{args.draw}: is a file, expected a folder")
