"""Weights, damaged: files of them, checkpoints read for the net and to go on from, generators, and learning runs."""

import io
import json
from collections.abc import Callable
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from family import Family, Mutant
from mutations import Random
from text_mutants import sound_generator, training_faces, write_files
from torch import nn
from torch_files import BOMBS, Weights, check_same, damage, from_kind
from torchvision.models._api import register_model

from core_code.core_utils.checkpoints import BEST, FINAL, LAST, CheckpointFiles, best_epoch
from core_code.datasets.loader import FaceBatches
from core_code.evaluation.probe import nets_to_compare
from core_code.models.architectures import ARCHITECTURES, Architecture, HyperParameters
from core_code.models.emotion_net import EmotionNet
from core_code.training.classifier import ClassifierTask
from core_code.training.inference import load_trained, load_trained_file, predict_batch
from core_code.training.loop import checkpoint, load_progress, train_one_epoch
from core_code.training.settings import TrainingSettings
from EmotionGAN.editor import Editor, load_generator
from EmotionGAN.learn.config import LearnConfig
from EmotionGAN.learn.data import BalancedFaces
from EmotionGAN.learn.run import training_steps
from EmotionGAN.learn.trainer import Trainer
from EmotionGAN.networks.config import GeneratorConfig
from EmotionGAN.networks.generator import build_generator

CPU = torch.device("cpu")
SIZE = 8
NET, EXPERIMENT = "tiny", "E"
LEARNED = GeneratorConfig("gaussian", 16, "grey", 1, 1, "plain", "maps", "fer2013")
LEARNING = LearnConfig(
    discriminator_steps=2, steps=8, batch_size=4, discriminator_batch_size=4, discriminator_width=1,
    discriminator_layers=2,
)  # fmt: skip


@register_model("tiny_net")
class TinyNet(nn.Module):
    """A net of a hundred numbers; three classes, as if published."""

    def __init__(self, weights: None = None) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 3, stride=2, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(2)
        self.fc = nn.Linear(2, 3)

    def forward(self, views: torch.Tensor) -> torch.Tensor:
        return self.fc(self.bn(self.conv(views)).relu().mean((2, 3)))


ARCHITECTURES[NET] = Architecture("tiny_net", "", 2, "fc", HyperParameters(4, 1e-3, 1e-5))


def seeded(make: Callable[[], nn.Module]) -> nn.Module:
    """The same random weights every time."""
    torch.manual_seed(3)
    return make()


def backbone_in(held: dict[str, Any]) -> dict[str, Any]:
    """The torchvision names of what a file of weights holds, worked out here."""
    held = held["net"] if isinstance(held.get("net"), dict) else held
    prefixed = {name[9:]: value for name, value in held.items() if str(name).startswith("nn_model.")}
    return prefixed or held


def mutate_weights(folder: Path, kind: str, draw: Random) -> Mutant:
    """A file for --weights: torchvision's, or a checkpoint."""
    published = seeded(TinyNet).state_dict()
    ours = {"net": seeded(lambda: EmotionNet(NET)).state_dict(), "epoch": 3}
    return damage(folder / "weights.pth", dict(draw.choice((published, ours))), kind, draw, may_write=())


def read_weights(mutant: Weights) -> None:
    """Start a net from it."""
    net = EmotionNet(NET)
    net.load_backbone(str(mutant.path))
    backbone = {name: value for name, value in net.nn_model.state_dict().items() if not name.startswith("fc.")}
    check_same(backbone, backbone_in(mutant.held()))


def make_task(optimizer: str) -> ClassifierTask:
    """A training of seven faces."""
    training = TrainingSettings(
        epochs=5, lr=1e-3, weight_decay=1e-5, optimizer=optimizer,
        scheduler="cosine" if optimizer == "adam" else "step", image_size=SIZE, seed=3, dtype=torch.float32,
    )  # fmt: skip
    train, val = FaceBatches(training_faces(), 4, CPU, shuffle=True), FaceBatches(training_faces(), 7, CPU)
    return ClassifierTask(seeded(lambda: EmotionNet(NET)), train, val, training)


