"""The batch transforms against torchvision's per-image ones, on the same parameters."""

import numpy as np
import pytest
import torch
from scipy import stats
from torchvision.transforms import InterpolationMode, RandomErasing, RandomResizedCrop
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


@pytest.mark.parametrize("size", [24, 48, 96])
def test_rotation_equals_torchvisions_where_no_border_is_seen(size):
    """Of whole faces; larger views of the face resized first, smaller ones averaged afterwards."""
    faces = make_faces(8)
    angles = torch.tensor([-40.0, -10.0, -3.0, 0.0, 2.5, 7.0, 10.0, 90.0])
    zeros, whole = torch.zeros(8), torch.full((8,), 48.0)
    flips = torch.arange(8) % 2 == 0
    views = transforms.rotate_crop_and_resize(faces, angles, transforms.Boxes(zeros, zeros, whole, whole), flips, size)
    assert views.shape == (8, size, size)
    for i, (face, angle) in enumerate(zip(faces.float() / 255, angles.tolist(), strict=True)):
        both = torch.stack([face, torch.ones(48, 48)])[:, None]
        if size > 48:  # smooth faces: that a resize and a rotation do not commute is hardly seen
            both[0] = reference.gaussian_blur(both[0], [25, 25], [4.0, 4.0])
            view = transforms.rotate_crop_and_resize(
                (both[:1, 0] * 255).round().to(torch.uint8), angles[i, None],
                transforms.Boxes(*(side[i, None] for side in (zeros, zeros, whole, whole))), flips[i, None], size,
            )[0]  # fmt: skip
            both = reference.resize(both, [size, size], InterpolationMode.BILINEAR)
        else:
            view = views[i]
        rotated = reference.rotate(both, angle, InterpolationMode.BILINEAR)
        expected, inside = torch.nn.functional.avg_pool2d(rotated, max(1, 48 // size))[:, 0]
        if flips[i]:
            expected, inside = expected.flip(1), inside.flip(1)
        apart = (view - expected).abs()[inside > 1 - 1e-5]
        assert len(apart) > 0.4 * size**2 and apart.max() < (4 if size > 48 else 0.05) * LEVEL, angle


def test_a_crop_of_a_rotated_face_is_that_part_of_it():
    """Crops of 24 pixels of smooth faces, enlarged to 48, beside the same crops of torchvision's rotated faces."""
    faces = reference.gaussian_blur(make_faces(6).float() * 4 - 384, [25, 25], [3.0, 3.0]).clamp(0, 255).to(torch.uint8)
    angles = torch.tensor([-10.0, -5.0, 0.0, 4.0, 8.0, 10.0])
    top, left = torch.tensor([10.0, 11, 12, 13, 14, 10]), torch.tensor([14.0, 13, 12, 11, 10, 12])
    boxes = transforms.Boxes(top, left, torch.full((6,), 24.0), torch.full((6,), 20.0))
    views = transforms.rotate_crop_and_resize(faces, angles, boxes, torch.zeros(6) > 0, 48)
    for i, view in enumerate(views):
        rotated = reference.rotate(faces[i, None].float() / 255, angles[i].item(), InterpolationMode.BILINEAR)
        expected = reference.resized_crop(rotated, int(top[i]), int(left[i]), 24, 20, [48, 48])[0]
        assert (view - expected)[2:-2, 2:-2].abs().max() < 4 * LEVEL
        assert expected.std() > 10 * LEVEL
    whole = transforms.Boxes(torch.zeros(6), torch.zeros(6), *[torch.full((6,), 48.0)] * 2)
    plain = transforms.rotate_crop_and_resize(faces, torch.zeros(6), whole, torch.zeros(6) > 0, 48)
    assert (plain - faces / 255).abs().max() < 0.01 * LEVEL


def test_erased_boxes_follow_torchvisions_distribution():
    count, size = 4000, 64
    boxes = transforms.random_erasures(count, size, 1.0, torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    image = torch.zeros(1, size, size)
    drawn = [RandomErasing.get_params(image, (0.02, 0.33), (0.3, 3.3), [0.0])[:4] for _ in range(count)]
    theirs = torch.tensor(drawn, dtype=torch.float32).T.numpy()
    probabilities = np.linspace(0.05, 0.95, 10)
    for our, their in zip(torch.stack(list(boxes)).numpy(), theirs, strict=True):
        assert abs(np.quantile(our, probabilities) - np.quantile(their, probabilities)).max() <= 2.5
    areas = (boxes.height * boxes.width).numpy(), theirs[2] * theirs[3]
    assert areas[0].mean() == pytest.approx(areas[1].mean(), rel=0.03)
    some = transforms.random_erasures(count, size, 0.25, torch.Generator().manual_seed(0))
    assert 0.22 < (some.height > 0).float().mean() < 0.28


def test_erasing_makes_the_box_grey_and_nothing_else():
    views = torch.rand(3, 10, 10, generator=torch.Generator().manual_seed(0))
    boxes = transforms.Boxes(*torch.tensor([[2.0, 0, 5], [3.0, 0, 1], [4.0, 10, 0], [5.0, 10, 9]]))
    expected = views.clone()
    expected[0, 2:6, 3:8] = 0.5
    expected[1] = 0.5
    assert torch.equal(transforms.erase(views, boxes), expected)


def test_rotation_and_erasing_leave_the_other_random_numbers_as_they_are():
    faces = make_faces(32)
    make = lambda **more: transforms.train_view(faces, 48, torch.Generator().manual_seed(2), **more)  # noqa: E731
    plain, erased = make(), make(erasing=0.5)
    changed = (erased != plain).any(1)
    assert (erased[:, 0][changed] == 0.5).all() and 5 < changed.any((1, 2)).sum() < 27
    rotated = make(rotation=1e-6)
    assert (rotated - plain)[:, :, 4:-4, 4:-4].abs().mean() < 2 * LEVEL  # but for a crop's border
    assert make(rotation=10.0, erasing=0.5).shape == plain.shape


def test_mixup_shares_follow_the_beta_distribution():
    generator = torch.Generator().manual_seed(0)
    drawn = [transforms.random_mix(5, 0.4, generator) for _ in range(2000)]
    shares = np.array([share for _, share in drawn])
    assert shares.min() >= 0.5 and all(sorted(partners.tolist()) == [0, 1, 2, 3, 4] for partners, _ in drawn)
    folded = stats.beta(0.4, 0.4)
    assert stats.kstest(shares, lambda x: folded.cdf(x) - folded.cdf(1 - x)).pvalue > 0.01


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
    for more in ({}, {"rotation": 10.0, "erasing": 0.5}):
        one, other = (
            transforms.train_view(f, 64, torch.Generator().manual_seed(2), **more).cpu() for f in (faces, faces.cuda())
        )
        assert (one - other).abs().max() < LEVEL / 4
    evaluation = [transforms.evaluation_view(f, 64).cpu() for f in (faces, faces.cuda())]
    assert (evaluation[0] - evaluation[1]).abs().max() < LEVEL / 4
