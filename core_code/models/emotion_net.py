"""EmotionNet: an ImageNet backbone that predicts emotions."""

import re
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchvision import models

from core_code.core_utils.emotions import EMOTIONS
from core_code.core_utils.errors import InputError
from core_code.core_utils.files import load_weights
from core_code.core_utils.weights import WRAPPERS, dequantised, state_dict_mismatch, unwrapped, with_counters
from core_code.models.architectures import ARCHITECTURES, IMAGENET_STEM, SMALL_STEM, Architecture

HIDDEN_HEAD = 128
DOWNLOAD_PATIENCE_S = 30
PREFIX = "nn_model."
PUBLISHED_BYOL = "backbone."  # what the published program's BYOL holds the net without its head as, in a Sequential


class EmotionNet(nn.Module):
    """A torchvision net with an output for each of `emotions`; every parameter's name starts with `nn_model.`.

    `name` is a key of ARCHITECTURES. With `head_only` the backbone is frozen, its batch norms keep their ImageNet
    statistics, and only the new head learns. The head is one linear layer, or features -> 128 -> outputs
    with `hidden_head` (after BYOL pre-training). The weights are random until `load_backbone` or `load_state_dict`.

    `stem` is one of architectures.STEMS: with `small` the first convolution has stride 1 and no pooling follows it, so
    that all maps are four times as long and wide; the parameters are the same. Raises InputError where the
    architecture has none.
    """

    def __init__(
        self, name: str, head_only: bool = False, hidden_head: bool = False, stem: str = IMAGENET_STEM,
        emotions: Sequence[str] = EMOTIONS,
    ) -> None:  # fmt: skip
        super().__init__()
        self.name = name
        self.architecture = ARCHITECTURES[name]
        self.head_only = head_only
        self.emotions = tuple(emotions)
        self.nn_model = build(self.architecture)
        if stem == SMALL_STEM:
            make_stem_small(self.nn_model, self.architecture)
        head = make_head(self.architecture.features, hidden_head, len(emotions))
        self.nn_model.set_submodule(self.architecture.head, head)
        if head_only:
            self.nn_model.requires_grad_(False)
            self.head.requires_grad_(True)
        self.to(memory_format=torch.channels_last)

    @property
    def head(self) -> nn.Module:
        """The part that is new for emotions."""
        return self.nn_model.get_submodule(self.architecture.head)

    def forward(self, views: Tensor) -> Tensor:
        """float [B,3,S,S] in [0,1] -> logits [B,E], in the order of `emotions`."""
        return self.nn_model(views.contiguous(memory_format=torch.channels_last))

    def train(self, mode: bool = True) -> "EmotionNet":
        """Training mode; a frozen backbone stays in evaluation mode, so that its batch norms do not move."""
        super().train(mode)
        if self.head_only:
            self.nn_model.eval()
            self.head.train(mode)
        return self

    def drop_head(self) -> "EmotionNet":
        """From now on give features float [B,F], F as in the table of architectures, in place of logits."""
        self.nn_model.set_submodule(self.architecture.head, nn.Identity())
        return self

    def load_backbone(self, weights: str) -> None:
        """Start from `imagenet`, `none` (the random weights that are there already) or a file.

        A file holds a state dict of the same torchvision net, of which the 1000-class head is left out, alone or as
        weights are passed around (see weights.unwrapped), or is a checkpoint of this program. All else must match
        strictly. Raises InputError.
        """
        if weights == "none":
            return
        if weights == "imagenet":
            state, source = download_imagenet(self.name), "ImageNet weights"
        else:
            state, source = load_weights(Path(weights), "weights file"), weights
        self.load_backbone_state(state, source)

    def load_backbone_state(self, state: dict[str, Tensor], source: str) -> None:
        """Load everything but the head from a state dict, strictly; a batch norm's missing counter is 0. `source` names
        it in the InputError."""
        state = bare_state(state, self.architecture)
        head = self.architecture.head + "."
        state = {key: value for key, value in state.items() if not key.startswith(head)}
        own = {key: value for key, value in self.nn_model.state_dict().items() if not key.startswith(head)}
        state = with_counters(dequantised(state, own), own)
        if wrong := state_dict_mismatch(state, own):
            if inner := [name[:100] for name, value in state.items() if isinstance(value, dict)]:
                wrong += f" (it has dicts named {', '.join(inner[:5])}: expected tensors, or {', '.join(WRAPPERS)})"
            raise InputError(f"{source}: not weights of {self.name}: {wrong}")
        self.nn_model.load_state_dict(state, strict=False)


