"""A CUDA graph does what the function does. Where there is no GPU the function itself is called."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from core_code.core_utils.acceleration.cuda_graphs import WARM_UP, CudaGraphed

ON_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
DEVICES = [pytest.param("cpu"), pytest.param("cuda", marks=ON_GPU)]
STEPS = WARM_UP + 5
SMALLER = WARM_UP + 3  # this step's batch is smaller


def make_net(device: str) -> nn.Module:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 7))
    return net.to(device)


def batches(device: str) -> list[tuple[torch.Tensor, torch.Tensor]]:
    torch.manual_seed(1)
    sizes = [4 if step == SMALLER else 16 for step in range(STEPS)]
    return [(torch.randn(n, 3, 8, 8, device=device), torch.randint(7, (n,), device=device)) for n in sizes]


def loss_and_gradients(net: nn.Module):
    def compute(x: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        loss = F.cross_entropy(net(x), labels)
        loss.backward()
        return loss

    return compute


@pytest.mark.parametrize("device", DEVICES)
def test_trains_as_without_it(device):
    net = make_net(device)
    plain = copy.deepcopy(net)
    recorded = CudaGraphed(loss_and_gradients(net), torch.device(device), net.parameters())
    sgd, plain_sgd = (torch.optim.SGD(each.parameters(), lr=0.1, momentum=0.9) for each in (net, plain))
    losses, expected = [], []
    for step, (x, labels) in enumerate(batches(device)):
        for optimizer in (sgd, plain_sgd):
            optimizer.param_groups[0]["lr"] = 0.1 / (1 + step)  # not part of what is recorded
        sgd.zero_grad()
        losses.append(recorded(x, labels))
        sgd.step()
        plain_sgd.zero_grad()
        expected.append(loss_and_gradients(plain)(x, labels).detach())
        plain_sgd.step()
    assert (recorded.graph is not None) == (device == "cuda")
    assert torch.allclose(torch.stack(losses), torch.stack(expected), rtol=1e-3)
    for name, tensor in net.state_dict().items():
        assert torch.allclose(tensor.float(), plain.state_dict()[name].float(), rtol=1e-3, atol=1e-5), name


@pytest.mark.parametrize("device", DEVICES)
def test_what_is_returned_is_the_callers_own_and_has_no_gradient(device):
    net = make_net(device)
    recorded = CudaGraphed(loss_and_gradients(net), torch.device(device), net.parameters())
    x, labels = batches(device)[0]
    losses = []
    for step in range(STEPS):
        net.zero_grad()
        losses.append(recorded(x.roll(step, 0), labels))
    assert not any(loss.requires_grad for loss in losses)
    assert len({loss.item() for loss in losses}) == STEPS


@pytest.mark.parametrize("device", DEVICES)
def test_earlier_gradients_do_not_add_up(device):
    net = make_net(device)
    recorded = CudaGraphed(loss_and_gradients(net), torch.device(device), net.parameters())
    x, labels = batches(device)[0]
    for _ in range(STEPS):
        net.zero_grad()
        recorded(x, labels)
    gradients = [parameter.grad.clone() for parameter in net.parameters()]
    net.zero_grad()
    loss_and_gradients(net)(x, labels)
    for gradient, parameter in zip(gradients, net.parameters(), strict=True):
        assert torch.allclose(gradient, parameter.grad, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("device", DEVICES)
def test_works_on_memory_in_place(device):
    moved, aim = torch.zeros(5, device=device), torch.ones(5, device=device)
    recorded = CudaGraphed(lambda: half_way(moved, aim), torch.device(device))
    for _ in range(STEPS):
        assert recorded() is None
    assert torch.allclose(moved, torch.full_like(moved, 1 - 0.5**STEPS))


def half_way(moved: torch.Tensor, aim: torch.Tensor) -> None:
    moved.lerp_(aim, 0.5)
