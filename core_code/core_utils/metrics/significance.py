"""Whether the accuracies of two classifiers on the same faces differ by more than chance."""

import math
from typing import NamedTuple

from torch import Tensor

FEW = 25  # discordant pairs, below which the chi-square distribution is too rough


class McNemar(NamedTuple):
    """Faces that this or the other classifier alone predicts correctly; p in [0,1]; `exact` or `chi-square`."""

    only_this: int
    only_other: int
    p_value: float
    method: str


def mcnemar(correct: Tensor, other_correct: Tensor) -> McNemar:
    """The paired test of two classifiers: which faces each predicts correctly, bool [N] and [N].

    Only the b + c faces count that one alone predicts correctly. If both were equally good, each of these would be
    either's with probability 1/2. With fewer than 25 of them p is exact (two-sided, binomial):

        p = min(1, 2 * sum_{k=0}^{min(b,c)} binomial(b+c, k) / 2^(b+c))

    and otherwise that of chi-square with one degree of freedom and Edwards' continuity correction:

        chi2 = max(0, |b-c| - 1)^2 / (b+c),    p = erfc(sqrt(chi2 / 2))

    Q. McNemar, "Note on the sampling error of the difference between correlated proportions or percentages", 1947;
    T. Dietterich, "Approximate statistical tests for comparing supervised classification learning algorithms", 1998.
    """
    b = int((correct & ~other_correct).sum())
    c = int((other_correct & ~correct).sum())
    if b + c < FEW:
        tail = sum(math.comb(b + c, k) for k in range(min(b, c) + 1))
        return McNemar(b, c, min(1.0, 2 * tail / 2 ** (b + c)), "exact")
    chi2 = max(0, abs(b - c) - 1) ** 2 / (b + c)
    return McNemar(b, c, math.erfc(math.sqrt(chi2 / 2)), "chi-square")
