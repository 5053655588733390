"""Calibration: confidences against accuracies."""

from typing import NamedTuple

import torch
from torch import Tensor

BINS = 15


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
