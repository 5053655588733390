"""The state of a training run: the two networks, the generator's EMA, the optimisers and the step."""

import copy
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn

from core_code.core_utils.distributed.data_parallel import broadcast_weights
from core_code.core_utils.distributed.job import FIRST_WITHIN, barrier, is_main_process
from core_code.core_utils.distributed.sync_batch_norm import convert_sync_batch_norms
from core_code.core_utils.ema import move_average
from core_code.core_utils.errors import InputError, shown
from core_code.core_utils.files import load_weights, save_weights
from core_code.core_utils.weights import load_optimizer, state_dict_mismatch
from EmotionGAN.editor import WEIGHTS_FILE
from EmotionGAN.learn.config import LearnConfig
from EmotionGAN.learn.data import BalancedFaces
from EmotionGAN.networks.discriminator import Discriminator
from EmotionGAN.networks.face_encoder import load_face_encoder
from EmotionGAN.networks.generator import (
    GaussianGenerator,
    Generator,
    GeneratorConfig,
    LinearGenerator,
    accelerate_generator,
    build_generator,
)
from EmotionGAN.networks.guides import Guides

# Initial centres of the gaussians: six emotions on a ring, similar ones side by side, Neutral in the middle.
FIRST_ANGLES = {"Happy": 0, "Surprise": 60, "Fear": 120, "Sad": 180, "Disgust": 240, "Angry": 300}
FIRST_RADIUS, FIRST_VARIANCE = 0.75, 0.05
BETAS = (0.5, 0.999)


@torch.no_grad()
def initialise_centres(generator: Generator) -> None:
    """Set a gaussian generator's initial centres and variances; a linear one's initial axes."""
    angles = torch.deg2rad(torch.tensor([float(FIRST_ANGLES.get(e, 0)) for e in generator.config.emotions]))
    points = FIRST_RADIUS * torch.stack([angles.cos(), angles.sin()], dim=-1)
    neutral = generator.config.emotions.index("Neutral")
    if isinstance(generator, GaussianGenerator):
        points[neutral] = 0
        generator.mu.weight.copy_(torch.atanh(points))
        generator.covariance_axes.weight.fill_(FIRST_VARIANCE)
    elif isinstance(generator, LinearGenerator):
        generator.axes.weight.copy_(6 * torch.cat([points[:neutral], points[neutral + 1 :]]))
        generator.axes.bias.fill_(-1.5)


