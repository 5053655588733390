"""Views under another light: each change against its formula, written out for one view."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from scipy.special import expit, logit
from scipy.stats import norm

from core_code.core_utils.photometric import DEPTH, RANDOM_NUMBERS, SHADES, blur, photometric_augmentation, shade

# focus 0.9: not blurred; depth 0: no shades, whatever they would be
UNCHANGED = torch.tensor([0.5, 0.0, 0.0, 0.5, 0.5, 0.9, 0.0, 0.0, *[0.3] * SHADES**2])[:, None]


@pytest.fixture
def views() -> torch.Tensor:
    return torch.rand(5, 24, 24, generator=torch.Generator().manual_seed(0)) * 0.5 + 0.25


def test_middle_numbers_change_nothing(views):
    assert torch.allclose(photometric_augmentation(views, UNCHANGED.expand(-1, 5)), views, atol=1e-6)


def test_gamma_slope_contrast_and_offset_are_as_written(views):
    numbers = UNCHANGED.expand(-1, 5).clone()
    numbers[:5, 2] = torch.tensor([0.8, 0.25, 0.5, 0.3, 0.7])
    found = photometric_augmentation(views, numbers)
    assert torch.allclose(found[[0, 1, 3, 4]], views[[0, 1, 3, 4]], atol=1e-6), "each view has numbers of its own"
    lit = views[2].numpy() ** np.exp(0.7 * 0.6)
    across = np.linspace(-1, 1, 24)
    lit = lit * (1 + 0.8 * 0.5 * across[:, None])  # a quarter of a turn: downwards
    lit = (lit - lit.mean()) * np.exp(0.6 * -0.4) + lit.mean() + 0.2 * 0.4
    assert np.allclose(found[2].numpy(), lit.clip(0, 1), atol=1e-5)


def test_blur_is_scipys(views):
    sigmas = torch.tensor([0.1, 0.5, 0.8, 1.2, 1.5])
    found = blur(views, sigmas)
    for view, sigma, one in zip(views, sigmas, found, strict=True):
        expected = gaussian_filter(view.numpy().astype(np.float64), float(sigma), mode="nearest", radius=3)
        assert np.allclose(one.numpy(), expected, atol=1e-5)


def test_shades_at_the_corners_are_the_normal_numbers_of_their_numbers(views):
    numbers = torch.rand(SHADES**2, 5, generator=torch.Generator().manual_seed(2))
    depth = torch.tensor([0.5, DEPTH, 0.1, 0.0, 0.7])[:, None, None]
    found = shade(views, depth, numbers)
    for row, column, place in ((0, 0, 0), (0, -1, SHADES - 1), (-1, 0, SHADES * (SHADES - 1)), (-1, -1, -1)):
        logits = logit(views[:, row, column].double().numpy())
        expected = expit(logits + depth[:, 0, 0].numpy() * norm.ppf(numbers[place].double().numpy()))
        assert np.allclose(found[:, row, column].numpy(), expected, atol=1e-4)
    assert torch.equal(found[3], views[3])
    steps = (found[1] - views[1]).diff(dim=0).abs()
    assert steps.max() < 0.3, "smooth between them"


def test_whatever_is_drawn_stays_in_range(views):
    numbers = torch.rand(RANDOM_NUMBERS, 5, generator=torch.Generator().manual_seed(1))
    for extreme in (numbers, numbers.round().clamp(0, 1 - 1e-6)):
        found = photometric_augmentation(views, extreme)
        assert found.shape == views.shape and found.isfinite().all()
        assert found.min() >= 0 and found.max() <= 1
