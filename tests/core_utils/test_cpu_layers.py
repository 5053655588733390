"""The layers that CPUs compute otherwise in bfloat16: the same results as the plain ones'."""

import pytest
import torch
import torch.nn.functional as F

from core_code.core_utils.acceleration.cpu_layers import FewChannelConv2d, instance_norm_per_image
from EmotionGAN.networks.generator import InstanceNorm

EPSILON = 2.0**-8  # of bfloat16


def noise(*shape: int) -> torch.Tensor:
    made = torch.randn(*shape, generator=torch.Generator().manual_seed(0))
    return made.contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("shape", [(2, 16, 16, 16), (1, 64, 24, 12), (2, 8, 16, 16), (2, 16, 10, 7)])
def test_a_convolution_by_squares_is_the_convolution(channels, shape):
    torch.manual_seed(1)
    layer = FewChannelConv2d(shape[1], channels, 7, padding=3, bias=False)
    images = noise(*shape).bfloat16()
    layer.weight.data = layer.weight.bfloat16().float()  # so that rounding the weights costs nothing
    expected = F.conv2d(images.double(), layer.weight.double(), padding=3)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        made = layer(images)
    assert made.dtype == torch.bfloat16 and made.shape == expected.shape
    torch.testing.assert_close(made.double(), expected, rtol=EPSILON, atol=1e-4)


def test_in_float32_and_with_gradients_it_is_the_librarys_own():
    layer = FewChannelConv2d(8, 1, 7, padding=3, bias=False)
    images = noise(2, 8, 16, 16)
    with torch.inference_mode():
        assert torch.equal(layer(images), F.conv2d(images, layer.weight, padding=3))
    with torch.autocast("cpu", torch.bfloat16):
        layer(images.bfloat16()).float().sum().backward()
    assert layer.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("styled", [False, True])
def test_norms_image_by_image_follow_the_formula(styled):
    images = (noise(3, 6, 9, 8) * 2 + 1).bfloat16()
    scale, shift = torch.rand(3, 1, 6) + 0.5, torch.randn(3, 1, 6)
    if not styled:
        scale, shift = scale[0, 0], shift[0, 0]
    made = instance_norm_per_image(images, scale, shift, 1e-5)
    exact = images.double()
    mean, variance = exact.mean(dim=(2, 3), keepdim=True), exact.var(dim=(2, 3), keepdim=True, correction=0)
    rows = (each.expand(3, 1, 6)[:, 0, :, None, None].double() for each in (scale, shift))
    expected = (exact - mean) / (variance + 1e-5).sqrt() * next(rows) + next(rows)
    assert made.dtype == torch.bfloat16 and made.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(made.double(), expected, rtol=EPSILON, atol=EPSILON)


@pytest.mark.parametrize("styled", [False, True])
def test_a_norm_generates_in_bfloat16_what_it_learned_with(styled):
    torch.manual_seed(2)
    layer = InstanceNorm(6, styled)
    layer.accelerated = True
    images, style = noise(2, 6, 8, 8).bfloat16(), torch.rand(2, 64) if styled else None
    with torch.autocast("cpu", torch.bfloat16):
        learned = layer(images, style)
        with torch.inference_mode():
            generated = layer(images, style)
    torch.testing.assert_close(generated, learned, rtol=4 * EPSILON, atol=4 * EPSILON)
