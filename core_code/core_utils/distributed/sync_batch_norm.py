"""Batch norm whose batch is that of all processes: N processes normalise as one does with the whole batch.

torch's own SyncBatchNorm does this on GPUs alone; this one works wherever the processes can add tensors.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from core_code.core_utils.distributed.job import all_gather, all_reduce_sum, world_size
from core_code.core_utils.modules import replace_modules


def global_statistics(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and biased variance of each channel over all processes' x, float32 [C], and how many values they are of.

    x: float [B,C,...] of any dtype; B may be 0 here. From each process's own mean and variance, which loses no
    digits, as the difference of large sums would.
    """
    axes = [axis for axis in range(x.dim()) if axis != 1]
    count = x.numel() // x.shape[1]
    if count:
        variance, mean = torch.var_mean(x.float(), axes, correction=0)
    else:
        variance = mean = x.new_zeros(x.shape[1], dtype=torch.float32)
    table = all_gather(torch.cat([torch.stack([mean, variance]), torch.full_like(mean, count)[None]]))  # [N,3,C]
    means, variances, counts = table.unbind(1)
    total = counts.sum(0)
    mean = (counts * means).sum(0) / total
    variance = (counts * (variances + (means - mean).square())).sum(0) / total
    return mean, variance, total


class SyncNormalise(torch.autograd.Function):
    """Normalise by statistics of all processes, which depend on x: the gradient knows of every process's loss."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, variance: Tensor, total: Tensor, eps: float
    ) -> Tensor:
        ctx.save_for_backward(x, weight, mean, (variance + eps).rsqrt(), total)
        return F.batch_norm(x, mean, variance, weight, bias, False, 0.0, eps)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, inverse, total = ctx.saved_tensors
        axes = [axis for axis in range(x.dim()) if axis != 1]
        by_channel = [-1, *[1] * (x.dim() - 2)]
        normalised = (x.float() - mean.view(by_channel)) * inverse.view(by_channel)
        weights = (gradient * normalised).sum(axes)
        biases = gradient.sum(axes, dtype=torch.float32)
        # moving x moves the mean and the variance too, and with them every other value of the channel
        by_mean, by_variance = (all_reduce_sum(torch.stack([biases, weights])) / total).view(2, *by_channel)
        moved = (gradient - by_mean - normalised * by_variance) * (weight * inverse).view(by_channel)
        return moved.to(x.dtype), weights, biases, None, None, None, None


class SyncBatchNorm(_BatchNorm):
    """A batch norm, of any number of axes, over all processes; parameters, buffers and their names stay the same."""

    def _check_input_dim(self, input: Tensor) -> None: ...

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        mean, variance, total = global_statistics(x)
        if self.track_running_stats:
            assert self.num_batches_tracked is not None and self.momentum is not None
            assert self.running_mean is not None and self.running_var is not None
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * (total / (total - 1)), self.momentum)
        return SyncNormalise.apply(x, self.weight, self.bias, mean, variance, total, self.eps)


def convert_sync_batch_norms(net: nn.Module) -> nn.Module:
    """Let every batch norm of the net take its statistics over all processes, if there are several; returns the net."""
    return replace_modules(net, sync_batch_norm) if world_size() > 1 else net


def sync_batch_norm(layer: nn.Module) -> SyncBatchNorm | None:
    """What replaces a batch norm, without its parameters yet; None for other layers."""
    if not isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
        return None
    return SyncBatchNorm(
        layer.num_features, layer.eps, layer.momentum, layer.affine, layer.track_running_stats, device="meta"
    )