class Trainer:
    """All that a checkpoint holds. `ema` is the exponential moving average of the generator: the one that is saved for
    use. training_data: fingerprint of the faces, without which a run is not resumed."""

    def __init__(
        self, generator_config: GeneratorConfig, config: LearnConfig, seed: int, device: torch.device,
        training_data: str = "",
    ) -> None:  # fmt: skip
        torch.manual_seed(seed)
        self.config, self.seed, self.device, self.training_data = config, seed, device, training_data
        self.generator = accelerate_generator(build_generator(generator_config))
        self.generator = self.generator.to(device).to(memory_format=torch.channels_last)
        initialise_centres(self.generator)
        self.ema = copy.deepcopy(self.generator).requires_grad_(False)
        self.discriminator = Discriminator(
            generator_config.image_size, generator_config.channels,
            config.discriminator_width, config.discriminator_layers,
        ).to(device).to(memory_format=torch.channels_last)  # fmt: skip
        fused = device.type in {"cpu", "cuda"}
        self.generator_adam = torch.optim.Adam(self.generator.parameters(), config.generator_lr, BETAS, fused=fused)
        weights = self.discriminator.parameters()
        self.discriminator_adam = torch.optim.Adam(weights, config.discriminator_lr, BETAS, fused=fused)
        self.guides: Guides | None = None
        self.guides_sgd: torch.optim.SGD | None = None
        if config.guide_width:
            self.guides = Guides(generator_config.channels, config.guide_width)
            convert_sync_batch_norms(self.guides)
            self.guides = self.guides.to(device)
            if device.type == "cuda":  # on CPUs torch 2.14 corrupts memory with so few channels, channels last
                self.guides = self.guides.to(memory_format=torch.channels_last)
            self.guides_sgd = torch.optim.SGD(
                self.guides.parameters(), config.guides_lr, momentum=0.9, nesterov=True, weight_decay=5e-4, fused=fused
            )
        self.step = 0

    def parameters(self) -> list[nn.Parameter]:
        """Those of all networks that learn."""
        networks = [self.generator, self.discriminator, *([self.guides] if self.guides else [])]
        return [parameter for network in networks for parameter in network.parameters()]

    def zero_grad(self) -> None:
        for parameter in self.parameters():
            parameter.grad = None

    def freeze_guides(self) -> None:
        """From stage 2 on the guides only predict."""
        if self.guides:
            self.guides.eval().requires_grad_(False)

    def parts(self) -> dict[str, nn.Module | torch.optim.Optimizer]:
        names = ("generator", "ema", "discriminator", "generator_adam", "discriminator_adam", "guides", "guides_sgd")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}

    def save(self, path: Path) -> None:
        states = {name: part.state_dict() for name, part in self.parts().items()}
        save_weights(path, states | {"step": self.step, "settings": json.dumps(self.settings())})

    def settings(self) -> dict[str, Any]:
        """What decides the result, but for the number of steps, and the faces."""
        config = asdict(self.generator.config) | {"emotions": list(self.generator.config.emotions)}
        own = {"seed": self.seed, "training_data": self.training_data}
        return {name: value for name, value in (config | asdict(self.config) | own).items() if name != "steps"}

    def load(self, path: Path) -> None:
        """Resume from a checkpoint. Raises InputError when it is damaged, of other networks, settings or faces."""
        saved = load_weights(path, "checkpoint of a learning run")
        try:
            for name, part in self.parts().items():
                state: Any = saved.get(name)
                if isinstance(part, torch.optim.Optimizer):
                    load_optimizer(part, state)
                elif wrong := state_dict_mismatch(state, part.state_dict()):
                    raise ValueError(f"{name}: {wrong}")
                else:
                    part.load_state_dict(state)
            step = saved.get("step")
            if type(step) is not int or not 0 <= step < 1 << 63:
                raise ValueError("its step is not a whole number")
            self.step = step
            settings, own = json.loads(saved.get("settings", "")), self.settings()
            different = [name for name, value in own.items() if settings.get(name, value) != value]
        except (ValueError, TypeError, AttributeError) as error:
            raise InputError(
                f"{path}: holds a run of another generator or discriminator ({error}); choose another --dest"
            ) from error
        for name in different[:1]:
            what = (
                f"with {name} {shown(settings[name])}, not {own[name]}" if name != "training_data" else "of other faces"
            )
            raise InputError(f"{path}: holds a run {what}; choose another --dest (--start_from takes over its weights)")

    def prepare(self, faces: BalancedFaces) -> None:
        """Let an image network that warps or adds start by changing nothing, and fit the overlay, where there is one:
        the main process fits it to all faces and sends it to the others."""
        if self.generator.overlay is not None:
            if is_main_process():
                self.generator.overlay.fit(faces.images, faces.labels)
            barrier(FIRST_WITHIN)
            broadcast_weights(self.generator.overlay)
        if self.generator.config.output != "plain":
            for weight in self.generator.main[-1].parameters():
                nn.init.zeros_(weight)
            self.ema.load_state_dict(self.generator.state_dict())

    def start_from(self, folder: Path) -> None:
        """Take the weights of a generator's folder, and of its face encoder as the discriminator's, where there is one.
        Raises InputError where they are of other networks."""
        state = load_weights(folder / WEIGHTS_FILE, "generator")
        if wrong := state_dict_mismatch(state, self.generator.state_dict()):
            raise InputError(f"{folder / WEIGHTS_FILE}: not the generator that the flags describe: {wrong}")
        encoder = load_face_encoder(folder)
        if encoder and encoder.settings != self.discriminator.settings:
            raise InputError(
                f"{folder}: its face encoder is {encoder.settings}, expected {self.discriminator.settings}"
            )
        for network in (self.generator, self.ema):
            network.load_state_dict(state)
        if encoder:
            self.discriminator.load_state_dict(encoder.state_dict())

    def is_finite(self) -> bool:
        """Whether all weights of both networks are finite."""
        tensors = [*self.generator.state_dict().values(), *self.discriminator.state_dict().values()]
        return all(bool(tensor.isfinite().all()) for tensor in tensors)

    def update_ema(self) -> None:
        taken = max(self.step - self.config.discriminator_steps, 0) // self.config.generator_every
        move_average(self.ema.parameters(), self.generator.parameters(), self.config.ema_decay, taken)
