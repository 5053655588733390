"""Convolutions over maps of a few pixels, and of kernels of one pixel, as one product of matrices.

At 64 px a ResNet's last stage sees 2x2 maps. The library's convolutions on CPUs are made for large ones: as a product
the same layer takes a quarter to half of the time, forward and backward, since none of it is spent on padding. In
float32 this makes a step of ResNet18 at 64 px 1.4 times as fast, and one of DenseNet201, most of whose kernels have one
pixel, 1.15 times (benchmarks/train.py).
"""

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LARGEST_SIDE = 2  # of the output's maps; from 4x4 on the library's own convolution is as fast


class SmallMapConv2d(nn.Conv2d):
    """nn.Conv2d with square, undilated kernels and zero padding; on a CPU small maps become a product.

    So do kernels of one pixel in float32, over maps of any size.
    """

    def forward(self, x: Tensor) -> Tensor:
        """float [B,C,H,W] -> [B,O,H',W'], as nn.Conv2d."""
        side, stride, padding = self.kernel_size[0], self.stride[0], int(self.padding[0])
        if x.device.type != "cpu" or torch.jit.is_tracing():  # an exported net keeps its convolutions
            return super().forward(x)
        if side == 1 and not torch.is_autocast_enabled("cpu"):
            return super().forward(x) if stride > 1 or padding else each_pixel(x, self.weight, self.bias)
        if out_side(max(x.shape[-2:]), side, stride, padding) <= LARGEST_SIDE:
            return convolve_as_product(x, self.weight, self.bias, stride, padding)
        return super().forward(x)


def each_pixel(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The convolution of x [B,C,H,W] by a kernel of one pixel [O,C,1,1], without a copy where channels are last."""
    return F.linear(x.permute(0, 2, 3, 1), weight.flatten(1), bias).permute(0, 3, 1, 2)


def convolve_as_product(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int) -> Tensor:
    """The convolution of x [B,C,H,W] by weight [O,C,k,k] as one product of matrices: [B,O,H',W']."""
    if (taps := taps_between(x.shape[2], x.shape[3], weight.shape[-1], stride, padding)) is not None:
        return every_pixel_to_every(x, weight, bias, taps)
    return windows_to_pixels(x, weight, bias, stride, padding)


@lru_cache(maxsize=64)
def taps_between(height: int, width: int, side: int, stride: int, padding: int) -> list[list[list[int]]] | None:
    """[H'][W'][H*W] the index of the kernel's tap, of `side` squared, through which an output pixel sees each input
    pixel; None where one does not see all of them."""
    rows, columns = (
        [[start + padding - end * stride for start in range(size)] for end in range(out)]
        for size in (height, width)
        for out in [out_side(size, side, stride, padding)]
    )
    if not all(0 <= tap < side for line in (*rows, *columns) for tap in line):
        return None
    return [[[i * side + j for i in row for j in column] for column in columns] for row in rows]


def out_side(size: int, side: int, stride: int, padding: int) -> int:
    """The side of a convolution's output."""
    return (size + 2 * padding - side) // stride + 1


def every_pixel_to_every(x: Tensor, weight: Tensor, bias: Tensor | None, taps: list[list[list[int]]]) -> Tensor:
    """Where all see all (2x2 maps and a 3x3 kernel): [B, H*W*C] @ [H*W*C, O*H'*W'], no product with a zero in it."""
    height, width = len(taps), len(taps[0])
    by_tap = weight.to(torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else weight.dtype)
    by_tap = by_tap.permute(0, 2, 3, 1).flatten(1, 2)
    order = torch.tensor(taps).flatten()
    matrix = by_tap.index_select(1, order).view(len(weight) * height * width, -1)
    made = F.linear(x.permute(0, 2, 3, 1).flatten(1), matrix).view(len(x), len(weight), height, width)
    made = made if bias is None else made + bias.to(made.dtype)[:, None, None]
    return made.contiguous(memory_format=torch.channels_last)


def windows_to_pixels(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int) -> Tensor:
    """What each output pixel sees becomes a row, the kernels become columns: [B*H'*W', k*k*C] @ [k*k*C, O]."""
    side = weight.shape[-1]
    pixels = F.pad(x.permute(0, 2, 3, 1), (0, 0, padding, padding, padding, padding))
    height, width = (out_side(size, side, stride, padding) for size in x.shape[2:])
    seen = [
        pixels[:, row : row + stride * (height - 1) + 1 : stride, column : column + stride * (width - 1) + 1 : stride]
        for row in range(side)
        for column in range(side)
    ]
    rows = torch.cat(seen, dim=-1).flatten(0, 2)
    made = F.linear(rows, weight.permute(0, 2, 3, 1).flatten(1), bias)
    return made.view(len(x), height, width, len(weight)).permute(0, 3, 1, 2)


def small_map_convolution(layer: nn.Module) -> SmallMapConv2d | None:
    """A SmallMapConv2d, without weights yet, to replace an ordinary convolution; None for other layers.

    Ordinary is one with square kernel, stride and padding, and no dilation, groups or other padding than zeros.
    """
    if type(layer) is not nn.Conv2d or (layer.dilation, layer.groups, layer.padding_mode) != ((1, 1), 1, "zeros"):
        return None
    pairs = (layer.kernel_size, layer.stride, layer.padding)
    if not all(isinstance(pair, tuple) and pair[0] == pair[1] for pair in pairs):
        return None
    side, stride, padding = (int(pair[0]) for pair in pairs)
    bias = layer.bias is not None
    return SmallMapConv2d(layer.in_channels, layer.out_channels, side, stride, padding, bias=bias, device="meta")
