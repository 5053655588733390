"""What the nets of one study predict better than those of another, paired by seed and face."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from core_code.core_utils.emotions import EMOTIONS
from core_code.core_utils.errors import InputError
from core_code.core_utils.metrics.significance import crossed_mean
from core_code.datasets.fer2013 import FER2013
from core_code.evaluation.predictions import without_copies
from core_code.experiments.comparisons import LAST_EPOCH, NOVEL_FACES, corrected, parts_of
from core_code.experiments.tables import in_points

NET = re.compile(r"(?P<model>.+?)(?:_share(?P<share>[\d.]+))?_seed(?P<seed>\d+)")
Predicted = dict[tuple[str, float, int], Tensor]  # of each net and arm, share of the faces and seed: int64 [N]


def compare_studies(study: Path, other: Path, data_root: Path, dataset: str) -> pd.DataFrame:
    """A row for each net, arm and share of the training faces that both files of predictions have, on val and test
    together and, where training has some of these faces, without these.

    In percentage points: the mean of each of comparisons.COMPARED, its interval, p, and p corrected for the rows of the
    same faces. Raises InputError for files that are missing, of another number of faces, or
    of no net in common; that both are of these faces is not checked.
    """
    splits = [FER2013(data_root, split, dataset) for split in ("val", "test")]
    labels, faces = (torch.cat([getattr(data, name) for data in splits]) for name in ("labels", "faces"))
    both = [read_predictions(path, [len(data) for data in splits]) for path in (study, other)]
    common = [key for key in both[0] if key in both[1] and not torch.equal(both[0][key], both[1][key])]
    if not common:
        raise InputError(f"{study}, {other}: no net of the same name, share of the faces and seed predicts otherwise")
    novel = without_copies(faces, FER2013(data_root, "train", dataset).faces)
    wheres = {LAST_EPOCH: torch.ones_like(novel)} | ({} if novel.all() else {NOVEL_FACES: novel})
    return pd.DataFrame([
        {"on": where, "model": row["model"], "share": row["share"], **in_points(row)}
        for where, chosen in wheres.items()
        for row in corrected(differences(both[0], both[1], common, labels, chosen))
    ])  # fmt: skip


def differences(
    one: Predicted, two: Predicted, keys: list[tuple[str, float, int]], labels: Tensor, chosen: Tensor
) -> Iterator[dict[str, Any]]:  # fmt: skip
    """The difference of each model and share of the faces, over its seeds among the keys, on the chosen faces."""
    for model, share in dict.fromkeys(key[:2] for key in keys):
        seeds = [seed for *key, seed in keys if key == [model, share]]
        hits = [[of[model, share, seed][chosen] == labels[chosen] for seed in seeds] for of in (one, two)]
        values = torch.stack(hits[0]).double() - torch.stack(hits[1]).double()
        parts = parts_of(values, labels[chosen])
        yield {
            "model": model, "share": share, "seeds": seeds, "faces": int(chosen.sum()),
            "figures": {name: crossed_mean(part)._asdict() for name, part in parts.items()},
        }  # fmt: skip


def read_predictions(path: Path, counts: list[int]) -> Predicted:
    """What every net of a study predicts at the last epoch for val and test, which have so many faces.

    `path` is its results_predictions.csv. Raises InputError.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; python -m core_code.experiments writes it into plots_output")
    try:
        table = pd.read_csv(path, encoding_errors="replace")
        parts = [table[(table["epoch"] == "last") & (table["split"] == split)] for split in ("val", "test")]
        found = [part["face"].tolist() for part in parts]
    except (ValueError, KeyError) as error:
        raise InputError(f"{path}: not a study's predictions, with columns epoch, split and face") from error
    if found != [list(range(count)) for count in counts]:
        raise InputError(f"{path}: predictions for {len(found[0])} faces of val and {len(found[1])} of test, expected "
                         f"{counts[0]} and {counts[1]}: those of other faces (see --dataset)")  # fmt: skip
    rows = pd.concat(parts)
    predicted = {}
    for name in rows.columns:
        match, values = NET.fullmatch(name), pd.to_numeric(rows[name], errors="coerce")
        if match and values.isin(range(len(EMOTIONS))).all():
            key = (match["model"], float(match["share"] or 1), int(match["seed"]))
            predicted[key] = torch.from_numpy(values.to_numpy("int64", copy=True))
    return predicted
