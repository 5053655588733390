"""Reliability and the expected calibration error, against a loop written out and a case worked out by hand."""

import math

import pytest
import torch

from core_code.core_utils.metrics.scores import reliability, score


def looped_error(logits: torch.Tensor, labels: torch.Tensor, bins: int = 15) -> float:
    """The definition, bin by bin and face by face, in plain Python."""
    said = []
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        powers = [math.exp(value - max(row)) for value in row]
        probabilities = [power / sum(powers) for power in powers]
        said.append((max(probabilities), probabilities.index(max(probabilities)) == label))
    error = 0.0
    for m in range(bins):
        inside = [pair for pair in said if m / bins < pair[0] <= (m + 1) / bins]
        if inside:
            confidence = sum(sure for sure, _ in inside) / len(inside)
            accuracy = sum(right for _, right in inside) / len(inside)
            error += len(inside) / len(said) * abs(accuracy - confidence)
    return error


@pytest.mark.parametrize("scale", [0.3, 2.0, 20.0])
def test_the_error_is_that_of_a_loop_over_bins_and_faces(scale):
    generator = torch.Generator().manual_seed(3)
    labels = torch.randint(0, 7, (300,), generator=generator)
    logits = scale * (torch.randn(300, 7, generator=generator) + torch.nn.functional.one_hot(labels, 7))
    wanted = looped_error(logits.double(), labels)
    assert reliability(logits, labels).expected_error == pytest.approx(wanted, abs=1e-9)
    assert score(logits, labels).calibration_error == pytest.approx(wanted, abs=1e-9)


def test_bins_by_hand():
    probabilities = torch.tensor([[0.9, 0.1], [0.92, 0.08], [0.3, 0.7], [0.5, 0.5]], dtype=torch.float64)
    found = reliability(probabilities.log(), torch.tensor([0, 1, 1, 0]), bins=5)
    assert found.faces == [0, 0, 1, 1, 2]
    assert found.confidence == pytest.approx([0, 0, 0.5, 0.7, 0.91])
    assert found.accuracy == pytest.approx([0, 0, 1, 1, 0.5])
    assert found.expected_error == pytest.approx((0.5 + 0.3 + 2 * 0.41) / 4)


def test_a_net_that_is_certain_and_right_has_no_error_and_no_faces_have_none():
    labels = torch.arange(7)
    assert reliability(1000 * torch.eye(7), labels).expected_error == 0
    assert math.isnan(reliability(torch.zeros(0, 7), labels[:0]).expected_error)
