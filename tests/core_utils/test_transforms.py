"""The batch transforms against torchvision's per-image ones, on the same parameters."""

import numpy as np
import pytest
import torch
from torchvision.transforms import InterpolationMode, RandomResizedCrop
from torchvision.transforms import functional as reference

from core_code.core_utils import transforms

LEVEL = 1 / 255


def make_faces(count: int = 12, seed: int = 0) -> torch.Tensor:
    """Noise of every brightness: the hardest picture for a resize."""
    return torch.randint(0, 256, (count, 48, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("size", [20, 32, 48, 64, 224])
def test_crop_flip_resize_equals_torchvision(size):
    faces = make_faces()
    crops = transforms.random_crops(len(faces), 48, 48, torch.Generator().manual_seed(3))
    flips = torch.arange(len(faces)) % 2 == 0
    views = transforms.crop_and_resize(faces, crops, flips, size)
    for i, view in enumerate(views):
        box = [int(values[i]) for values in crops]
        expected = reference.resized_crop(
            faces[i][None].float() / 255, *box, [size, size], InterpolationMode.BILINEAR, antialias=True
        )
        if flips[i]:
            expected = reference.hflip(expected)
        assert (view - expected[0]).abs().max() < 0.01 * LEVEL


@pytest.mark.parametrize("size", [16, 32, 48, 64, 71, 224])
def test_evaluation_view_equals_torchvision(size):
    faces = make_faces()
    resized = reference.resize(faces[:, None].float() / 255, [round(size * 256 / 224)] * 2, antialias=True)
    expected = reference.center_crop(resized, [size, size])
    view = transforms.evaluation_view(faces, size)
    assert view.shape == (len(faces), 3, size, size)
    assert (view - expected).abs().max() < 0.01 * LEVEL


def test_sharpness_equals_torchvision():
    views = torch.rand(6, 40, 40, generator=torch.Generator().manual_seed(1))
    factors = torch.tensor([0.0, 0.5, 1.0, 2.0, 2.0, 3.0])
    sharpened = transforms.adjust_sharpness(views, factors)
    for view, factor, result in zip(views, factors, sharpened, strict=True):
        expected = reference.adjust_sharpness(view[None], factor.item())[0]
        assert (result - expected).abs().max() < 0.01 * LEVEL


def test_brightness_equals_torchvision():
    views = torch.rand(4, 9, 9, generator=torch.Generator().manual_seed(1))
    factors = torch.tensor([0.7, 1.0, 1.2, 1.3])
    brightened = transforms.adjust_brightness(views, factors)
    for view, factor, result in zip(views, factors, brightened, strict=True):
        assert torch.allclose(result, reference.adjust_brightness(view[None], factor.item())[0], atol=1e-6)


def test_crops_follow_torchvisions_distribution():
    count = 4000
    crops = torch.stack(transforms.random_crops(count, 48, 48, torch.Generator().manual_seed(0))).numpy()
    torch.manual_seed(0)
    image = torch.zeros(1, 48, 48)
    drawn = np.array([RandomResizedCrop.get_params(image, (0.08, 1), (3 / 4, 4 / 3)) for _ in range(count)]).T
    probabilities = np.linspace(0.05, 0.95, 10)
    for ours, theirs in zip(crops, drawn, strict=True):
        assert abs(np.quantile(ours, probabilities) - np.quantile(theirs, probabilities)).max() <= 1.5
        assert abs(ours.mean() - theirs.mean()) < 0.6
    top, left, height, width = crops
    assert min(top.min(), left.min()) == 0 and min(height.min(), width.min()) > 0
    assert (top + height).max() == 48 and (left + width).max() == 48


def test_crops_show_no_less_than_the_smallest_share():
    crops = transforms.random_crops(4000, 48, 48, torch.Generator().manual_seed(0), 0.6)
    areas = crops.height * crops.width / 48**2
    assert 0.57 < areas.min() < 0.62 and areas.max() == 1


def test_train_view_has_three_equal_channels_in_range_and_depends_on_the_generator_alone():
    faces = make_faces(64)
    first, again, other = (transforms.train_view(faces, 32, torch.Generator().manual_seed(seed)) for seed in (5, 5, 6))
    assert first.shape == (64, 3, 32, 32) and first.dtype == torch.float32
    assert first.min() >= 0 and first.max() <= 1
    assert torch.equal(first[:, 0], first[:, 1]) and torch.equal(first[:, 0], first[:, 2])
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_half_of_the_views_are_mirrored_and_half_sharpened():
    """Of whole faces, uncropped, each view is the face, mirrored or not, sharpened by 2 or not, and brightened."""
    face = torch.randint(60, 140, (48, 48), generator=torch.Generator().manual_seed(1)).to(torch.uint8)
    face[:, [0, -1]] = 100  # the border is not sharpened: it tells how bright a view is
    views = transforms.train_view(
        face.expand(2000, 48, 48), 48, torch.Generator().manual_seed(0), channels=1, smallest_crop=1
    )[:, 0]
    brightness = views[:, :, 0].mean(1) * 255 / 100
    assert 0.7 <= brightness.min() < 0.71 and 1.29 < brightness.max() <= 1.3
    plain = face[None].float() / 255
    sharp = reference.adjust_sharpness(plain, 2.0)
    expected = torch.cat([plain, sharp, reference.hflip(plain), reference.hflip(sharp)])
    distances = torch.stack([(views / brightness[:, None, None] - one).abs().amax((1, 2)) for one in expected])
    nearest = distances.min(0)
    assert nearest.values.max() < 0.01 * LEVEL
    assert 0.45 < (nearest.indices >= 2).float().mean() < 0.55
    assert 0.45 < (nearest.indices % 2).float().mean() < 0.55


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_draws_the_same_views():
    faces = make_faces(64)
    views = [transforms.train_view(f, 64, torch.Generator().manual_seed(2)).cpu() for f in (faces, faces.cuda())]
    assert (views[0] - views[1]).abs().max() < LEVEL / 4
    evaluation = [transforms.evaluation_view(f, 64).cpu() for f in (faces, faces.cuda())]
    assert (evaluation[0] - evaluation[1]).abs().max() < LEVEL / 4
