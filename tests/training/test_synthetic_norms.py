"""Batch norms with a second set for synthetic faces: beside two ordinary ones, and in a run of train_model.py."""

import copy
import os
import signal

import pytest
import torch
from torch import nn
from torch_hooks import before_step
from training_runs import differences, make_augmentations

import train_model
from core_code.core_utils.checkpoints import CheckpointFiles
from core_code.core_utils.errors import run_command
from core_code.core_utils.transforms import evaluation_view
from core_code.datasets.fer2013 import FER2013
from core_code.datasets.labelled_faces import LabelledFaces
from core_code.datasets.loader import FaceBatches
from core_code.models.emotion_net import EmotionNet
from core_code.training.classifier import ClassifierTask
from core_code.training.inference import load_trained
from core_code.training.settings import TrainingSettings
from core_code.training.synthetic_norms import DualBatchNorm, add_synthetic_norms


@pytest.mark.parametrize("synthetic", [[0, 1, 0, 0, 1, 1, 0], [0, 0, 0, 1, 0, 0, 0], [0] * 7, [1] * 7])
def test_each_kind_of_rows_is_normalised_as_an_ordinary_norm_does(synthetic):
    torch.manual_seed(0)
    real = nn.BatchNorm2d(3)
    with torch.no_grad():
        real.weight.uniform_(0.5, 2)
        real.bias.normal_()
    norms, rows = [real, copy.deepcopy(real)], torch.tensor(synthetic).bool()
    net = nn.Sequential(copy.deepcopy(real))
    which = add_synthetic_norms(net)
    which.rows = rows
    for _ in range(3):
        x = (4 + 3 * torch.randn(7, 3, 5, 4)).requires_grad_()
        twin, weights = x.detach().clone().requires_grad_(), torch.randn(7, 3, 5, 4)
        out = net(x)
        (out * weights).sum().backward()
        for norm, some in zip(norms, (~rows, rows), strict=True):
            if some.any():
                expected = norm(twin[some])
                torch.testing.assert_close(out[some], expected, rtol=1e-4, atol=1e-5)
                (expected * weights[some]).sum().backward()
        torch.testing.assert_close(x.grad, twin.grad, rtol=1e-4, atol=1e-4)
    dual = net[0]
    for own, norm in zip((dual, dual.auxiliary), norms, strict=True):
        for name in ("running_mean", "running_var"):
            torch.testing.assert_close(getattr(own, name), getattr(norm, name), rtol=1e-4, atol=1e-5)
        for name in ("weight", "bias"):
            expected = getattr(norm, name).grad
            torch.testing.assert_close(
                getattr(own, name).grad, torch.zeros(3) if expected is None else expected, rtol=1e-4, atol=1e-4
            )
    torch.testing.assert_close(net.eval()(x), norms[0].eval()(x))


def test_in_bfloat16_statistics_are_of_float32():
    net = nn.Sequential(nn.BatchNorm2d(4))
    add_synthetic_norms(net).rows = torch.arange(64) % 2 == 0
    x = (100 + torch.randn(64, 4, 5, 5)).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        out = net(x)
    assert out.dtype == torch.bfloat16
    expected = nn.BatchNorm2d(4)(x[1::2].float())
    torch.testing.assert_close(out[1::2].float(), expected, rtol=0.01, atol=0.01)


@pytest.fixture
def there(data_there, small):
    """`there(...)` runs the command where data/fer2013 and its augmentations are, with a small net."""
    make_augmentations()
    run = ["--net_name", small, "--exp_name", "E", "--weights", "none", "--image_size", "32", "--precision", "fp32",
           "--device", "cpu", "--recipe", "published", "--fine_tune", "--emotion_transform_prob", "0.6",
           "--epochs", "3", "--batch_size", "10", "--synthetic_norms", "True", "--mixup", "0.2"]  # fmt: skip
    return lambda *arguments: train_model.main([*run, *arguments])


@pytest.mark.parametrize("ema", ["0", "0.9"])
def test_a_run_goes_on_and_equals_an_unbroken_one_and_its_net_is_an_ordinary_one(there, ema):
    there("--ema", ema, "--output_root", "unbroken")
    with pytest.raises(SystemExit), before_step(6, lambda: os.kill(os.getpid(), signal.SIGTERM)):
        run_command(lambda: there("--ema", ema))
    there("--ema", ema, "--resume")
    last, other = (torch.load(f"{folder}checkpoints/ckpt_small_E_last_trained_epoch.pth", weights_only=True)
                   for folder in ("", "unbroken/"))  # fmt: skip
    assert differences(last, other) == []
    net = EmotionNet("small")
    net.load_state_dict(last["net"])
    second = last["auxiliary_norms"]
    norms = [name for name, layer in net.named_modules() if isinstance(layer, nn.BatchNorm2d)]
    assert len(second) == 5 * len(norms)
    for name in norms:  # each has learned by itself
        for part in ("weight", "running_mean", "running_var"):
            assert not torch.equal(second[f"{name}.auxiliary.{part}"], last["net"][f"{name}.{part}"])
    val = FER2013(split="val")
    trained = load_trained(CheckpointFiles("checkpoints", "small", "E"), "last_trained_epoch").net.eval()
    with torch.no_grad():
        views = evaluation_view(val.faces, 32)
        assert torch.allclose(net.eval()(views), trained(views), atol=1e-5)
        right = (trained(views).argmax(1) == val.labels).float().mean().item()
    assert right == pytest.approx(last["history"][-1]["validation_accuracy"])


def test_a_frozen_backbone_has_none(there, capsys):
    with pytest.raises(SystemExit):
        there("--fine_tune", "False")
    assert "--synthetic_norms needs --fine_tune True" in capsys.readouterr().err


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_under_cuda_graphs_it_trains_as_without():
    device, found = torch.device("cuda"), []
    for accelerated in (True, False):
        torch.manual_seed(0)
        faces = torch.randint(0, 256, (64, 48, 48), dtype=torch.uint8)
        data = LabelledFaces(faces, torch.arange(64) % 7, generated=24)
        train, val = FaceBatches(data, 16, device, shuffle=True), FaceBatches(data, 16, device)
        training = TrainingSettings(
            epochs=4, lr=0.01, weight_decay=0, optimizer="sgd", scheduler="none", image_size=48, seed=1,
            dtype=torch.float32, ema=0.9, synthetic_norms=True, accelerate=accelerated,
        )  # fmt: skip
        task = ClassifierTask(EmotionNet("resnet18", stem="small").to(device), train, val, training)
        task.net.train()
        losses = [loss.item() for epoch in range(1, 4) for loss, _ in task.steps(epoch)]
        assert (task.forward_backward.graph is not None) == accelerated
        norm = next(layer for layer in task.net.modules() if isinstance(layer, DualBatchNorm))
        found.append((torch.tensor(losses), norm.running_mean.cpu(), norm.auxiliary.running_mean.cpu()))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=0.05, atol=0.01)
    assert not torch.allclose(found[0][1], found[0][2])
