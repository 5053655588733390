"""Judging a generator: the figures against scikit-image, scipy and hand-made editors."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import linalg

from core_code.core_utils.emotions import EMOTIONS
from EmotionGAN.conditional_space import ConditionalSpace
from EmotionGAN.measure import metrics as quality
from EmotionGAN.measure.quality import Classifier, measure_quality, quality_table


def faces(count, seed=0):
    return torch.randint(0, 256, (count, 24, 24), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def plain_ssim(x, y):
    """SSIM by its definition, one window at a time."""
    line = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    window = np.outer(line, line) / line.sum() ** 2
    values = []
    for top in range(x.shape[0] - 10):
        for left in range(x.shape[1] - 10):
            a, b = x[top : top + 11, left : left + 11], y[top : top + 11, left : left + 11]
            ma, mb = (window * a).sum(), (window * b).sum()
            va, vb = (window * (a - ma) ** 2).sum(), (window * (b - mb) ** 2).sum()
            cov = (window * (a - ma) * (b - mb)).sum()
            c1, c2 = 2.55**2, 7.65**2
            values.append((2 * ma * mb + c1) * (2 * cov + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2)))
    return np.mean(values)


def test_change_and_similarity_by_their_definitions():
    a = faces(2)
    b = (a.float() * 0.7 + faces(2, 1).float() * 0.3).to(torch.uint8)
    expected = np.abs(a.numpy().astype(float) - b.numpy().astype(float)).mean() / 255
    assert quality.mean_change(a, b) == pytest.approx(expected, rel=1e-5)
    expected = np.mean(
        [plain_ssim(x.astype(float), y.astype(float)) for x, y in zip(a.numpy(), b.numpy(), strict=True)]
    )
    assert quality.structural_similarity(a, b) == pytest.approx(expected, rel=1e-6)
    assert quality.structural_similarity(a, a) == pytest.approx(1)


def test_frechet_distance_against_scipys_matrix_root():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(200, 6)), rng.normal(size=(150, 6)) @ rng.normal(size=(6, 6)) + 0.5
    ca, cb = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(ca + cb - 2 * linalg.sqrtm(ca @ cb).real)
    assert quality.frechet_distance(torch.tensor(a), torch.tensor(b)) == pytest.approx(expected, rel=1e-6)


def fixed_editor(level):
    """An editor whose edit is all of the grey level that `level` gives to the nearest emotion's label."""
    centres = torch.stack([torch.linspace(-0.9, 0.9, 7), torch.zeros(7)], dim=1)

    def edit(batch, codes):
        nearest = torch.cdist(codes, centres).argmin(1)
        return level(nearest)[:, None, None].expand(-1, *batch.shape[1:]).to(torch.uint8)

    return SimpleNamespace(space=ConditionalSpace(centres), edit=edit, edit_all=edit, name="fixed", fingerprint="0")


def predicts_levels(batch):
    """A classifier that predicts the emotion from the grey level: 10 times the label."""
    level = batch.float().mean(dim=(1, 2))
    distances = (level[:, None] - 10 * torch.arange(7)).abs()
    return -distances, torch.cat([distances, distances**2], dim=1) + torch.randn(len(batch), 14)


def test_an_editor_that_hits_its_targets_is_recognised_and_one_that_misses_is_not():
    labels = torch.arange(70) % 7
    real = (10 * labels)[:, None, None].expand(-1, 12, 12).to(torch.uint8)
    good = measure_quality(
        fixed_editor(lambda target: 10 * target), Classifier(predicts_levels, "levels"), real, labels
    )
    assert good["accuracy_on_real"] == 1 and good["target_accuracy"] == 1
    expected = np.mean([10 * abs(int(a) - b) / 255 for a in labels for b in range(7) if a != b])
    assert good["change"] == pytest.approx(expected, rel=1e-5)
    assert good["cycle_change"] == 0
    bad = measure_quality(
        fixed_editor(lambda target: 30 + 0 * target), Classifier(predicts_levels, "levels"), real, labels
    )
    assert bad["emotions"]["Happy"]["accuracy_on_edits"] == 1
    assert bad["target_accuracy"] == pytest.approx(1 / 7)
    assert bad["emotions"]["Fear"]["frechet"] > good["emotions"]["Fear"]["frechet"]
    assert set(good["smoothness"]) == set(EMOTIONS) - {"Neutral"}
    way = good["smoothness"]["Angry"]
    assert len(way) == 11 and way[0] < 0.01 and way[-1] > 0.9
    table = quality_table(good)
    assert all(f"| {emotion} " in table for emotion in EMOTIONS)
    json.dumps(good)
