"""The moving average of a net's weights over its training, which predicts better than the last step's weights."""

import copy
from collections.abc import Iterable
from typing import Generic, TypeVar

import torch
from torch import nn

Net = TypeVar("Net", bound=nn.Module)


class WeightEMA(Generic[Net]):
    """`net`: a copy of a net whose float weights and buffers are the exponential moving average of that net's.

    `steps` counts the updates. The batch norms' running statistics are averaged too; their counters, which nothing
    reads, are not.
    """

    def __init__(self, net: Net, decay: float) -> None:
        self.net = copy.deepcopy(net).requires_grad_(False).eval()
        self.decay = decay
        self.steps = 0
        self.sources, self.averages = float_tensors(net), float_tensors(self.net)

    @torch.no_grad()
    def update(self) -> None:
        """Move the average towards the net as it is now; a few kernels for all tensors."""
        self.steps += 1
        move_average(self.averages, self.sources, self.decay, self.steps)


@torch.no_grad()
def move_average(averages: Iterable[torch.Tensor], sources: Iterable[torch.Tensor], decay: float, steps: int) -> None:
    """Move averages, in place, towards the tensors that they are of, as update number `steps`; a few kernels for all.

    The decay at step n is the smaller of `decay` and (1 + n) / (10 + n), as in TensorFlow's ExponentialMovingAverage,
    so that what came before the first steps is soon forgotten.
    """
    torch._foreach_lerp_([*averages], [*sources], 1 - min(decay, (1 + steps) / (10 + steps)))


def float_tensors(net: nn.Module) -> list[torch.Tensor]:
    """The net's parameters and float buffers, in place."""
    tensors = [*net.parameters(), *net.buffers()]
    return [tensor.detach() for tensor in tensors if tensor.is_floating_point()]
