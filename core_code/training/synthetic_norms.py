"""Batch norms with a second set of statistics and parameters for synthetic faces, which differ from real ones.

C. Xie et al., "Adversarial examples improve image recognition", CVPR 2020: the auxiliary batch norms of AdvProp, for
generated faces in place of adversarial ones. Evaluation uses the ordinary ones alone.
"""

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from core_code.core_utils.distributed.job import all_reduce_sum, world_size
from core_code.core_utils.modules import replace_modules

AUXILIARY = ".auxiliary."  # in the names of the second set


class SyntheticRows:
    """Which rows of the batch that comes next are synthetic: bool [B], or None for none. All norms share it."""

    rows: Tensor | None = None


class DualBatchNorm(nn.BatchNorm2d):
    """An nn.BatchNorm2d that while training normalises synthetic rows by themselves, as `auxiliary` would.

    Of several processes, by the statistics of all; computed in float32. Where a batch has no row of a kind, that kind's
    running statistics stay.
    """

    def __init__(self, norm: nn.BatchNorm2d, which: SyntheticRows) -> None:
        """The parameters of `norm` are set by replace_modules; the second set starts as a copy of them."""
        super().__init__(norm.num_features, norm.eps, norm.momentum, device="meta")
        self.auxiliary = copy.deepcopy(norm)
        self.which = which

    def forward(self, x: Tensor) -> Tensor:
        """float [B,C,H,W] -> the same shape and dtype."""
        if not self.training:
            return super().forward(x)
        synthetic = self.which.rows if self.which.rows is not None else x.new_zeros(len(x), dtype=torch.bool)
        kinds = torch.stack([~synthetic, synthetic])[:, :, None].float()  # [2,B,1]
        values = x.float()
        counts = sum_of_all(kinds.sum((1, 2)) * (x.shape[2] * x.shape[3]))
        some = counts.clamp(min=1)[:, None]

        def of_rows(both: Tensor) -> Tensor:
            """Each row its kind's of [2,C]: [B,C,1,1]."""
            return torch.where(synthetic[:, None], both[1], both[0])[:, :, None, None]

        means = sum_of_all((kinds * values.sum((2, 3))).sum(1)) / some  # [2,C]
        centred = values - of_rows(means)
        variances = sum_of_all((kinds * centred.square().sum((2, 3))).sum(1)) / some
        scales = torch.stack([self.weight, self.auxiliary.weight]) * (variances + self.eps).rsqrt()
        self.update_running_statistics(means.detach(), variances.detach(), counts)
        shifts = torch.stack([self.bias, self.auxiliary.bias])
        return (centred * of_rows(scales) + of_rows(shifts)).to(x.dtype)

    @torch.no_grad()
    def update_running_statistics(self, means: Tensor, variances: Tensor, counts: Tensor) -> None:
        """As nn.BatchNorm2d does, by the mean and the biased variance, [2,C], of `counts` values, [2]."""
        for norm, mean, variance, count in zip((self, self.auxiliary), means, variances, counts, strict=True):
            assert norm.running_mean is not None and norm.running_var is not None
            assert norm.num_batches_tracked is not None and norm.momentum is not None
            momentum = norm.momentum * (count > 0).float()
            norm.num_batches_tracked.add_(1)
            norm.running_mean.lerp_(mean, momentum)
            norm.running_var.lerp_(variance * (count / (count - 1).clamp(min=1)), momentum)


def add_synthetic_norms(net: nn.Module) -> SyntheticRows:
    """Give every batch norm of the net a second set for synthetic rows; returns what tells it which rows these are."""
    which = SyntheticRows()
    replace_modules(net, lambda layer: DualBatchNorm(layer, which) if isinstance(layer, nn.BatchNorm2d) else None)
    return which


def saved_net(net: nn.Module) -> dict[str, Any]:
    """A net's part of a checkpoint: `net` is an ordinary net's state dict, beside it the second sets, where there are
    any, as `auxiliary_norms`."""
    state = net.state_dict()
    auxiliary = {name: value for name, value in state.items() if AUXILIARY in name}
    ordinary = {name: value for name, value in state.items() if name not in auxiliary}
    return {"net": ordinary, "auxiliary_norms": auxiliary} if auxiliary else {"net": ordinary}


def whole_net(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """The state dict that saved_net has split."""
    auxiliary = checkpoint.get("auxiliary_norms")
    return checkpoint["net"] | (auxiliary if isinstance(auxiliary, dict) else {})


def sum_of_all(values: Tensor) -> Tensor:
    """The sum of all processes' tensors, whose gradient knows of every process's loss."""
    return SumOfAll.apply(values) if world_size() > 1 else values


class SumOfAll(torch.autograd.Function):
    """all_reduce_sum, forward and backward."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        return all_reduce_sum(values)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return all_reduce_sum(gradient)