def build(architecture: Architecture) -> nn.Module:
    """The torchvision net with random weights and its own 1000-class head."""
    options = {"init_weights": False} if architecture.builder in ("googlenet", "inception_v3") else {}
    return models.get_model(architecture.builder, weights=None, **options)


def make_stem_small(model: nn.Module, architecture: Architecture) -> None:
    """Give the first convolution stride 1, and take the pooling after it away. Raises InputError."""
    if not architecture.stem:
        raise InputError(f"--stem small: {architecture.builder} has none; take --stem imagenet")
    convolution = model.get_submodule(architecture.stem[0])
    assert isinstance(convolution, nn.Conv2d)
    convolution.stride = (1, 1)
    for pooling in architecture.stem[1:]:
        model.set_submodule(pooling, nn.Identity())


def make_head(features: int, hidden: bool, outputs: int) -> nn.Module:
    """features -> outputs, or features -> 128 -> outputs."""
    if not hidden:
        return nn.Linear(features, outputs)
    return nn.Sequential(nn.Linear(features, HIDDEN_HEAD), nn.ReLU(), nn.Linear(HIDDEN_HEAD, outputs))


def download_imagenet(name: str) -> dict[str, Tensor]:
    """torchvision's ImageNet state dict, from its cache or the net. Raises InputError, never falls back."""
    architecture = ARCHITECTURES[name]
    weights = models.get_model_weights(architecture.builder)[architecture.weights]
    patience = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_PATIENCE_S)
    try:
        return weights.get_state_dict(progress=True, check_hash=True)
    except Exception as error:  # a damaged file raises nearly anything
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        cached = Path(torch.hub.get_dir()) / "checkpoints" / weights.url.rsplit("/", 1)[-1]
        if cached.is_file():
            message = f"{cached}: ImageNet weights that cannot be read ({reason}): remove the file to download it again"
            raise InputError(message) from error
        raise InputError(
            f"ImageNet weights of {name} cannot be downloaded ({reason}): fetch {weights.url} another way and give "
            f"--weights FILE, or start from random weights with --weights none"
        ) from error
    finally:
        socket.setdefaulttimeout(patience)


def bare_state(state: dict[str, Any], architecture: Architecture) -> dict[str, Tensor]:
    """The torchvision names of a state dict: unwrapped, without `nn_model.`, older names renewed.

    The published program's BYOL has `backbone.<index of the child>.*`; its other parts (`backbone_momentum.*`,
    `projection_head.*` and so on) are left out.
    """
    state = unwrapped(state)
    for prefix in (PREFIX, PUBLISHED_BYOL):
        if any(key.startswith(prefix) for key in state):
            state = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
            if prefix == PUBLISHED_BYOL:
                state = with_names_of_children(state, architecture)
            break
    if architecture.renamed:
        state = {re.sub(*architecture.renamed, key): value for key, value in state.items()}
    return state


def with_names_of_children(state: dict[str, Tensor], architecture: Architecture) -> dict[str, Tensor]:
    """A state dict of nn.Sequential(*children) under the names that the architecture has for its children."""
    with torch.device("meta"):
        children = {str(i): name for i, (name, _) in enumerate(build(architecture).named_children())}
    parts = {key: key.partition(".") for key in state}
    return {f"{children.get(child, child)}.{rest}": state[key] for key, (child, _, rest) in parts.items()}
