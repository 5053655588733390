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
from core_code.core_utils.errors import InputError
from core_code.core_utils.files import load_weights, save_weights
from core_code.core_utils.weights import load_optimizer, state_dict_mismatch
from EmotionGAN.learn.config import LearnConfig
from EmotionGAN.learn.data import BalancedFaces
from EmotionGAN.networks.discriminator import Discriminator
from EmotionGAN.networks.generator import (
    GaussianGenerator,
    Generator,
    GeneratorConfig,
    LinearGenerator,
    accelerate_generator,
    build_generator,
)

# Initial centres of the gaussians: six emotions on a ring, similar ones side by side, Neutral in the middle.
FIRST_ANGLES = {"Happy": 0, "Surprise": 60, "Fear": 120, "Sad": 180, "Disgust": 240, "Angry": 300}
FIRST_RADIUS, FIRST_VARIANCE = 0.75, 0.15
BETAS = (0.5, 0.999)
# In checkpoints of earlier versions.
OLD_PARTS = {"ema": "average", "discriminator": "critic", "discriminator_adam": "critic_adam"}


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
    use."""

    def __init__(self, generator_config: GeneratorConfig, config: LearnConfig, seed: int, device: torch.device) -> None:
        torch.manual_seed(seed)
        self.config, self.seed, self.device = config, seed, device
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
        self.step = 0

    def parts(self) -> dict[str, nn.Module | torch.optim.Optimizer]:
        names = ("generator", "ema", "discriminator", "generator_adam", "discriminator_adam")
        return {name: getattr(self, name) for name in names}

    def save(self, path: Path) -> None:
        states = {name: part.state_dict() for name, part in self.parts().items()}
        settings = {"learning": asdict(self.config), "config": self.generator.config.to_dict(), "seed": self.seed}
        save_weights(path, states | {"step": self.step, "settings": json.dumps(settings)})

    def load(self, path: Path) -> None:
        """Resume from a checkpoint. Raises InputError when it is damaged or of other networks."""
        saved = load_weights(path, "checkpoint of a learning run")
        try:
            for name, part in self.parts().items():
                state: Any = saved.get(name, saved.get(OLD_PARTS.get(name, name)))
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
        except ValueError as error:
            raise InputError(
                f"{path}: holds a run of another generator or discriminator ({error}); choose another --dest"
            ) from error

    def fit_overlay(self, faces: BalancedFaces) -> None:
        """Fit the overlay, where the generator has one, and let the image network start by adding nothing to it. The
        main process fits it to all faces and sends it to the others."""
        if self.generator.overlay is not None:
            if is_main_process():
                self.generator.overlay.fit(faces.images, faces.labels)
            barrier(FIRST_WITHIN)
            broadcast_weights(self.generator.overlay)
            for weight in self.generator.main[-1].parameters():
                nn.init.zeros_(weight)
            self.ema.load_state_dict(self.generator.state_dict())

    def is_finite(self) -> bool:
        """Whether all weights of both networks are finite."""
        tensors = [*self.generator.state_dict().values(), *self.discriminator.state_dict().values()]
        return all(bool(tensor.isfinite().all()) for tensor in tensors)

    @torch.no_grad()
    def update_ema(self) -> None:
        for mean, now in zip(self.ema.parameters(), self.generator.parameters(), strict=True):
            mean.lerp_(now, 1 - self.config.ema_decay)