SETTINGS = {"weights": "none", "image_size": SIZE, "load_byol": False, "lr": 1e-3}


@cache
def sound_checkpoint(optimizer: str, byol: bool = False) -> dict[str, Any]:
    """A checkpoint after two epochs."""
    task = make_task(optimizer)
    losses = []
    for epoch in (1, 2):
        losses.append(train_one_epoch(task, epoch, 2, None, None))
        task.scheduler.step()
    measured = {"feature_std": 0.4, "projection_std": 0.3, "validation_loss": -1.5}
    measured = measured if byol else {"validation_accuracy": 0.25}
    history = [
        {"epoch": epoch, "loss": loss, **measured, "lr": 1e-3, "seconds": 0.5} for epoch, loss in enumerate(losses, 1)
    ]
    return checkpoint(task, SETTINGS, history) | {"name": NET, "experiment": EXPERIMENT}


def files_in(folder: Path, byol: bool = False) -> CheckpointFiles:
    """Where the checkpoints of the one run lie."""
    return CheckpointFiles(folder, NET, EXPERIMENT, byol)


def mutate_checkpoint(which: str, byol: bool = False) -> Callable[[Path, str, Random], Mutant]:
    """One of a run's three checkpoints, damaged."""

    def mutate(folder: Path, kind: str, draw: Random) -> Mutant:
        path = files_in(folder, byol).path(which)
        optimizer = draw.choice(("adam", "sgd"))
        return damage(path, sound_checkpoint(optimizer, byol), kind, draw, may_write=(), more=(optimizer,))

    return mutate


def read_net(mutant: Weights) -> None:
    """Read the net as evaluating and predicting do; see two faces with it."""
    alone = load_trained_file(mutant.path)
    net, size = load_trained(files_in(mutant.path.parent), BEST)
    held = mutant.held()
    check_same(net.state_dict(), held["net"])
    check_same(alone.net.state_dict(), held["net"])
    assert size == alone.image_size == held["settings"].get("image_size", 224)
    if size <= 512:
        logits = predict_batch(net.eval(), training_faces().faces[:2], size, torch.float32)
        assert logits.shape == (2, 7)


def read_byol(mutant: Weights) -> None:
    """Read the nets that a linear probe compares."""
    nets, start = nets_to_compare(mutant.path.parent, NET, EXPERIMENT, BEST)
    held = mutant.held()
    check_same(nets["after BYOL"].nn_model.state_dict(), backbone_in(held))
    settings = held["settings"]
    assert start == (settings["weights"], held["seed"], settings["image_size"])


def read_history(mutant: Weights) -> None:
    """Read a finished run's figures, as the study of experiments does."""
    state = files_in(mutant.path.parent).load(FINAL, "history", "settings")
    assert state["history"] == mutant.held()["history"] and json.dumps([state["history"], state["settings"]])
    assert best_epoch(state["history"], "validation_accuracy", higher_is_better=True) in range(1, state["epoch"] + 1)
    assert sum(record["seconds"] for record in state["history"]) > 0
    assert all(f"{record['loss']:.3f}" and f"{record['validation_accuracy']:.3f}" for record in state["history"])


def go_on_training(mutant: Weights) -> None:
    """Go on as --resume does, for one epoch; what it goes on from is what the file holds."""
    task = make_task(*mutant.more)
    history = load_progress(task, files_in(mutant.path.parent), SETTINGS)
    held = mutant.held()
    check_same(task.net.state_dict(), held["net"])
    assert history == held["history"] and len(history) == held["epoch"]
    state = task.optimizer.state_dict()
    assert [group["lr"] for group in state["param_groups"]] == [
        group["lr"] for group in held["optimizer"]["param_groups"]
    ]
    for place, slots in state["state"].items():
        check_same(slots, held["optimizer"]["state"][place])
    for _ in task.steps(len(history) + 1):
        pass
    task.scheduler.step()


