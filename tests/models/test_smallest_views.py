"""Views that are too small for a net: one line with the smallest size that works, and that one works."""

import re

import pytest
import torch

from core_code.core_utils.errors import InputError
from core_code.models.byol import BYOL
from core_code.models.emotion_net import EmotionNet
from core_code.models.smallest_views import check_views


def test_views_larger_than_any_net_needs_are_not_computed():
    net = EmotionNet("resnet18", True)
    check_views(net, 100_000, 1)  # 120 GB of pixels


@pytest.mark.parametrize(
    "name, size, rows, smallest",
    [("resnet18", 32, 1, 33), ("resnet18", 32, 2, None), ("resnet18", 1, None, None), ("densenet201", 28, None, 29),
     ("densenet201", 28, 8, 29), ("densenet201", 29, 1, 61), ("densenet201", 29, 2, None), ("byol", 32, 2, None),
     ("frozen", 32, 1, None)],
)  # fmt: skip
def test_the_smallest_size_that_works_is_said_and_works(name, size, rows, smallest):
    net = BYOL("resnet18") if name == "byol" else EmotionNet("resnet18" if name == "frozen" else name, name == "frozen")
    before = {key: value.clone() for key, value in net.state_dict().items()}
    if smallest is not None:
        with pytest.raises(InputError, match=rf"--image_size {size}: .*; take {smallest} or more") as error:
            check_views(net, size, rows)
        assert "\n" not in str(error.value) and re.search("resnet18|densenet201", str(error.value))
    check_views(net, smallest or size, rows)
    assert net.training and all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    net.train(rows is not None)
    net(torch.rand(rows or 1, 3, smallest or size, smallest or size))
    if smallest is not None:
        with pytest.raises((RuntimeError, ValueError)):
            net(torch.rand(rows or 1, 3, smallest - 1, smallest - 1))
