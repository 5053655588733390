"""Checkpoints of the published program: net, epoch, optimizer, loss, name and experiment, and nothing else."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from small_faces import smooth_faces
from torch import nn
from torchvision import models

from core_code import evaluate, predict
from core_code.core_utils.checkpoints import CheckpointFiles
from core_code.core_utils.errors import InputError
from core_code.core_utils.transforms import evaluation_view
from core_code.datasets.fer2013 import FER2013
from core_code.models.emotion_net import EmotionNet
from core_code.training.inference import load_byol, load_trained, load_trained_file

FACES = torch.from_numpy(smooth_faces(4))


class PublishedNet(nn.Module):
    """torchvision's net as an attribute of another module, as the published program holds it."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.nn_model = net


def save_published(path: Path, net: nn.Module, name: str | None, experiment: str | None) -> nn.Module:
    """Write the checkpoint of a torchvision net; returns the net in evaluation mode."""
    path.parent.mkdir(exist_ok=True)
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-4)
    state = {"net": PublishedNet(net).state_dict(), "epoch": 99, "optimizer": optimizer.state_dict(), "loss": 0.0018,
             "name": name, "experiment": experiment}  # fmt: skip
    torch.save(state, path)
    return net.eval()


def small_net(head: nn.Module | None = None) -> nn.Module:
    """A small torchvision net with random weights and norms that have seen faces."""
    torch.manual_seed(1)
    net = models.shufflenet_v2_x0_5(weights=None)
    net.fc = head or nn.Linear(1024, 7)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    net.train()(evaluation_view(FACES, 64))
    return net


@torch.no_grad()
def logits_of(net: nn.Module, size: int = 224) -> torch.Tensor:
    """What a net answers to the four faces."""
    return net.eval()(evaluation_view(FACES, size))


@pytest.mark.parametrize("name", ["small", "ShuffleNet"])
def test_evaluate_reads_them_under_the_published_file_name(data_there, small, name):
    net = save_published(Path("checkpoints/ckpt_small_Regular_best_validation.pth"), small_net(), name, "Regular")
    usual = ["--net_name", small, "--exp_names", "Regular", "--precision", "fp32", "--device", "cpu"]
    data = FER2013(phase="test")
    sizes = (([], 224), (["--image_size", "32"], 32))
    for flags, size in sizes[name == "small" :]:  # the slow size once
        evaluate.main([*usual, *flags])
        found = json.loads(Path("plots_output/evaluation_small.json").read_text())["splits"]["test"]["Regular"]
        with torch.no_grad():
            predictions = net(evaluation_view(data.faces, size)).argmax(1)
        assert found["top1"] == pytest.approx((predictions == data.labels).double().mean().item())
        assert found["confusion"][0] == torch.bincount(predictions[data.labels == 0], minlength=7).tolist()


def test_predict_recognises_the_architecture_from_the_tensors(tmp_path, monkeypatch, small):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(2)
    resnet = models.resnet18(weights=None)
    resnet.fc = nn.Linear(512, 7)
    nets = [
        save_published(Path("a.pth"), small_net(), "shufflenet_v2_x0_5", "Regular"),
        save_published(Path("b.pth"), resnet, "ResNet", "Augmented"),
    ]
    Image.fromarray(FACES[0].numpy()).save("face.png")
    usual = ["face.png", "--face_detector", "none", "--json", "out.json", "--precision", "fp32", "--device", "cpu"]
    for size in (224, 48):
        predict.main([*usual, "--checkpoint", "a.pth", "b.pth", "--image_size", str(size)])
        (found,) = json.loads(Path("out.json").read_text())["faces"]
        wanted = sum(logits_of(net, size)[0].softmax(0) for net in nets) / 2
        assert list(found["probabilities"].values()) == pytest.approx(wanted.tolist(), abs=1e-5)
    assert load_trained_file(Path("b.pth")).net.name == "resnet18"
    assert load_trained_file(Path("b.pth")).image_size == 224


def test_a_head_of_two_layers_is_recognised(tmp_path, small):
    head = nn.Sequential(nn.Linear(1024, 128), nn.ReLU(), nn.Linear(128, 7))
    files = CheckpointFiles(tmp_path / "checkpoints", small, "Byol_Regular")
    net = save_published(files.path("final_checkpoint"), small_net(head), "resnet18", "Regular")
    found, size = load_trained(files, "final_checkpoint")
    assert size == 224 and torch.allclose(logits_of(found), logits_of(net), atol=1e-5)


def test_weights_start_from_them_and_from_those_of_byol(tmp_path, small):
    trained = save_published(tmp_path / "any name.pth", small_net(), "small", "Regular")
    net = EmotionNet(small)
    net.load_backbone(str(tmp_path / "any name.pth"))
    byol = CheckpointFiles(tmp_path, small, "Regular", byol=True).path("best_validation")
    save_published(byol, small_net(nn.Identity()), None, None)
    pretrained = EmotionNet(small)
    pretrained.load_backbone_state(load_byol(tmp_path, small, "Regular")[0], str(byol))
    for key, value in trained.state_dict().items():
        if not key.startswith("fc."):
            assert torch.equal(net.nn_model.state_dict()[key], value)
            assert torch.equal(pretrained.nn_model.state_dict()[key], value)


def test_what_they_lack_and_what_does_not_fit_is_an_error_of_one_line(tmp_path, small):
    files = CheckpointFiles(tmp_path, small, "E")
    save_published(files.path("last_trained_epoch"), small_net(), "small", "E")
    with pytest.raises(InputError, match=r"has no history: it can be evaluated, .* no training can go on"):
        files.load("last_trained_epoch", "history")
    resnet = models.resnet18(weights=None)
    save_published(files.path("best_validation"), resnet, "small", "E")
    with pytest.raises(InputError, match="the weights are not of this net"):
        load_trained(files, "best_validation")
    save_published(tmp_path / "vgg.pth", nn.Linear(3, 7), "vgg", "E")
    with pytest.raises(InputError, match="a checkpoint of 'vgg', expected one of"):
        load_trained_file(tmp_path / "vgg.pth")
