"""Convolutions over maps of a few pixels, as one product of matrices.

At 64 px a ResNet's last stage sees 2x2 maps. The library's bfloat16 convolutions on CPUs are made for large ones:
as a product the same layer takes less than half the time, forward and backward.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LARGEST_SIDE = 2  # of the output's maps; from 4x4 on the library's own convolution is as fast


class SmallMapConv2d(nn.Conv2d):
    """nn.Conv2d with square, undilated kernels and zero padding; small bfloat16 maps on a CPU go as a product."""

    def forward(self, x: Tensor) -> Tensor:
        """float [B,C,H,W] -> [B,O,H',W'], as nn.Conv2d."""
        if x.device.type == "cpu" and torch.is_autocast_enabled("cpu") and self.output_side(x) <= LARGEST_SIDE:
            return convolve_as_product(x, self.weight, self.bias, self.stride[0], self.padding[0])
        return super().forward(x)

    def output_side(self, x: Tensor) -> int:
        return (max(x.shape[-2:]) + 2 * self.padding[0] - self.kernel_size[0]) // self.stride[0] + 1


def convolve_as_product(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int) -> Tensor:
    """What each output pixel sees becomes a row, the kernels become columns: [B*H'*W', k*k*C] @ [k*k*C, O]."""
    side = weight.shape[-1]
    pixels = F.pad(x.permute(0, 2, 3, 1), (0, 0, padding, padding, padding, padding))
    height, width = ((size - side) // stride + 1 for size in pixels.shape[1:3])
    seen = [
        pixels[:, row : row + stride * (height - 1) + 1 : stride, column : column + stride * (width - 1) + 1 : stride]
        for row in range(side)
        for column in range(side)
    ]
    rows = torch.cat(seen, dim=-1).flatten(0, 2)
    made = F.linear(rows, weight.permute(0, 2, 3, 1).flatten(1), bias)
    return made.view(len(x), height, width, len(weight)).permute(0, 3, 1, 2)


def speed_up_small_maps(net: nn.Module) -> None:
    """Let every ordinary convolution of the net take the quick way where its maps are small; weights stay the same."""
    for module in net.modules():
        if type(module) is nn.Conv2d and is_ordinary(module):
            module.__class__ = SmallMapConv2d


def is_ordinary(conv: nn.Conv2d) -> bool:
    """Square kernel, stride and padding; no dilation, groups or other padding than zeros."""
    pairs = (conv.kernel_size, conv.stride, conv.padding)
    square = all(isinstance(pair, tuple) and pair[0] == pair[1] for pair in pairs)
    return square and conv.dilation == (1, 1) and conv.groups == 1 and conv.padding_mode == "zeros"
