"""Data parallelism: each process computes its shard of every batch, and all take the step of the whole batch.

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

    Random numbers are drawn for all rows in every process, so that a row's are the same wherever it is computed.
    """

    total: int
    rows: slice | Tensor

    def doubled(self) -> "Shard":
        """The same rows of two batches that stand one after the other."""
        rows = torch.arange(self.total)[self.rows]
        return Shard(2 * self.total, torch.cat([rows, rows + self.total]))


def shard_of(total: int) -> Shard:
    """Every world-size-th row, from row `rank` on: shards differ by one row at most."""
    return Shard(total, slice(rank(), None, world_size()))


def global_mean(mean: Tensor, count: int) -> Tensor:
    """The mean over the whole batch (a scalar, the same in every process) from the mean over the `count` rows here.

    Its gradient is that of this process's rows alone: `all_reduce_gradients` adds the others'. A process may have no
    rows; its mean does not matter then.
    """
    if world_size() == 1:
        return mean
    here = mean.detach().float() * count if count else mean.new_zeros((), dtype=torch.float32)
    total, rows = all_reduce_sum(torch.stack([here, torch.full_like(here, count)]))
    return GlobalMean.apply(mean, total / rows, count / rows)


class GlobalMean(torch.autograd.Function):
    """The mean over all processes, with the gradient of this process's share of the rows."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, whole: Tensor, share: Tensor) -> Tensor:
        ctx.save_for_backward(share)
        ctx.dtype = own.dtype
        return whole.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (share,) = ctx.saved_tensors
        return (gradient * share).to(ctx.dtype), None, None


def all_reduce_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Add all processes' gradients, in one all_reduce."""
    if world_size() == 1:
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    sums = all_reduce_sum(torch.cat([gradient.flatten() for gradient in gradients]))
    for gradient, part in zip(gradients, sums.split([gradient.numel() for gradient in gradients]), strict=True):
        gradient.copy_(part.view(gradient.shape))


def broadcast_weights(net: nn.Module) -> None:
    """Give every process the main process's weights and buffers."""
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
