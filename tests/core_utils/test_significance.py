"""McNemar's test against SciPy's binomial test, its chi-square distribution and a known example."""

import pytest
import torch
from scipy.stats import binomtest, chi2

from core_code.core_utils.metrics.significance import mcnemar


def pairs(both: int, only_this: int, only_other: int, neither: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Who is right on which face, in a scrambled order."""
    right = [True] * (both + only_this) + [False] * (only_other + neither)
    other = [True] * both + [False] * only_this + [True] * only_other + [False] * neither
    order = torch.randperm(len(right), generator=torch.Generator().manual_seed(0))
    return torch.tensor(right)[order], torch.tensor(other)[order]


@pytest.mark.parametrize(("b", "c"), [(0, 1), (3, 3), (0, 10), (7, 2), (12, 12), (5, 19)])
def test_few_discordant_pairs_are_tested_exactly(b, c):
    found = mcnemar(*pairs(20, b, c, 5))
    assert (found.only_this, found.only_other, found.method) == (b, c, "exact")
    assert found.p_value == pytest.approx(binomtest(b, b + c, 0.5).pvalue)


@pytest.mark.parametrize(("b", "c"), [(12, 13), (20, 20), (40, 10), (121, 59)])
def test_many_are_tested_by_chi_square_with_continuity_correction(b, c):
    found = mcnemar(*pairs(101, b, c, 33))
    assert (found.only_this, found.only_other, found.method) == (b, c, "chi-square")
    assert found.p_value == pytest.approx(chi2.sf(max(0, abs(b - c) - 1) ** 2 / (b + c), df=1))


def test_swapping_the_two_changes_no_p_and_equal_classifiers_have_p_1():
    right, other = pairs(10, 30, 12, 4)
    assert mcnemar(right, other).p_value == mcnemar(other, right).p_value
    assert mcnemar(right, right).p_value == 1
    assert mcnemar(right[:0], other[:0]).p_value == 1
