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
    """All the figures from logits float [N,C] and labels int64 [N]; NaN without faces.

    top-k: the share of faces whose label is among the k highest logits; of equal ones (frequent in bfloat16) the first
    in the order of the classes counts as higher, as for argmax. mean_per_class: the mean of the accuracies of
    the classes that occur. macro_f1: the mean of F1 = 2 TP / (2 TP + FP + FN) over the classes that occur or are
    predicted. confusion: counts, rows are the true labels, columns the predictions.
    """
    classes, predictions = logits.shape[1], logits.argmax(1)
    ranked = logits.argsort(dim=1, descending=True, stable=True)
    cells = (labels * classes + predictions).cpu()
    confusion = torch.bincount(cells, minlength=classes * classes).reshape(classes, classes)
    correct, true, predicted = confusion.diagonal().double(), confusion.sum(1), confusion.sum(0)
    return Scores(
        top1=(predictions == labels).double().mean().item(),
        top2=(ranked[:, :2] == labels[:, None]).any(1).double().mean().item(),
        mean_per_class=(correct / true).nanmean().item(),
        macro_f1=(2 * correct / (true + predicted)).nanmean().item(),
        calibration_error=reliability(logits, labels).expected_error,
        confusion=confusion.tolist(),
        faces=len(labels),
    )


def most_wrong(logits: Tensor, labels: Tensor, count: int) -> Tensor:
    """The `count` errors of highest confidence, the highest first: indices int64 [count], fewer where fewer are."""
    confidences, predictions = logits.double().softmax(1).amax(1), logits.argmax(1)
    wrong = (predictions != labels).nonzero()[:, 0]
    return wrong[confidences[wrong].argsort(descending=True, stable=True)[:count]]


def surest_vote(logits: list[Tensor]) -> Tensor:
    """For each face the logits of the model that has the highest top logit, of equals the first. [N,C] -> [N,C]."""
    stacked = torch.stack(logits)
    surest = stacked.amax(2).argmax(0)
    return stacked[surest, torch.arange(stacked.shape[1], device=stacked.device)]


def mean_vote(logits: list[Tensor]) -> Tensor:
    """The logarithm of the mean of the models' softmaxes. [N,C] each -> [N,C]."""
    return torch.stack([one.double().softmax(1) for one in logits]).mean(0).log()
