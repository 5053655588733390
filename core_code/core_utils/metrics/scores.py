"""Accuracies of predictions as shares in [0,1], confusion matrices, and votes of several models."""

from typing import NamedTuple

import torch
from torch import Tensor

from core_code.core_utils.metrics.calibration import reliability


class Scores(NamedTuple):
    """What is reported of one set of predictions; all figures but the counts are shares in [0,1]."""

    top1: float
    top2: float
    mean_per_class: float
    macro_f1: float
    calibration_error: float
    confusion: list[list[int]]
    faces: int


def score(logits: Tensor, labels: Tensor) -> Scores:
    """All the figures from logits float [N,C] and labels int64 [N]."""
    confusion = confusion_matrix(logits.argmax(1), labels, logits.shape[1])
    return Scores(
        top1=top_accuracy(logits, labels, 1),
        top2=top_accuracy(logits, labels, 2),
        mean_per_class=mean_class_accuracy(confusion),
        macro_f1=macro_f1(confusion),
        calibration_error=reliability(logits, labels).expected_error,
        confusion=confusion.tolist(),
        faces=len(labels),
    )


def top_accuracy(logits: Tensor, labels: Tensor, k: int = 1) -> float:
    """The share of faces whose label is among the k highest logits; of equal ones (frequent in bfloat16) the first in
    the order of the classes counts as higher, as for argmax."""
    if not len(labels):
        return float("nan")
    ranked = logits.argsort(dim=1, descending=True, stable=True)
    return (ranked[:, :k] == labels[:, None]).any(1).double().mean().item()


def confusion_matrix(predictions: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Counts int64 [classes, classes]: rows are the true labels, columns the predictions."""
    cells = (labels * classes + predictions).cpu()
    return torch.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def mean_class_accuracy(confusion: Tensor) -> float:
    """The mean of the classes' own accuracies, over the classes that occur."""
    faces = confusion.sum(1)
    there = faces > 0
    if not there.any():
        return float("nan")
    return (confusion.diagonal()[there] / faces[there].double()).mean().item()


def macro_f1(confusion: Tensor) -> float:
    """The mean of the classes' F1 = 2 TP / (2 TP + FP + FN), over the classes that occur or are predicted."""
    correct = confusion.diagonal().double()
    counts = confusion.sum(0) + confusion.sum(1)  # TP + FP, and TP + FN
    there = counts > 0
    if not there.any():
        return float("nan")
    return (2 * correct[there] / counts[there]).mean().item()


def most_wrong(logits: Tensor, labels: Tensor, count: int) -> Tensor:
    """The `count` errors of highest confidence, the highest first: indices int64 [count], fewer where fewer are."""
    confidences, predictions = logits.double().softmax(1).amax(1), logits.argmax(1)
    wrong = (predictions != labels).nonzero()[:, 0]
    return wrong[confidences[wrong].argsort(descending=True, stable=True)[:count]]


def surest_vote(logits: list[Tensor]) -> Tensor:
    """For each face the logits of whichever model has the highest top logit. [N,C] each -> [N,C].

    Of several models with the same top logit the first counts.
    """
    stacked = torch.stack(logits)
    surest = stacked.amax(2).argmax(0)
    return stacked[surest, torch.arange(stacked.shape[1], device=stacked.device)]


def mean_vote(logits: list[Tensor]) -> Tensor:
    """The logarithm of the mean of the models' softmaxes. [N,C] each -> [N,C]."""
    return torch.stack([one.double().softmax(1) for one in logits]).mean(0).log()
