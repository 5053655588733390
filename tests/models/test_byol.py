"""BYOL: its shapes, its loss, its moving average, and what gradients reach."""

import numpy as np
import pytest
import torch
from torch import nn
from torchvision import models

from core_code.core_utils.devices import autocast
from core_code.models.byol import BYOL, effective_rank, feature_std, symmetric_loss


def two_views(faces: int = 3, size: int = 32) -> torch.Tensor:
    """Random views [2 * faces, 3, size, size]."""
    return torch.rand(2 * faces, 1, size, size, generator=torch.Generator().manual_seed(0)).expand(-1, 3, -1, -1)


def learn(net: BYOL, steps: int = 2, lr: float = 0.1) -> list[dict[str, np.ndarray]]:
    """A few steps of plain gradient descent; the net's parameters before the first and after each."""

    def snapshot() -> dict[str, np.ndarray]:
        return {name: parameter.detach().numpy().copy() for name, parameter in net.named_parameters()}

    optimizer = torch.optim.SGD([parameter for parameter in net.parameters() if parameter.requires_grad], lr=lr)
    net.train()
    seen = [snapshot()]
    for _ in range(steps):
        optimizer.zero_grad()
        net.compare(two_views()).loss.backward()
        optimizer.step()
        net.update_target()
        seen.append(snapshot())
    return seen


def layers(mlp: nn.Module) -> list[tuple[str, int, int]]:
    """The kinds of its layers and their sizes."""
    sizes = {
        nn.Linear: lambda layer: (layer.in_features, layer.out_features),
        nn.BatchNorm1d: lambda layer: (layer.num_features,) * 2,
        nn.ReLU: lambda layer: (0, 0),
    }
    return [(type(layer).__name__, *sizes[type(layer)](layer)) for layer in mlp]


@pytest.mark.parametrize(
    ("name", "last", "features"), [("resnet18", "avgpool", 512), ("densenet201", "features", 1920)]
)
def test_both_nets_have_the_published_heads_on_the_plain_nets_pooled_activations(name, last, features):
    torch.manual_seed(0)
    plain = models.get_model(name, weights=None).eval()
    net = BYOL(name).eval()
    net.load_backbone_state(plain.state_dict(), "made here")
    caught = []
    plain.get_submodule(last).register_forward_hook(lambda module, inputs, output: caught.append(output))
    with torch.no_grad():
        plain(two_views(1, 64))
        expected = caught[0].relu().mean((2, 3))
        assert expected.shape == (2, features)
        for encoder in (net, net.target):
            assert torch.allclose(encoder(two_views(1, 64)), expected, atol=1e-4 * expected.abs().max())
    for head, inputs in ((net.projection, features), (net.target.projection, features), (net.prediction, 256)):
        assert layers(head) == [("Linear", inputs, 1024), ("BatchNorm1d", 1024, 1024), ("ReLU", 0, 0),
                                ("Linear", 1024, 256)]  # fmt: skip


def test_the_loss_is_the_symmetric_negative_cosine():
    random = np.random.default_rng(0)
    predictions, targets = random.normal(size=(2, 10, 4))
    first, second = predictions[:5], predictions[5:]
    expected = 0.0
    for face in range(5):
        for prediction, target in ((first[face], targets[5 + face]), (second[face], targets[face])):
            expected -= prediction @ target / np.linalg.norm(prediction) / np.linalg.norm(target) / 10
    loss = symmetric_loss(torch.from_numpy(predictions), torch.from_numpy(targets))
    assert loss.item() == pytest.approx(expected, abs=1e-12)
    swapped = torch.from_numpy(np.concatenate([targets[5:], targets[:5]]))
    assert symmetric_loss(3 * swapped, torch.from_numpy(targets)).item() == pytest.approx(-1)


