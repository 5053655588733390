"""The views of test-time augmentation against torchvision's flips and crops."""

import pytest
import torch
from small_faces import smooth_faces
from torchvision.transforms import functional

from core_code.core_utils.choices import TTA_KINDS
from core_code.core_utils.transforms import evaluation_view
from core_code.training.inference import views_of


@pytest.fixture
def faces():
    return torch.from_numpy(smooth_faces(3))


def test_without_it_there_is_the_evaluation_view_alone(faces):
    (view,) = views_of(faces, 40)
    assert torch.equal(view, evaluation_view(faces, 40))


def test_flip_is_the_view_and_its_mirror_image(faces):
    view, mirrored = views_of(faces, 40, "flip")
    assert torch.equal(view, evaluation_view(faces, 40))
    assert torch.equal(mirrored, functional.hflip(view))


@pytest.mark.parametrize("size", [28, 40, 64, 224])
def test_ten_crop_is_torchvisions_of_the_resized_face(faces, size):
    resized = functional.resize(faces[:, None].float() / 255, [round(size * 256 / 224)] * 2, antialias=True)
    wanted = functional.ten_crop(resized, [size, size])
    found = list(views_of(faces, size, "ten_crop"))
    assert len(found) == 10 and all(view.shape == (3, 3, size, size) for view in found)
    for view, crop in zip(found, wanted, strict=True):
        assert torch.allclose(view, crop.expand(-1, 3, -1, -1), atol=1e-5)
    assert torch.allclose(found[4], evaluation_view(faces, size), atol=1e-6)


def test_views_come_in_the_dtype_asked_for(faces):
    assert all(view.dtype == torch.bfloat16 for kind in ("none", "flip", "ten_crop")
               for view in views_of(faces, 32, kind, torch.bfloat16))  # fmt: skip


def test_another_kind_is_an_error_and_every_kind_of_the_flag_has_views(faces):
    with pytest.raises(ValueError, match="flip, ten_crop"):
        next(views_of(faces, 32, "rotate"))
    assert [len(list(views_of(faces, 32, kind))) for kind in TTA_KINDS] == [1, 2, 10]
