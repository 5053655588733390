"""Faster ways to compute what PyTorch computes; each can be left out.

`accelerate(net)` is the one call for a net that trains or predicts; `CudaGraphed` replays a training step on a GPU.
Generators use `cpu_layers`.
"""

from torch import nn

from core_code.core_utils.acceleration.small_maps import small_map_convolution
from core_code.core_utils.modules import replace_modules


def accelerate(net: nn.Module) -> nn.Module:
    """Compute the net's convolutions of small maps as matrix products on CPUs; returns the net, changed in place.

    Parameters, and their names in state dicts, stay the same.
    """
    return replace_modules(net, small_map_convolution)
