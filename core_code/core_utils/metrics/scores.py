"""Accuracies of predictions as shares in [0,1], confusion matrices, calibration, and logits for other class shares."""

from typing import NamedTuple

import torch
from torch import Tensor

BINS = 15  # of confidence


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


class Reliability(NamedTuple):
    """Predictions sorted into bins of equal width by their confidence, least confident first; a list entry a bin.

    Accuracies and mean confidences are shares in [0,1], 0 for a bin without faces.
    """

    faces: list[int]
    confidence: list[float]
    accuracy: list[float]

    @property
    def expected_error(self) -> float:
        """The expected calibration error in [0,1]; NaN without faces.

        ECE = sum over the bins m of |B_m| / n * |accuracy(B_m) - confidence(B_m)|: Guo et al., "On Calibration of
        Modern Neural Networks", 2017, eq. 3, https://arxiv.org/abs/1706.04599.
        """
        if not sum(self.faces):
            return float("nan")
        bins = zip(self.faces, self.confidence, self.accuracy, strict=True)
        return sum(faces * abs(accuracy - confidence) for faces, confidence, accuracy in bins) / sum(self.faces)


def reliability(logits: Tensor, labels: Tensor, bins: int = BINS) -> Reliability:
    """Sort predictions into bins: logits float [N,C], labels int64 [N].

    A prediction's confidence is the highest of its softmax. Bin m of M holds the confidences in ((m-1)/M, m/M].
    """
    confidence = logits.double().softmax(1).amax(1)
    hits = (logits.argmax(1) == labels).double()
    edges = torch.linspace(0, 1, bins + 1, dtype=torch.float64, device=logits.device)
    places = torch.bucketize(confidence, edges[1:-1])
    faces = torch.bincount(places, minlength=bins)
    means = (torch.bincount(places, each, minlength=bins) / faces.clamp(min=1) for each in (confidence, hits))
    return Reliability(faces.tolist(), *(mean.tolist() for mean in means))


def most_wrong(logits: Tensor, labels: Tensor, count: int) -> Tensor:
    """The `count` errors of highest confidence, the highest first: indices int64 [count], fewer where fewer are."""
    confidences, predictions = logits.double().softmax(1).amax(1), logits.argmax(1)
    wrong = (predictions != labels).nonzero()[:, 0]
    return wrong[confidences[wrong].argsort(descending=True, stable=True)[:count]]


def adjust_logits(logits: Tensor, trained: Tensor, real: Tensor) -> Tensor:
    """Logits float [N,C] of a net that was trained on shares of the classes float [C], for faces with `real` shares.

    A class's logit loses the logarithm of its share in training and gains that of its real share: logit adjustment
    after training (A. Menon et al., "Long-tail learning via logit adjustment", ICLR 2021, eq. 9, there for equal
    shares). A class without real faces is never predicted; one without faces in training keeps its logit.
    """
    shift = real.double().log() - trained.double().log()
    return (logits.double() + shift.where(trained > 0, 0)).to(logits.dtype)
