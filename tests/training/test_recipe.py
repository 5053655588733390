"""The parts of the recipes, each beside the same computed here by itself."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from torchvision import models

from core_code.core_utils.acceleration import accelerate
from core_code.core_utils.ema import WeightEMA
from core_code.core_utils.errors import InputError
from core_code.datasets.labelled_faces import LabelledFaces
from core_code.datasets.loader import FaceBatches
from core_code.models.architectures import ARCHITECTURES
from core_code.models.emotion_net import EmotionNet
from core_code.training.classifier import ClassifierTask, make_optimizer, make_scheduler
from core_code.training.recipes import recipe_values
from core_code.training.settings import TrainingSettings

BASE = {"epochs": 10, "lr": 0.1, "weight_decay": 0.01, "optimizer": "sgd", "scheduler": "cosine", "image_size": 32,
        "seed": 1, "dtype": torch.float32}  # fmt: skip
CPU = torch.device("cpu")


def settings(**changes) -> TrainingSettings:
    return TrainingSettings(**BASE | changes)


def make_task(name: str, device: torch.device = CPU, **changes) -> ClassifierTask:
    torch.manual_seed(0)
    faces = torch.randint(0, 256, (48, 48, 48), dtype=torch.uint8)
    data = LabelledFaces(faces, torch.arange(48) % 7)
    train = FaceBatches(data, 16, device, shuffle=True)
    return ClassifierTask(EmotionNet(name).to(device), train, FaceBatches(data, 16, device), settings(**changes))


def test_the_published_recipe_is_the_studys():
    for net, batch, lr, decay in (("resnet18", 128, 2e-4, 2e-5), ("densenet201", 32, 3e-4, 3.4e-5)):
        assert recipe_values("published", net, 48) == {
            "batch_size": batch, "lr": lr, "weight_decay": decay, "optimizer": "adam", "scheduler": "cosine",
            "nesterov": False, "warm_up": 0, "decay_norms": True, "label_smoothing": 0.0, "mixup": 0.0,
            "smallest_crop": 0.08, "rotation": 0.0, "erasing": 0.0, "elastic": 0.0, "ema": 0.0, "stem": "imagenet",
        }  # fmt: skip


def test_the_scratch_recipe_takes_the_small_stem_for_small_views_alone(small):
    for net in ("resnet18", "densenet201"):
        values = recipe_values("scratch", net, 64)
        assert (values["lr"], values["batch_size"], values["optimizer"], values["nesterov"]) == (0.1, 128, "sgd", True)
        assert values["stem"] == "small" and recipe_values("scratch", net, 65)["stem"] == "imagenet"
    assert recipe_values("scratch", small, 48)["stem"] == "imagenet"  # its entry has no other


def test_warm_up_is_linear_and_the_cosine_ends_at_zero():
    training = settings(epochs=12, warm_up=3)
    optimizer = make_optimizer([torch.nn.Parameter(torch.zeros(2, 2))], training)
    scheduler, rates = make_scheduler(optimizer, training), []
    for _ in range(13):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    expected = [0.025, 0.05, 0.075, *(0.05 * (1 + math.cos(math.pi * k / 9)) for k in range(10))]
    assert rates == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("kind", ["cosine", "step", "none"])
def test_without_warm_up_the_rates_are_those_of_torchs_schedulers(kind):
    training = settings(epochs=25, scheduler=kind)
    ours, theirs = (torch.optim.SGD([torch.zeros(1)], lr=0.1) for _ in range(2))
    reference = {
        "cosine": lambda: torch.optim.lr_scheduler.CosineAnnealingLR(theirs, 25),
        "step": lambda: torch.optim.lr_scheduler.StepLR(theirs, 10, 0.1),
        "none": lambda: None,
    }[kind]()
    scheduler = make_scheduler(ours, training)
    for _ in range(25):
        assert ours.param_groups[0]["lr"] == pytest.approx(theirs.param_groups[0]["lr"], rel=1e-9, abs=1e-12)
        for optimizer, course in ((ours, scheduler), (theirs, reference)):
            optimizer.step()
            if course:
                course.step()


def test_weight_decay_leaves_out_norms_and_biases(small):
    """A step without gradients shrinks what decays by lr * decay, and nothing else."""
    net = EmotionNet(small)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.fill_(1.0)
            parameter.grad = torch.zeros_like(parameter)
    optimizer = make_optimizer(list(net.parameters()), settings(decay_norms=False))
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(list(net.parameters()))
    optimizer.step()
    for module in net.modules():
        for name, parameter in module.named_parameters(recurse=False):
            decays = isinstance(module, (torch.nn.Conv2d, torch.nn.Linear)) and name == "weight"
            torch.testing.assert_close(parameter, torch.full_like(parameter, 0.999 if decays else 1.0))
    everywhere = make_optimizer(list(net.parameters()), settings())
    assert [group["weight_decay"] for group in everywhere.param_groups] == [0.01]


def test_the_average_is_the_recursion_of_its_definition():
    net = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    ema = WeightEMA(net, 0.9)
    rng = np.random.default_rng(0)
    expected = {name: value.numpy().astype(float) for name, value in net.state_dict().items() if value.dim()}
    for step in range(1, 101):
        decay = min(0.9, (1 + step) / (10 + step))
        for name, value in net.state_dict().items():
            if value.dim():
                value.copy_(torch.from_numpy(rng.normal(size=value.shape)))
                expected[name] = decay * expected[name] + (1 - decay) * value.numpy()
        ema.update()
    for name, value in expected.items():
        np.testing.assert_allclose(ema.net.state_dict()[name].numpy(), value, rtol=1e-4, atol=1e-5)
    assert not any(parameter.requires_grad for parameter in ema.net.parameters())


def test_training_averages_the_weights_after_each_step_and_validates_the_average(small):
    task = make_task(small, ema=0.5)
    average = {name: value.clone() for name, value in task.net.named_parameters()}
    task.net.train()
    for step, _ in enumerate(task.steps(1), start=1):
        decay = min(0.5, (1 + step) / (10 + step))
        for name, value in task.net.named_parameters():
            average[name] = decay * average[name] + (1 - decay) * value.detach()
    for name, value in task.ema.net.named_parameters():
        torch.testing.assert_close(value, average[name], rtol=1e-4, atol=1e-6)
    before = {name: value.clone() for name, value in task.net.state_dict().items()}
    measured = task.measure()["validation_accuracy"]
    with torch.no_grad():
        for value in task.net.parameters():
            value.zero_()
    assert task.measure()["validation_accuracy"] == measured
    assert any(not torch.equal(value, before[name]) for name, value in task.ema.net.state_dict().items())


def test_mixup_blends_views_and_labels_of_the_same_faces(small):
    """Beside the loss of the mixture of two cross entropies, with label smoothing, in float64."""
    task = make_task(small, mixup=0.4, label_smoothing=0.1)
    plain = make_task(small)
    seen = {}

    def step(views, targets, labels):
        seen.update(views=views, targets=targets)
        return torch.zeros(())

    task.step, plain.step = step, step
    next(task.steps(1))
    mixed, targets = seen["views"].double(), seen["targets"].double()
    next(plain.steps(1))
    views, labels = seen["views"].double(), seen["targets"]
    assert targets.shape == (16, 7) and torch.allclose(targets.sum(1), torch.ones(16, dtype=torch.float64))
    own = targets[torch.arange(16), labels]
    share = own.min()
    assert 0.5 <= share < 1 and mixed.shape == (16, 3, 32, 32)
    for i in range(16):
        fits = [
            j for j in range(16)
            if (mixed[i] - share * views[i] - (1 - share) * views[j]).abs().max() < 1e-5
            and torch.allclose(targets[i], share * F.one_hot(labels[i], 7) + (1 - share) * F.one_hot(labels[j], 7))
        ]  # fmt: skip
        assert len(fits) == 1, i
    task.net.eval()
    logits = task.net(seen["views"]).double()
    logs = logits.log_softmax(1)
    loss = -((0.9 * targets + 0.1 / 7) * logs).sum(1).mean()
    assert task.compute_gradients(seen["views"], targets.float(), labels).item() == pytest.approx(loss.item(), rel=1e-5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_mixup_and_the_average_train_under_cuda_graphs_as_without():
    averages = []
    for accelerated in (True, False):
        task = make_task(
            "resnet18", torch.device("cuda"), accelerate=accelerated, mixup=0.4, ema=0.9, rotation=10.0, erasing=0.5,
            lr=0.01,
        )  # fmt: skip
        task.net.train()
        for epoch in range(1, 4):  # nine steps
            assert all(loss.isfinite() for loss, _ in task.steps(epoch))
        assert (task.forward_backward.graph is not None) == accelerated
        averages.append(torch.cat([value.flatten() for value in task.ema.net.parameters()]))
    torch.manual_seed(0)
    start = make_task("resnet18", torch.device("cuda")).net
    way = averages[1] - torch.cat([value.detach().flatten() for value in start.parameters()])
    assert (averages[0] - averages[1]).norm() < 0.1 * way.norm()


@pytest.mark.parametrize("name", ["resnet18", "densenet201"])
def test_the_small_stem_has_the_same_weights_and_four_times_longer_maps(name):
    torch.manual_seed(0)
    net, usual = EmotionNet(name, stem="small").eval(), EmotionNet(name).eval()
    net.load_state_dict(usual.state_dict())
    reference = models.get_model(name, weights=None, num_classes=7).eval()
    reference.load_state_dict({key.removeprefix("nn_model."): value for key, value in usual.state_dict().items()})
    if name == "resnet18":
        reference.conv1.stride, reference.maxpool = (1, 1), torch.nn.Identity()
        block = "layer1"
    else:
        reference.features.conv0.stride, reference.features.pool0 = (1, 1), torch.nn.Identity()
        block = "features.denseblock1"
    shapes = []
    for each in (net, usual):
        each.nn_model.get_submodule(block).register_forward_hook(lambda *call: shapes.append(call[2].shape[-1]))
    views = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.allclose(net(views), reference(views), atol=1e-4)
        usual(views)
        accelerate(net)
        assert torch.allclose(net(views), reference(views), atol=1e-4)
    assert shapes[0] == 32 and shapes[1] == 8


def test_a_net_without_a_small_stem_says_so(small):
    assert not ARCHITECTURES[small].stem
    with pytest.raises(InputError, match="--stem small: shufflenet_v2_x0_5 has none"):
        EmotionNet(small, stem="small")
