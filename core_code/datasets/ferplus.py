"""FERPlus: ten people's votes on the emotion of each of FER2013's faces, in fer2013new.csv beside the CSV.

E. Barsoum et al., "Training deep networks for facial expression recognition with crowd-sourced label distribution",
ICMI 2016. Votes that one person alone gave count as noise and are dropped, as there; faces of which most say that there
is none (NF), or that the emotion is unknown, are left out; what is left of the votes is the face's distribution.
"""

import csv
from pathlib import Path

import numpy as np

from core_code.core_utils.emotions import FERPLUS_EMOTIONS
from core_code.core_utils.errors import InputError
from core_code.core_utils.files import read_whole
from core_code.datasets.fer2013_csv import USAGES, check_separator, find_csv
from core_code.datasets.splits import SPLITS

VOTES_NAME = "fer2013new.csv"
COLUMNS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral", "contempt", "unknown", "nf")
NOISE = 1  # votes for an emotion that are not counted
LEAST_AGREEMENT = 1 / 3  # with FER2013's labels: about two thirds agree, of rows in another order a sixth


def with_ferplus_labels(
    data_root: Path, split: str, faces: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The faces of one split, less those that are left out, with their majority labels and distributions.

    faces: uint8 [N,48,48] and labels: uint8 [N], all of the split in the CSV's order. Returns faces uint8 [M,48,48],
    labels uint8 [M] in the order of FERPLUS_EMOTIONS (of equal votes the first) and float32 [M,8]. Raises InputError
    for a file that is missing, damaged or of other faces.
    """
    find_csv(data_root)  # other forms do not keep the order
    path = Path(data_root) / VOTES_NAME
    votes = read_votes(path)[split]
    if len(votes) != len(faces):
        raise InputError(f"{path}: {len(votes)} rows of {USAGES[SPLITS.index(split)]}, expected {len(faces)}, one for "
                         "each face of the CSV and in its order")  # fmt: skip
    distributions, kept = label_distributions(votes)
    majority = distributions.argmax(1).astype(np.uint8)
    agree = (majority == labels)[kept].mean() if kept.any() else 0.0
    if agree < LEAST_AGREEMENT:
        raise InputError(f"{path}: {100 * agree:.0f} % of its labels of {split} agree with the CSV's, expected about "
                         "two thirds: its rows stand in another order, or are of other faces")  # fmt: skip
    return faces[kept], majority[kept], distributions[kept]


def label_distributions(votes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of votes, int [N,10] in the order of COLUMNS: each face's share of the eight emotions, float32 [N,8], and whether
    it is one to use, bool [N]. Where an emotion has as many votes as `unknown` or `nf`, it counts."""
    votes = np.where(votes > NOISE, votes, 0)
    emotions = votes[:, : len(FERPLUS_EMOTIONS)]
    kept = (votes.argmax(1) < len(FERPLUS_EMOTIONS)) & (emotions.sum(1) > 0)
    return (emotions / np.maximum(emotions.sum(1, keepdims=True), 1)).astype(np.float32), kept


def read_votes(path: Path) -> dict[str, np.ndarray]:
    """The votes of each split's faces, int64 [N,10] in the order of COLUMNS, rows in the file's order.

    Columns may stand in any order, with spaces and further columns. Raises InputError naming the line.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; --labels ferplus needs FERPlus's votes: put {VOTES_NAME}, of "
                         "https://github.com/microsoft/FERPlus, beside the CSV")  # fmt: skip
    text = read_whole(path).decode("utf-8-sig", "replace")
    lines = text.replace("\0", " ").splitlines()
    check_separator(path, "".join(lines[:1]).encode())
    rows = csv.reader(lines)
    names = [name.strip().lower() for name in next(rows, [])]
    for column in ("usage", *COLUMNS):
        if column not in names:
            raise InputError(f"{path}, line 1: no column '{column}', expected a header with the columns Usage, "
                             f"{', '.join(COLUMNS)}")  # fmt: skip
    usage, places = names.index("usage"), [names.index(column) for column in COLUMNS]
    found: dict[str, list[list[int]]] = {split: [] for split in SPLITS}
    try:
        for row in rows:
            if not "".join(row).strip():
                continue
            if len(row) != len(names):
                raise ValueError(f"{len(row)} columns, expected {len(names)} as in the header")
            if row[usage].strip() not in USAGES:
                raise ValueError(f"Usage {row[usage][:20]!r}, expected one of {', '.join(USAGES)}")
            votes = [row[place].strip() for place in places]
            if not all(vote.isascii() and vote.isdigit() and len(vote) < 4 for vote in votes):
                raise ValueError(f"votes {', '.join(votes)[:60]}, expected whole numbers below 1000")
            found[SPLITS[USAGES.index(row[usage].strip())]].append([int(vote) for vote in votes])
    except (ValueError, csv.Error) as error:
        raise InputError(f"{path}, line {rows.line_num}: {error}") from error
    return {split: np.array(votes, dtype=np.int64).reshape(-1, len(COLUMNS)) for split, votes in found.items()}
