"""Whether the accuracies of two classifiers on the same faces differ by more than chance."""

import math
from collections.abc import Mapping
from typing import NamedTuple

from scipy.special import stdtr, stdtrit
from torch import Tensor

FEW = 25  # discordant pairs, below which the chi-square distribution is too rough
LEVEL = 0.95  # of intervals


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


class Estimate(NamedTuple):
    """A mean, its interval of confidence (of LEVEL), and p in [0,1] of a mean of zero (two-sided)."""

    mean: float
    low: float
    high: float
    p_value: float


def crossed_mean(values: Tensor) -> Estimate:
    """The mean of a figure of every net (a seed each) on every face, float [S,N], both taken for random samples.

    The nets are readers and the faces cases of a multi-reader multi-case study. With the mean squares of the two-way
    analysis of variance (R: nets, C: faces, RC: the rest), M = MS_R + max(0, MS_C - MS_RC), the mean's variance is
    M / (S N), and Student's t has M^2 / (MS_R^2 / (S-1)) degrees of freedom. MS_R is taken for MS_RC where it is below
    it by chance: nets that happen to agree make no interval narrow.

    D. Dorfman, K. Berbaum and C. Metz, "Receiver operating characteristic rating analysis", 1992; S. Hillis, "A
    comparison of denominator degrees of freedom methods for multiple observer ROC analysis", 2007.

    Of 3 or 5 nets such intervals hold the true mean in 92 cases of 100 or more (tried on normal effects).
    Of one net alone the interval is over faces (another seed may give another mean). All NaN without faces.
    """
    values = values.double()
    nets, faces = values.shape
    if not faces:
        return Estimate(math.nan, math.nan, math.nan, math.nan)
    mean = values.mean().item()
    of_nets, of_faces = values.mean(1, keepdim=True), values.mean(0, keepdim=True)
    square_faces = nets * (of_faces - mean).square().sum().item() / max(faces - 1, 1)
    if nets == 1:
        variance, freedom = square_faces / faces, float(max(faces - 1, 1))
    else:
        square_nets = faces * (of_nets - mean).square().sum().item() / (nets - 1)
        rest = (values - of_nets - of_faces + mean).square().sum().item() / ((nets - 1) * max(faces - 1, 1))
        square_nets = max(square_nets, rest)
        square = square_nets + max(0.0, square_faces - rest)
        variance = square / (nets * faces)
        freedom = (square / square_nets) ** 2 * (nets - 1) if square_nets else math.inf
    error = math.sqrt(variance)
    if not error:
        return Estimate(mean, mean, mean, 0.0 if mean else 1.0)
    half = float(stdtrit(freedom, (1 + LEVEL) / 2)) * error
    return Estimate(mean, mean - half, mean + half, float(2 * stdtr(freedom, -abs(mean) / error)))


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """p by comparison, corrected for their number: S. Holm, "A simple sequentially rejective multiple test procedure".

    The i-th smallest of m is multiplied by m + 1 - i, and none is smaller than one before it (1979).
    """
    corrected, largest = dict[str, float](), 0.0
    for rank, name in enumerate(sorted(p_values, key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[name]))
        corrected[name] = largest
    return {name: corrected[name] for name in p_values}