def test_the_step_compares_predictions_with_the_targets_projections(small):
    net = BYOL(small).eval()
    views = two_views()
    with torch.no_grad():
        for parameter in net.target.projection.parameters():
            parameter.add_(torch.randn(parameter.shape) / 10)
        compared = net.compare(views)
        one, other = net.prediction(net.projection(net(views))).double().numpy().reshape(2, 3, 256)
        to_one, to_other = net.target.projection(net.target(views)).double().numpy().reshape(2, 3, 256)
    cosines = [
        (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
        for a, b in ((one, to_other), (other, to_one))
    ]
    assert compared.loss.item() == pytest.approx(-np.mean(cosines), abs=1e-5)


def test_the_target_is_the_moving_average_worked_out_by_hand(small):
    net = BYOL(small)
    before, first, second = learn(net)
    targets = {name.removeprefix("target.") for name in before if name.startswith("target.")}
    assert targets == {name for name in before if not name.startswith(("target.", "prediction."))}
    for name in targets:
        assert np.array_equal(before[f"target.{name}"], before[name])
        after_one = 0.99 * before[name].astype(np.float64) + 0.01 * first[name]
        after_two = 0.99 * after_one + 0.01 * second[name]
        np.testing.assert_allclose(first[f"target.{name}"], after_one, rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(second[f"target.{name}"], after_two, rtol=1e-5, atol=1e-7)
        assert not np.array_equal(first[name], before[name]), f"{name} has not learned"


def test_gradients_never_reach_the_target(small):
    net = BYOL(small)
    before, first = learn(net, steps=1, lr=0.0)
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in net.target.parameters())
    online = [name for name, parameter in net.named_parameters() if parameter.grad is not None]
    assert set(online) == {name for name in before if not name.startswith("target.")}
    assert all(np.array_equal(before[name], first[name]) for name in before if name.startswith("target."))


def test_the_targets_batch_norms_measure_what_passes_through_the_target(small):
    """With other weights than the online net's, their statistics are other ones."""
    net = BYOL(small).train()
    with torch.no_grad():
        net.target.nn_model.conv1[0].weight.mul_(3)
    net.compare(two_views())
    online, target = net.nn_model.conv1[1], net.target.nn_model.conv1[1]
    assert torch.allclose(target.running_mean, 3 * online.running_mean, rtol=1e-4, atol=1e-6)
    views = two_views()
    with torch.no_grad():
        outputs = net.nn_model.conv1[0](views)
    assert torch.allclose(online.running_mean, 0.1 * outputs.mean((0, 2, 3)), rtol=1e-4, atol=1e-6)


def test_bfloat16_keeps_the_moving_average_and_the_batch_statistics_in_float32(small):
    torch.manual_seed(0)
    exact, rough = BYOL(small).train(), BYOL(small).train()
    rough.load_state_dict(exact.state_dict())
    for net, dtype in ((exact, torch.float32), (rough, torch.bfloat16)):
        with autocast(torch.device("cpu"), dtype):
            compared = net.compare(two_views(8).to(dtype))
        compared.loss.backward()
        net.update_target()
        assert compared.loss.dtype == compared.projections.dtype == torch.float32
    for name, value in rough.state_dict().items():  # products are rounded to 8 bits, layer after layer
        assert not value.is_floating_point() or value.dtype == torch.float32
        if name.endswith("running_mean"):
            expected = exact.state_dict()[name]
            assert (value - expected).norm() < 0.15 * expected.norm() + 1e-3, name
    start = rough.target.projection[0].weight.clone()
    with torch.no_grad():
        rough.projection[0].weight.add_(1e-4)
    rough.update_target()
    moved = (rough.target.projection[0].weight - start).mean().item()
    assert moved == pytest.approx(1e-6, rel=0.1), "bfloat16 would lose a step this small"


def test_a_frozen_backbone_and_its_target_stay_as_they_were(small):
    net = BYOL(small, frozen_backbone=True)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    learn(net)
    changed = {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
    assert changed and all(name.startswith(("projection.", "prediction.", "target.projection.")) for name in changed), (
        changed
    )


def test_the_effective_rank_counts_the_directions_that_faces_differ_in():
    random = np.random.default_rng(3)
    for count, dimensions in ((50, 6), (5, 12)):
        vectors = random.normal(size=(count, dimensions)) @ random.normal(size=(dimensions, dimensions))
        shares = np.linalg.eigvalsh(np.corrcoef(vectors.T)).clip(1e-300)
        shares /= shares.sum()
        expected = np.exp(-(shares * np.log(shares)).sum())
        assert effective_rank(torch.from_numpy(vectors)) == pytest.approx(expected, rel=1e-6)
    assert effective_rank(torch.from_numpy(random.normal(size=(5000, 6)))) == pytest.approx(6, abs=0.02)
    line = torch.tensor([-1.0, 1.0, 1.0, -1.0])[:, None] * torch.tensor([[1.0, 2.0, 0.0]]) + 5
    assert effective_rank(line) == pytest.approx(1)
    assert effective_rank(torch.ones(4, 3)) == 0


class WithoutFloat64(torch.Tensor):
    """Stands for a tensor on a device that has no float64, such as MPS; its copy on the CPU is an ordinary one."""

    @classmethod
    def __torch_function__(cls, function, types, arguments=(), named=None):
        found = super().__torch_function__(function, types, arguments, named)
        if function in (torch.Tensor.cpu, torch.Tensor.to) and found.device.type == "cpu":
            return found.as_subclass(torch.Tensor)
        if isinstance(found, cls) and found.dtype == torch.float64:
            raise TypeError("this device has no float64")
        return found


def test_the_effective_rank_is_measured_where_the_device_has_no_float64():
    vectors = torch.rand(20, 5, generator=torch.Generator().manual_seed(0))
    assert effective_rank(vectors.as_subclass(WithoutFloat64)) == effective_rank(vectors)


def test_the_spread_is_that_of_directions():
    random = np.random.default_rng(1)
    vectors = random.normal(size=(500, 6)) + 0.5
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    assert feature_std(torch.from_numpy(vectors)) == pytest.approx(units.std(axis=0).mean() * np.sqrt(6), rel=1e-5)
    assert feature_std(torch.from_numpy(random.normal(size=(5000, 6)))) == pytest.approx(1, abs=0.02)
    assert feature_std(torch.arange(1.0, 6.0)[:, None] * torch.tensor([[1.0, 2.0, 3.0]])) == pytest.approx(0, abs=1e-6)
