"""What processes of a job check of the pieces: each compares with what one process computes of the whole batch."""

import copy
from functools import partial

import torch
from torch import nn
from torch.nn import functional as F

from core_code.core_utils.distributed.data_parallel import all_reduce_gradients, gather_rows, global_mean, shard_of
from core_code.core_utils.distributed.job import (
    all_gather,
    all_reduce_sum,
    any_process,
    barrier,
    distributed_session,
    is_main_process,
    local_main_first,
    rank,
    world_size,
)
from core_code.core_utils.distributed.sync_batch_norm import convert_sync_batch_norms
from core_code.training.synthetic_norms import DualBatchNorm, add_synthetic_norms


def close(one: torch.Tensor, other: torch.Tensor, within: float = 2e-5) -> None:
    torch.testing.assert_close(one.float(), other.float(), rtol=within, atol=within)


def check_sums() -> None:
    numbers = torch.arange(5) * (rank() + 1)
    assert all_reduce_sum(numbers).tolist() == [n * sum(range(1, world_size() + 1)) for n in range(5)]
    large = torch.tensor([2**53 + rank()])
    assert all_reduce_sum(large).item() == world_size() * 2**53 + sum(range(world_size()))
    assert all_gather(torch.tensor([rank()]))[:, 0].tolist() == list(range(world_size()))
    assert [any_process(rank() == one) for one in range(world_size() + 1)] == [True] * world_size() + [False]
    assert is_main_process() == (rank() == 0)
    rows = torch.arange(11)[shard_of(11).rows]
    assert gather_rows(rows * 10.0, rows, 11).tolist() == [n * 10.0 for n in range(11)]


def check_part_of_two_batches() -> None:
    part = shard_of(5)
    whole = torch.arange(10)
    assert whole[part.doubled().rows].tolist() == [*whole[:5][part.rows].tolist(), *whole[5:][part.rows].tolist()]
    assert part.doubled().total == 10


def in_two_parts(norm: DualBatchNorm, x: torch.Tensor) -> torch.Tensor:
    """Each kind of rows through an ordinary batch norm."""
    synthetic = norm.which.rows
    if not norm.training:
        return nn.BatchNorm2d.forward(norm, x)
    parts = [nn.BatchNorm2d.forward(norm, x[~synthetic]), norm.auxiliary(x[synthetic])]
    order = torch.cat([torch.where(~synthetic)[0], torch.where(synthetic)[0]]).argsort()
    return torch.cat(parts)[order]


def check_norm(
    net: nn.Sequential, whole: torch.Tensor, labels: torch.Tensor, synthetic: torch.Tensor | None = None
) -> None:
    """A net with batch norms: output, gradients, running statistics, in batches of which a process may have no row."""
    alone, shared = net, copy.deepcopy(net)
    rows = shard_of(len(whole)).rows
    if synthetic is None:
        shared = convert_sync_batch_norms(shared)
    else:
        add_synthetic_norms(shared).rows = synthetic[rows]
        add_synthetic_norms(alone).rows = synthetic
        for norm in alone.modules():
            if isinstance(norm, DualBatchNorm):
                norm.forward = partial(in_two_parts, norm)
    assert [*shared.state_dict()] == [*alone.state_dict()]
    inputs, expected_inputs = whole.clone().requires_grad_(), whole.clone().requires_grad_()
    loss = global_mean(F.cross_entropy(shared(inputs[rows]).float(), labels[rows]), len(labels[rows]))
    expected = F.cross_entropy(alone(expected_inputs).float(), labels)
    close(loss, expected)
    loss.backward()
    expected.backward()
    all_reduce_gradients(shared.parameters())
    for one, other in zip(shared.parameters(), alone.parameters(), strict=True):
        close(one.grad, other.grad)
    close(inputs.grad[rows], expected_inputs.grad[rows])
    for name, value in shared.state_dict().items():
        close(value, alone.state_dict()[name])
        assert torch.equal(all_gather(value).amax(0), value), f"{name} differs between processes"
    close(shared.eval()(whole), alone.eval()(whole))


def check_norms() -> None:
    for count in (9, 3):  # of four processes one has no row of three
        torch.manual_seed(count)
        images, vectors, labels = torch.rand(count, 3, 6, 6) + 5, torch.rand(count, 12), torch.randint(7, (count,))
        flat = nn.Sequential(nn.Linear(12, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 7))
        check_norm(flat, vectors, labels)
        maps = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 7))
        check_norm(copy.deepcopy(maps), images.contiguous(memory_format=torch.channels_last), labels)
        check_norm(maps, images, labels, torch.arange(count) % 3 == 1)


def check_bfloat16() -> None:
    """Statistics in float32: of numbers about 100, whose bfloat16 neighbours are half apart, to a part in 1000."""
    torch.manual_seed(1)
    whole = (100 + torch.randn(64, 4, 5, 5)).bfloat16()
    alone = nn.BatchNorm2d(4)
    shared = copy.deepcopy(alone)
    shared = convert_sync_batch_norms(shared)
    mine = shared(whole[shard_of(64).rows])
    assert mine.dtype == torch.bfloat16
    expected = alone(whole.float())
    close(mine, expected[shard_of(64).rows], within=0.01)
    close(shared.running_mean, alone.running_mean, within=1e-5)
    close(shared.running_var, alone.running_var, within=1e-5)


@distributed_session()
def main(arguments: list[str]) -> None:
    check_sums()
    check_part_of_two_batches()
    check_norms()
    check_bfloat16()
    with local_main_first(), open("in_turn", "a") as file:
        file.write(f"{rank()}")
    barrier()
    print(f"{world_size()} processes agree")
