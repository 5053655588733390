"""Convolutions of small maps as products: the same numbers as the library's, forward and backward."""

import copy

import pytest
import torch
from torch import nn

from core_code.core_utils.acceleration import accelerate
from core_code.core_utils.acceleration.small_maps import SmallMapConv2d, convolve_as_product, each_pixel
from core_code.models.emotion_net import EmotionNet


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding"),
    [(2, 3, 1, 1), (1, 3, 1, 1), (2, 3, 2, 1), (4, 3, 2, 1), (3, 3, 2, 1), (2, 1, 1, 0), (2, 1, 2, 0), (3, 5, 1, 2)],
)
def test_the_product_equals_the_convolution_with_its_gradients(size, kernel, stride, padding):
    conv = nn.Conv2d(5, 6, kernel, stride, padding).double()
    ours, theirs = (
        torch.randn(3, 5, size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) for _ in "ab"
    )
    ours.requires_grad_(), theirs.requires_grad_()
    expected = conv(theirs)
    pull = torch.randn_like(expected)
    wanted = torch.autograd.grad((expected * pull).sum(), [theirs, conv.weight, conv.bias])
    made = convolve_as_product(ours, conv.weight, conv.bias, stride, padding)
    found = torch.autograd.grad((made * pull).sum(), [ours, conv.weight, conv.bias])
    torch.testing.assert_close(made, expected)
    for ours_too, theirs_too in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours_too, theirs_too)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_a_kernel_of_one_pixel_is_a_product_with_its_gradients(memory_format):
    conv = nn.Conv2d(5, 6, 1).double()
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(3, 5, 7, 4, dtype=torch.float64, generator=generator).contiguous(memory_format=memory_format)
    x.requires_grad_()
    expected, made = conv(x), each_pixel(x, conv.weight, conv.bias)
    torch.testing.assert_close(made, expected)
    pull, inputs = torch.randn_like(expected), [x, conv.weight, conv.bias]
    wanted, found = (torch.autograd.grad((out * pull).sum(), inputs) for out in (expected, made))
    torch.testing.assert_close(found, wanted)


def test_a_net_in_bfloat16_predicts_what_the_librarys_convolutions_predict():
    torch.manual_seed(1)
    plain = EmotionNet("resnet18").eval()
    net = accelerate(copy.deepcopy(plain))
    assert not any(type(module) is SmallMapConv2d for module in plain.modules())
    assert any(type(module) is SmallMapConv2d for module in net.modules())
    assert [*net.state_dict()] == [*plain.state_dict()] and not any(module.training for module in net.modules())
    views = torch.rand(4, 3, 64, 64)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(net(views), plain(views), atol=0.05, rtol=0.05)


@pytest.mark.parametrize(("name", "size"), [("resnet18", 64), ("densenet201", 64), ("resnet18", 96)])
def test_a_training_step_in_float32_has_the_librarys_loss_and_gradients(name, size):
    torch.manual_seed(1)
    plain = EmotionNet(name).train()
    net = accelerate(copy.deepcopy(plain))
    views, labels = torch.rand(4, 3, size, size), torch.tensor([0, 3, 6, 1])
    losses = []
    for each in (net, plain):
        losses.append(nn.functional.cross_entropy(each(views), labels))
        losses[-1].backward()
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-4, atol=1e-4)
    total = sum(parameter.grad.square().sum() for parameter in plain.parameters()).sqrt()
    for ours, theirs in zip(net.parameters(), plain.parameters(), strict=True):
        assert (ours.grad - theirs.grad).norm() < 2e-3 * total  # batch norm over a few pixels enlarges rounding


def test_unusual_convolutions_stay_as_they_are():
    net = nn.Sequential(
        nn.Conv2d(4, 4, 3, groups=2), nn.Conv2d(4, 4, 3, dilation=2), nn.Conv2d(4, 4, 3, padding="same")
    )
    accelerate(net)
    assert all(type(module) is nn.Conv2d for module in net)
