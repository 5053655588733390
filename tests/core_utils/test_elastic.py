"""Random smooth warps, beside torchvision's ElasticTransform given the same random numbers."""

import pytest
import torch
from torch.nn import functional as F
from torchvision.transforms import v2

from core_code.core_utils import transforms
from core_code.core_utils.distributed.data_parallel import Shard

LEVEL = 1 / 255
PAD = 12


def make_faces(count: int) -> torch.Tensor:
    return torch.randint(0, 256, (count, 48, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def whole(count: int) -> transforms.Boxes:
    zeros, sides = torch.zeros(count), torch.full((count,), 48.0)
    return transforms.Boxes(zeros, zeros, sides, sides)


@pytest.mark.parametrize("alpha", [50.0, 120.0])
def test_the_fields_are_torchvisions(alpha):
    torch.manual_seed(3)
    expected = v2.ElasticTransform(alpha=alpha, sigma=4.0).make_params([torch.zeros(1, 48, 48)])["displacement"]
    torch.manual_seed(3)
    noise = torch.cat([torch.rand(1, 1, 48, 48), torch.rand(1, 1, 48, 48)], 1)
    fields = transforms.elastic_fields(noise, alpha)
    torch.testing.assert_close(fields.movedim(1, -1), expected, rtol=1e-4, atol=1e-6)
    pixels = expected.std().item() * 24
    assert 0.7 < pixels / (alpha / 50) < 1.3  # as documented: about a pixel at 50


def test_faces_are_warped_as_torchvision_warps_them_but_for_the_border_that_is_repeated():
    faces, noise = make_faces(6), torch.rand(6, 2, 48, 48, generator=torch.Generator().manual_seed(1))
    fields, flips = transforms.elastic_fields(noise, 100.0), torch.arange(6) % 2 == 0
    assert fields.abs().max() * 24 < PAD
    views = transforms.rotate_crop_and_resize(faces, torch.zeros(6), whole(6), flips, 48, fields)
    padded = F.pad(faces[:, None].float() / 255, [PAD] * 4, mode="replicate")
    side = 48 + 2 * PAD
    for i, view in enumerate(views):
        displacement = F.pad(fields[i] * 48 / side, [PAD] * 4).movedim(0, -1)[None]
        expected = v2.functional.elastic(padded[i], displacement)[0, PAD:-PAD, PAD:-PAD]
        expected = expected.flip(1) if flips[i] else expected
        assert (view - expected).abs().max() < 0.1 * LEVEL, i


def test_warps_leave_the_other_random_numbers_as_they_are_and_shards_see_their_rows():
    faces = make_faces(16)
    make = lambda **more: transforms.train_view(faces, 48, torch.Generator().manual_seed(2), **more)  # noqa: E731
    plain, hardly = make(erasing=0.5), make(erasing=0.5, elastic=1e-6)
    assert (hardly - plain)[:, :, 4:-4, 4:-4].abs().mean() < 2 * LEVEL  # but for a crop's border
    warped = make(rotation=10.0, erasing=0.5, elastic=50.0)
    assert (warped - plain).abs().mean() > 10 * LEVEL and warped.min() >= 0 and warped.max() <= 1
    rows = slice(1, None, 3)
    part = transforms.train_view(
        faces[rows], 48, torch.Generator().manual_seed(2), shard=Shard(16, rows), rotation=10.0, erasing=0.5,
        elastic=50.0,
    )  # fmt: skip
    assert torch.allclose(part, warped[rows], atol=1e-5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_same_on_a_gpu():
    faces = make_faces(16)
    here, there = (
        transforms.train_view(faces.to(device), 48, torch.Generator().manual_seed(2), elastic=50.0).cpu()
        for device in ("cpu", "cuda")
    )
    assert (here - there).abs().max() < 0.01