@cache
def sound_learning(steps: int) -> dict[str, Any]:
    """A checkpoint of a learning run after so many steps."""
    learning, faces = new_learning()
    for _ in islice(training_steps(learning, faces, torch.float32), steps):
        pass
    states = {name: part.state_dict() for name, part in learning.parts().items()}
    return states | {"step": learning.step, "settings": json.dumps({"seed": 1})}


def new_learning() -> tuple[Trainer, BalancedFaces]:
    """A learning run at its beginning, and its faces."""
    faces = training_faces()
    return Trainer(LEARNED, LEARNING, 1, CPU), BalancedFaces(faces.faces, faces.labels, 16, 1, CPU)


def mutate_learning(folder: Path, kind: str, draw: Random) -> Mutant:
    """A learning run's checkpoint, in either stage."""
    return damage(folder / "learning.pth", sound_learning(draw.choice((1, 4))), kind, draw, may_write=())


def go_on_learning(mutant: Weights) -> None:
    """Go on for one step; what it goes on from is what the file holds."""
    learning, faces = new_learning()
    learning.load(mutant.path)
    held = mutant.held()
    assert learning.step == held["step"] and learning.step >= 0
    for name in ("generator", "ema", "discriminator"):
        check_same(learning.parts()[name].state_dict(), held[name])
    for name in ("generator_adam", "discriminator_adam"):
        for place, slots in learning.parts()[name].state_dict()["state"].items():
            check_same(slots, held[name]["state"][place])
    next(training_steps(learning, faces, torch.float32), None)


def mutate_generator(folder: Path, kind: str, draw: Random) -> Mutant:
    """A generator's folder, as learned_generators' are, with damaged weights or a damaged face encoder."""
    files = sound_generator()
    write_files(folder, files)
    name = draw.choice(("generator.pth", "generator.pth", "face_encoder.pth"))
    sound = torch.load(io.BytesIO(files[name]), weights_only=True)
    return damage(folder / name, sound, kind, draw, may_write=())


def read_generator(mutant: Weights) -> None:
    """Load the folder, edit two faces, read their points."""
    editor = Editor.load(mutant.path.parent, CPU)
    part = editor.face_encoder if mutant.path.name == "face_encoder.pth" else editor.generator
    check_same(part.state_dict(), mutant.held())
    faces = training_faces().faces[:2]
    assert editor.edit(faces, torch.zeros(2, 2)).shape == (2, 48, 48)
    assert editor.encode_faces(faces).shape == (2, 2)


@cache
def sound_published(parametrisation: str) -> dict[str, Any]:
    """A state dict of GANmut's size in few bytes: each tensor is one number again and again."""
    with torch.device("meta"):
        shapes = build_generator(GeneratorConfig(parametrisation)).state_dict()
    return {name: torch.full((), 0.01).to(tensor.dtype).expand(tensor.shape) for name, tensor in shapes.items()}


def mutate_published(folder: Path, kind: str, draw: Random) -> Mutant:
    """A published checkpoint: a bare state dict in a file of any name."""
    sound = sound_published(draw.choice(("gaussian", "linear")))
    return damage(folder / "ganmut.ckpt", sound, kind, draw, may_write=())


def read_published(mutant: Weights) -> None:
    """Load it."""
    generator, space = load_generator(mutant.path)
    check_same(generator.state_dict(), mutant.held())
    assert space.centres.isfinite().all() and space.centres.abs().max() <= 1


FAMILIES = (
    Family("weights", (*from_kind("change_value"), *BOMBS), mutate_weights, read_weights),
    Family("checkpoint", from_kind("drop"), mutate_checkpoint(BEST), read_net),
    Family("byol", from_kind("set_bytes"), mutate_checkpoint(BEST, byol=True), read_byol),
    Family("history", from_kind("add"), mutate_checkpoint(FINAL), read_history),
    Family("resumed", from_kind("change_value"), mutate_checkpoint(LAST), go_on_training),
    Family("learning", from_kind("change_pickle"), mutate_learning, go_on_learning),
    Family("generator", (*from_kind("old cut"), *BOMBS), mutate_generator, read_generator),
    Family("published", from_kind("claim"), mutate_published, read_published),
)
