"""One batch, many processes: each computes its part of every batch, and all take the step of the whole batch.

So N processes end where one process ends, but for the order in which floats are added. Alone, a process has the whole
batch and nothing here costs anything.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from core_code.core_utils.distributed.job import all_reduce_sum, is_main_process, rank, world_size


class Shard(NamedTuple):
    """This process's rows of a batch of `total`; when alone, all of them.

    What is random is drawn for all rows by every process, so that a row's draws are the same whoever computes it.
    """

    total: int
    rows: slice | Tensor

    def twice(self) -> "Shard":
        """The same rows of two batches that stand one after the other."""
        rows = torch.arange(self.total)[self.rows]
        return Shard(2 * self.total, torch.cat([rows, rows + self.total]))


def shard_of(total: int) -> Shard:
    """Every world-size-th row, from the row of this process's number on: the shares differ by one row at most."""
    return Shard(total, slice(rank(), None, world_size()))


def global_mean(mean: Tensor, count: int) -> Tensor:
    """The mean over the whole batch (a scalar, the same in every process) from the mean over the `count` rows here.

    Its gradient is that of this process's share in it alone: `sum_gradients` adds the others'. A process may have no
    rows; what its mean is does not matter then.
    """
    if world_size() == 1:
        return mean
    here = mean.detach().float() * count if count else mean.new_zeros((), dtype=torch.float32)
    total, rows = all_reduce_sum(torch.stack([here, torch.full_like(here, count)]))
    return Share.apply(mean, total / rows, count / rows)


class Share(torch.autograd.Function):
    """The value of the whole with the gradient of a share in it."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, whole: Tensor, share: Tensor) -> Tensor:
        ctx.save_for_backward(share)
        ctx.dtype = own.dtype
        return whole.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (share,) = ctx.saved_tensors
        return (gradient * share).to(ctx.dtype), None, None


def sum_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Add all processes' gradients, as one message."""
    if world_size() == 1:
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    sums = all_reduce_sum(torch.cat([gradient.flatten() for gradient in gradients]))
    for gradient, part in zip(gradients, sums.split([gradient.numel() for gradient in gradients]), strict=True):
        gradient.copy_(part.view(gradient.shape))


def broadcast_weights(net: nn.Module) -> None:
    """Give every process the writer's weights and buffers."""
    if world_size() == 1:
        return
    with torch.no_grad():
        for tensor in [*net.parameters(), *net.buffers()]:
            tensor.copy_(all_reduce_sum(tensor if is_main_process() else torch.zeros_like(tensor)))


def gather_rows(own: Tensor, indices: Tensor, total: int) -> Tensor:
    """[total,...] in order, of which this process computed the rows `indices`, and the others the rest."""
    if world_size() == 1:
        return own
    rows = own.new_zeros(total, *own.shape[1:])
    rows[indices] = own
    return all_reduce_sum(rows)
