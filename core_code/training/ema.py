"""The moving average of a net's weights over its training, which predicts better than the last step's weights."""

import copy
from typing import Generic, TypeVar

import torch
from torch import nn

Net = TypeVar("Net", bound=nn.Module)


class WeightEMA(Generic[Net]):
    """`net`: a copy of a net whose float weights and buffers are the exponential moving average of that net's.

    The decay at step n (from 1) is the smaller of `decay` and (1 + n) / (10 + n), as in TensorFlow's
    ExponentialMovingAverage, so that what came before the first steps is soon forgotten. `steps` counts the updates.
    The batch norms' running statistics are averaged too; their counters, which nothing reads, are not.
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
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        torch._foreach_lerp_(self.averages, self.sources, 1 - decay)


def float_tensors(net: nn.Module) -> list[torch.Tensor]:
    """The net's parameters and float buffers, in place."""
    tensors = [*net.parameters(), *net.buffers()]
    return [tensor.detach() for tensor in tensors if tensor.is_floating_point()]
