"""Checkpoints of the published program: net, epoch, optimizer, loss, name and experiment, and nothing else."""

import copy
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
from core_code.models.architectures import ARCHITECTURES
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
    data = FER2013(split="test")
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


def test_weights_start_from_them(tmp_path, small):
    trained = save_published(tmp_path / "any name.pth", small_net(), "small", "Regular")
    net = EmotionNet(small)
    net.load_backbone(str(tmp_path / "any name.pth"))
    check_backbone(net, trained)


def check_backbone(net: EmotionNet, published: nn.Module) -> None:
    """Everything but the head is the published net's, and the head is not."""
    own = net.nn_model.state_dict()
    for key, value in published.state_dict().items():
        assert torch.equal(own[key], value) != key.startswith("fc.")


class PublishedBYOL(nn.Module):
    """The published program's BYOL: the net's children but the head, and all else that it trains or averages."""

    def __init__(self, net: nn.Module, features: int, classifier: bool = False) -> None:
        super().__init__()
        self.backbone = nn.Sequential(*list(net.children())[:-1])
        if classifier:
            self.fc1, self.fc2 = nn.Linear(features, 128), nn.Linear(128, 7)
            return
        self.projection_head, self.prediction_head = nn.Linear(features, 256), nn.Linear(256, 256)
        self.backbone_momentum = copy.deepcopy(self.backbone).apply(forget)
        self.projection_head_momentum = copy.deepcopy(self.projection_head)


def forget(module: nn.Module) -> None:
    """New random weights."""
    if isinstance(module, nn.Conv2d):
        module.reset_parameters()


def save_published_byol(path: Path, net: nn.Module, features: int, classifier: bool = False) -> None:
    """Write the checkpoint of a published pre-training, or of a classifier fine-tuned from it."""
    state = {"net": PublishedBYOL(net, features, classifier).state_dict(), "epoch": 29, "optimizer": {}, "loss": -0.9,
             "name": None, "experiment": None}  # fmt: skip
    torch.save(state, path)


@pytest.mark.parametrize("architecture", ["small", "resnet18", "densenet201"])
def test_load_byol_and_weights_take_the_backbone_of_a_published_byol(tmp_path, small, architecture):
    torch.manual_seed(1)
    published = small_net() if architecture == small else models.get_model(architecture, weights=None)
    path = CheckpointFiles(tmp_path, architecture, "Regular", byol=True).path("last_trained_epoch")
    save_published_byol(path, published, ARCHITECTURES[architecture].features)
    pretrained, started = EmotionNet(architecture, hidden_head=True), EmotionNet(architecture)
    state, found = load_byol(tmp_path, architecture, "Regular")
    pretrained.load_backbone_state(state, str(found))
    started.load_backbone(str(path))
    head = f"{ARCHITECTURES[architecture].head}."
    for key, value in published.state_dict().items():
        if not key.startswith(head):
            assert torch.equal(pretrained.nn_model.state_dict()[key], value)
            assert torch.equal(started.nn_model.state_dict()[key], value)


def test_a_classifier_fine_tuned_from_a_published_byol_can_be_started_from(tmp_path, small):
    published = small_net()
    save_published_byol(tmp_path / "tuned.pth", published, 1024, classifier=True)
    net = EmotionNet(small)
    net.load_backbone(str(tmp_path / "tuned.pth"))
    check_backbone(net, published)
    save_published_byol(tmp_path / "other.pth", models.resnet18(weights=None), 512)
    with pytest.raises(InputError, match=r"other\.pth: not weights of small"):
        net.load_backbone(str(tmp_path / "other.pth"))


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
