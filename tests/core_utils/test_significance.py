"""McNemar's test, Holm's correction, means over nets and faces: against SciPy, statsmodels and plain loops."""

import math
import random

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import binomtest, chi2, t, ttest_1samp
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar
from statsmodels.stats.multitest import multipletests

from core_code.core_utils.metrics.scores import adjust_logits
from core_code.core_utils.metrics.significance import crossed_mean, holm, mcnemar


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


@pytest.mark.parametrize(("b", "c"), [(5, 12), (30, 51)])
def test_mcnemar_is_statsmodels_too(b, c):
    expected = statsmodels_mcnemar([[20, b], [c, 5]], exact=b + c < 25, correction=True)
    assert mcnemar(*pairs(20, b, c, 5)).p_value == pytest.approx(expected.pvalue)


def test_holm_is_statsmodels():
    draw = random.Random(1)
    for count in (1, 2, 7, 20):
        ps = {f"arm {place}": draw.random() ** 3 for place in range(count)} | {"same": 0.01, "again": 0.01}
        expected = multipletests(list(ps.values()), method="holm")[1]
        assert list(holm(ps)) == list(ps)
        assert list(holm(ps).values()) == pytest.approx(list(expected))
    assert holm({}) == {}


def crossed(nets: int, faces: int, effects: tuple[float, float, float], seed: int, mean: float = 0.0) -> torch.Tensor:
    """Effects of nets, of faces and of both together, normal with these standard deviations."""
    rng = torch.Generator().manual_seed(seed)
    shapes = ((nets, 1), (1, faces), (nets, faces))
    return mean + sum(size * torch.randn(shape, generator=rng) for size, shape in zip(effects, shapes, strict=True))


@pytest.mark.parametrize("effects", [(0.4, 0.5, 1.0), (0.0, 0.5, 1.0)])
def test_the_interval_over_nets_and_faces_comes_from_statsmodels_mean_squares(effects):
    nets, faces = 3, 25
    values = crossed(nets, faces, effects, seed=3, mean=0.6)
    table = pd.DataFrame(
        [(net, face, values[net, face].item()) for net in range(nets) for face in range(faces)],
        columns=["net", "face", "value"],
    )
    squares = anova_lm(ols("value ~ C(net) + C(face)", table).fit()).mean_sq
    of_nets = max(squares["C(net)"], squares["Residual"])
    both = of_nets + max(0, squares["C(face)"] - squares["Residual"])
    error, freedom = math.sqrt(both / (nets * faces)), both**2 / (of_nets**2 / (nets - 1))
    found = crossed_mean(values)
    assert found.mean == pytest.approx(table.value.mean())
    assert (found.low, found.high) == pytest.approx(t.interval(0.95, freedom, found.mean, error))
    assert found.p_value == pytest.approx(2 * t.sf(found.mean / error, freedom))


def test_of_one_net_the_interval_is_that_of_scipys_t_test_over_faces():
    values = crossed(1, 40, (0, 0, 1), seed=5, mean=0.3)
    expected = ttest_1samp(values[0].numpy(), 0)
    found = crossed_mean(values)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-4)
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval()), rel=1e-4)


@pytest.mark.parametrize("effects", [(0.0, 0.0, 1.0), (0.1, 0.5, 1.0), (0.3, 1.0, 1.0)])
@pytest.mark.parametrize("nets", [3, 5])
def test_about_19_of_20_intervals_hold_the_true_mean(nets, effects):
    inside = [(found := crossed_mean(crossed(nets, 200, effects, seed))).low <= 0 <= found.high for seed in range(400)]
    assert 0.9 <= np.mean(inside) <= 1


def test_equal_classifiers_differ_by_nothing_and_without_faces_nothing_is_known():
    assert crossed_mean(torch.zeros(3, 10)) == (0, 0, 0, 1)
    assert crossed_mean(torch.ones(2, 10)) == (1, 1, 1, 0)
    assert all(map(math.isnan, crossed_mean(torch.zeros(3, 0))))


def test_logits_for_other_shares_are_those_of_bayes_rule():
    """Two classes drawn from known densities: the posterior under other shares, face by face."""
    likelihood = np.array([[0.2, 0.7, 0.1], [0.3, 0.3, 0.4], [0.01, 0.9, 0.09]])
    trained, real = np.array([0.4, 0.3, 0.3]), np.array([0.1, 0.2, 0.7])
    logits = torch.tensor(np.log(likelihood * trained))
    found = adjust_logits(logits, torch.tensor(trained), torch.tensor(real)).softmax(1).tolist()
    for row, posterior in zip(likelihood.tolist(), found, strict=True):
        weighted = [density * share for density, share in zip(row, real, strict=True)]
        assert posterior == pytest.approx([value / sum(weighted) for value in weighted])


def test_a_class_that_training_or_the_real_faces_lack_gives_no_nan():
    found = adjust_logits(torch.zeros(1, 3), torch.tensor([0.5, 0.5, 0.0]), torch.tensor([0.5, 0.0, 0.5]))
    assert found.tolist() == [[0.0, -math.inf, 0.0]]
