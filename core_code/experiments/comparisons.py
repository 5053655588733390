"""Differences between the arms of a study, paired by seed and face, with intervals and corrected p."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from core_code.core_utils.emotions import EMOTIONS
from core_code.core_utils.metrics.scores import reliability
from core_code.core_utils.metrics.significance import crossed_mean, holm, mcnemar
from core_code.evaluation.predictions import Predictions, without_copies
from core_code.experiments.arms import ARMS
from core_code.experiments.models import Model, models_of
from core_code.experiments.predicted import ADJUSTED, OTHER_SEEDS, AllPredictions
from core_code.experiments.presets import StudySettings

LAST_EPOCH, SELECTED_EPOCH = "val and test, last epoch", "test, best epoch on val"
NOVEL_FACES = "val and test without faces of training, last epoch"
BASELINE, CONTROL, VOTE = "baseline", "control", "vote"
BY_THEMSELVES = ("Disgust", "Fear")
COMPARED = ("top1", "mean_per_class", *BY_THEMSELVES)


def compare_all(
    selected: AllPredictions, last: AllPredictions, training_faces: Tensor, study: StudySettings
) -> list[dict[str, Any]]:
    """Every comparison of a study, as plain values; Holm's correction is over the rows of a family and figure.

    Families: every arm against the baseline, arms against their controls, votes against those of as many baselines.
    training_faces: uint8 [N,48,48], all that a generator may have learned from; where val or test has some of them,
    all is compared without these, too.
    """
    rows, wheres = [], {LAST_EPOCH: last, NOVEL_FACES: last, SELECTED_EPOCH: selected}
    faces = {split: found.faces for split, found in next(iter(last.values()), {}).items()}
    novel = {split: without_copies(each, training_faces) for split, each in faces.items() if split in ("val", "test")}
    if all(each.all() for each in novel.values()):
        del wheres[NOVEL_FACES]
    for net in study.nets:
        for share in study.shares:
            for where, predictions in wheres.items():
                of = {
                    seed: judged(found, where, novel)
                    for (*key, seed), found in predictions.items() if key == [net, share]
                }  # fmt: skip
                for family in (BASELINE, CONTROL, VOTE):
                    known = {"net": net, "share": share, "on": where, "family": family}
                    rows += [known | row for row in corrected(compare(of, family))]
    return rows


def judged(splits: Mapping[str, Predictions], where: str, novel: Mapping[str, Tensor]) -> Predictions:
    """The faces that a comparison is made on: all that nothing was chosen on. `novel`: which are not in training."""
    val, test = (splits[name].subset(novel[name]) if where == NOVEL_FACES else splits[name] for name in ("val", "test"))
    if where == SELECTED_EPOCH:
        return test
    logits = {name: torch.cat([val.logits[name], test.logits[name]]) for name in val.logits}
    return Predictions(torch.cat([val.faces, test.faces]), torch.cat([val.labels, test.labels]), logits, {})


def pairs(experiments: Sequence[str], family: str) -> Iterator[tuple[Model, Model]]:
    """Which model is compared with which."""
    models = models_of(experiments)
    if family == BASELINE:
        yield from ((model, Model(("baseline",))) for model in models if not model.vote and model.name != "baseline")
    elif family == CONTROL:
        for control, arm in ARMS.items():
            for name in arm.control_of:
                yield Model((name,)), Model((control,))
                if arm.rebalanced and ARMS[name].rebalanced:
                    yield Model((name + ADJUSTED,)), Model((control + ADJUSTED,))
    else:
        yield from ((model, model.control) for model in models if model.vote and not {*OTHER_SEEDS} & {*model.members})


def compare(of: Mapping[int, Predictions], family: str) -> Iterator[dict[str, Any]]:
    """The comparisons of a family; `of`: the predictions by seed, all of the same faces."""
    experiments = list(dict.fromkeys(name for found in of.values() for name in found.logits))
    for model, other in pairs(experiments, family):
        needed = {*model.members, *other.members}
        seeds = [seed for seed, found in of.items() if needed <= found.logits.keys()]
        if seeds:
            yield {"model": model.name, "against": other.name, "seeds": seeds} | difference(
                [of[seed] for seed in seeds], model, other, seeds
            )


def difference(several: Sequence[Predictions], model: Model, other: Model, seeds: Sequence[int]) -> dict[str, Any]:
    """How a model's figures differ from another's, in shares: means over seeds and faces, each with an interval.

    `mcnemar` is of each seed's top-1, `calibration_error` the mean difference of the calibration errors.
    """
    labels = several[0].labels
    logits = [(model.logits(found.logits), other.logits(found.logits)) for found in several]
    hits = [tuple(one.argmax(1) == labels for one in both) for both in logits]
    differences = torch.stack([one.double() - two.double() for one, two in hits])
    errors = [[reliability(one, labels).expected_error for one in both] for both in logits]
    return {
        "faces": len(labels),
        "figures": {name: crossed_mean(part)._asdict() for name, part in parts_of(differences, labels).items()},
        "calibration_error": statistics.fmean(one - two for one, two in errors),
        "mcnemar": {seed: mcnemar(*both)._asdict() for seed, both in zip(seeds, hits, strict=True)},
    }


def parts_of(values: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Values of nets and faces, float [S,N], whose means are the figures of COMPARED.

    A face counts by the inverse of how many have its label for the mean over the classes.
    """
    counts = torch.bincount(labels, minlength=len(EMOTIONS))
    weights = len(labels) / ((counts > 0).sum() * counts.clamp(min=1).double())
    of_emotions = {name: values[:, labels == EMOTIONS.index(name)] for name in BY_THEMSELVES}
    return {"top1": values, "mean_per_class": values * weights[labels], **of_emotions}


def corrected(rows: Iterator[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with `p_holm` of each figure: p corrected for the number of rows, by Holm."""
    found = list(rows)
    for figure in COMPARED:
        known = {str(place): row["figures"][figure]["p_value"] for place, row in enumerate(found)}
        ps = holm({place: p for place, p in known.items() if p == p})
        for place, row in enumerate(found):
            row["figures"][figure]["p_holm"] = ps.get(str(place), float("nan"))
    return found
