"""How the generator of the sample faces learns: networks beside it, augmentation, losses, and the state of a run."""

import copy
from itertools import pairwise
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core_code.core_utils.acceleration.cuda_graphs import CudaGraphed
from core_code.core_utils.devices import autocast
from core_code.core_utils.emotions import EMOTIONS
from core_code.core_utils.errors import InputError
from core_code.core_utils.files import load_weights, save_weights
from core_code.core_utils.weights import load_optimizer, state_dict_mismatch
from core_code.datasets.sample_networks import (
    CHANNELS,
    FIRST_SIDE,
    GAIN,
    FaceGenerator,
    ScaledConv,
    ScaledLinear,
    activate,
)
from core_code.datasets.splits import SIDE

DISCRIMINATOR_CHANNELS = (48, 96, 160, 224)  # at 48, 24, 12 and 6 pixels
BETAS = (0.0, 0.99)
LEARNING_RATE = 2e-3
EMA_DECAY = 0.999
R1_WEIGHT, R1_EVERY = 0.3, 16
CLASSES_WEIGHT = 0.1
SURE_ENOUGH = 0.4  # cross-entropy from which on a face's emotion is clear, and no longer pushed
GROUP = 4  # faces whose deviation the discriminator sees
BRIGHTNESS, CONTRAST = 0.3, 0.4
MOST_SHIFT, CUTOUT = 6, 20  # pixels
UNIFORMS = 7  # random numbers that `augment` takes a face
NOISE = 0.1


def augment(faces: Tensor, uniforms: Tensor, mirror: bool = False) -> Tensor:
    """Change faces [B,1,48,48] in ways that gradients pass, by random numbers in 0..1, [B,7].

    Brightness, contrast, shift and cutout (S. Zhao et al., "Differentiable augmentation for data-efficient GAN
    training", NeurIPS 2020); with `mirror` half the faces are mirrored.
    """
    brightness, contrast, *places, side = (2 * uniforms - 1).T[:, :, None, None, None].unbind()
    right, down, x, y = (place.flatten() for place in places)
    faces = faces + BRIGHTNESS * brightness
    mean = faces.mean(dim=(1, 2, 3), keepdim=True)
    faces = (faces - mean) * (1 + CONTRAST * contrast) + mean
    if mirror:
        faces = torch.where(side > 0, faces.flip(3), faces)
    pixels = torch.arange(SIDE, device=faces.device)
    for shift, axis in ((down, 2), (right, 3)):
        source = pixels + (shift * (MOST_SHIFT + 0.5)).round().clamp(-MOST_SHIFT, MOST_SHIFT)[:, None]
        inside = (source >= 0) & (source < SIDE)
        shape = (-1, 1, SIDE, 1) if axis == 2 else (-1, 1, 1, SIDE)
        index = source.clamp(0, SIDE - 1).long().view(shape).expand(faces.shape)
        faces = faces.gather(axis, index) * inside.view(shape)
    near_x = (pixels - SIDE * (x[:, None] + 1) / 2).abs() < CUTOUT / 2
    near_y = (pixels - SIDE * (y[:, None] + 1) / 2).abs() < CUTOUT / 2
    return faces.masked_fill((near_y[:, :, None] & near_x[:, None, :])[:, None], 0)


def as_floats(faces: Tensor) -> Tensor:
    """uint8 [B,...] -> float32 in -1..1."""
    return faces.float() / 127.5 - 1


class Narrowing(nn.Module):
    """A residual block of two convolutions that halves the side."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first, self.second = ScaledConv(inputs, inputs), ScaledConv(inputs, outputs)
        self.skip = ScaledConv(inputs, outputs, kernel=1, gain=1.0, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        changed = F.avg_pool2d(activate(self.first(features)), 2)
        return (activate(self.second(changed)) + self.skip(F.avg_pool2d(features, 2))) / GAIN


class FaceDiscriminator(nn.Module):
    """StyleGAN2's discriminator with the projection of T. Miyato and M. Koyama ("cGANs with projection discriminator",
    ICLR 2018). channels: of the features at 48, 24, 12 and 6 pixels."""

    def __init__(self, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.first = ScaledConv(1, channels[0], kernel=1)
        self.narrowing = nn.Sequential(*(Narrowing(inputs, outputs) for inputs, outputs in pairwise(channels)))
        last = channels[-1]
        self.last = ScaledConv(last + 1, last)
        self.dense = ScaledLinear(last * FIRST_SIDE**2, last, GAIN)
        self.whole = ScaledLinear(last, 1)
        self.emotions = nn.Embedding(len(EMOTIONS), last)
        nn.init.zeros_(self.emotions.weight)

    def forward(self, faces: Tensor, labels: Tensor) -> Tensor:
        """Faces [B,1,48,48], labels int64 [B] -> logits float32 [B]; B is a multiple of 4, neighbours are compared."""
        features = self.narrowing(activate(self.first(faces)))
        groups = features.float().unflatten(0, (-1, GROUP))
        spread = (groups.var(dim=1, unbiased=False) + 1e-8).sqrt().mean(dim=(1, 2, 3)).repeat_interleave(GROUP)
        spread = spread[:, None, None, None].expand(-1, 1, *features.shape[2:]).to(features.dtype)
        features = activate(self.last(torch.cat([features, spread], dim=1)))
        features = activate(self.dense(features.flatten(1)))
        of_emotion = (features * self.emotions(labels)).float().sum(dim=1) / features.shape[1] ** 0.5
        return self.whole(features)[:, 0].float() + of_emotion


def small_classifier(width: int = 32) -> nn.Sequential:
    """A net that predicts the emotion of faces [B,1,48,48]: logits [B,7]."""
    layers: list[nn.Module] = []
    before = 1
    for now in (width, 2 * width, 4 * width, 8 * width):
        for inputs in (before, now):
            layers += [nn.Conv2d(inputs, now, 3, padding=1, bias=False), nn.BatchNorm2d(now), nn.ReLU()]
        layers.append(nn.MaxPool2d(2))
        before = now
    return nn.Sequential(
        *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.4), nn.Linear(before, len(EMOTIONS))
    )


class SampleTrainer:
    """All that a checkpoint holds, and the two steps. `classifiers` know real faces and stay as they are.
    With `graphs` the steps are CUDA graphs where there is a GPU.

    Losses: non-saturating logistic (I. Goodfellow et al., 2014), R1 on every 16th batch (L. Mescheder et al., 2018),
    and for the generator the cross-entropy that the classifiers have left beyond SURE_ENOUGH.
    """

    def __init__(
        self, width: float, seed: int, device: torch.device, dtype: torch.dtype, graphs: bool = True
    ) -> None:  # fmt: skip
        torch.manual_seed(seed)
        self.device, self.dtype = device, dtype
        channels = tuple(max(GROUP, round(width * size)) for size in CHANNELS)
        generator = FaceGenerator(channels)
        self.generator = generator.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.ema = copy.deepcopy(self.generator).requires_grad_(False)
        channels = tuple(max(GROUP, round(width * size)) for size in DISCRIMINATOR_CHANNELS)
        self.discriminator = FaceDiscriminator(channels).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        classifiers = nn.ModuleList(small_classifier(max(GROUP, round(width * 32))) for _ in range(2))
        self.classifiers = classifiers.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        fused = device.type in ("cpu", "cuda")
        self.generator_adam = torch.optim.Adam(self.generator.parameters(), LEARNING_RATE, BETAS, fused=fused)
        self.discriminator_adam = torch.optim.Adam(self.discriminator.parameters(), LEARNING_RATE, BETAS, fused=fused)
        self.step, self.seconds, self.classifiers_learned = 0, 0.0, False
        of_discriminator = list(self.discriminator.parameters())
        self.usual = CudaGraphed(self.discriminator_gradients, device, of_discriminator, graphs)
        self.penalized = CudaGraphed(self.penalized_gradients, device, of_discriminator, graphs)
        self.of_generator = CudaGraphed(self.generator_gradients, device, self.generator.parameters(), graphs)
        self.classes_weight = torch.zeros((), device=device)

    def train(self, real: Tensor, labels: Tensor, fake_labels: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """One step of both networks on faces uint8 [B,1,48,48], labels and labels to generate int64 [B] each; returns
        the losses of discriminator and generator, on the device."""
        size = len(real)
        noise = torch.randn(2, size, self.generator.latent, device=self.device, generator=rng)
        uniforms = torch.rand(3, size, UNIFORMS, device=self.device, generator=rng)
        self.discriminator_adam.zero_grad()
        step = self.usual if self.step % R1_EVERY else self.penalized
        discriminator_loss = step(real, labels, noise[0], fake_labels, uniforms[0], uniforms[1])
        self.discriminator_adam.step()
        self.generator_adam.zero_grad()
        generator_loss = self.of_generator(noise[1], fake_labels, uniforms[2])
        self.generator_adam.step()
        decay = min(EMA_DECAY, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for mean, now in zip(self.ema.parameters(), self.generator.parameters(), strict=True):
                mean.lerp_(now, 1 - decay)
        self.step += 1
        return discriminator_loss, generator_loss

    def discriminator_gradients(self, real: Tensor, labels: Tensor, noise: Tensor, fake_labels: Tensor,
                                of_real: Tensor, of_fake: Tensor) -> Tensor:  # fmt: skip
        with autocast(self.device, self.dtype):
            with torch.no_grad():
                fake = augment(self.generator(noise, fake_labels).float(), of_fake)
            seen = torch.cat([augment(as_floats(real), of_real, mirror=True), fake])
            on_real, on_fake = self.discriminator(seen, torch.cat([labels, fake_labels])).chunk(2)
            loss = F.softplus(-on_real).mean() + F.softplus(on_fake).mean()
        loss.backward()
        return loss

    def penalized_gradients(self, real: Tensor, labels: Tensor, noise: Tensor, fake_labels: Tensor,
                            of_real: Tensor, of_fake: Tensor) -> Tensor:  # fmt: skip
        """The same with R1 at the augmented real faces, in float32."""
        loss = self.discriminator_gradients(real, labels, noise, fake_labels, of_real, of_fake)
        seen = augment(as_floats(real), of_real, mirror=True).requires_grad_()
        (slope,) = torch.autograd.grad(self.discriminator(seen, labels).sum(), seen, create_graph=True)
        (R1_WEIGHT / 2 * R1_EVERY * slope.square().sum(dim=(1, 2, 3)).mean()).backward()
        return loss

    def generator_gradients(self, noise: Tensor, labels: Tensor, uniforms: Tensor) -> Tensor:
        self.discriminator.requires_grad_(False)
        with autocast(self.device, self.dtype):
            seen = augment(self.generator(noise, labels).float(), uniforms)
            loss = F.softplus(-self.discriminator(seen, labels)).mean()
            shares = zip(self.classifiers, seen.chunk(2), labels.chunk(2), strict=True)  # half the faces each
            logits = [(classifier(faces).float(), own) for classifier, faces, own in shares]
            left = torch.cat([F.cross_entropy(*pair, reduction="none") for pair in logits]) - SURE_ENOUGH
            loss = loss + self.classes_weight * left.relu().mean()
        loss.backward()
        self.discriminator.requires_grad_(True)
        return loss

    def set_progress(self, progress: float) -> None:
        """Learning rates and the classes' weight at this share of the run: the rates fall to 0 over the second half."""
        rate = LEARNING_RATE * min(1.0, 2 * (1 - progress) + 0.01)
        for adam in (self.generator_adam, self.discriminator_adam):
            adam.param_groups[0]["lr"] = rate
        self.classes_weight.fill_(CLASSES_WEIGHT * min(1.0, 4 * progress))

    def parts(self) -> dict[str, nn.Module | torch.optim.Optimizer]:
        names = ("generator", "ema", "discriminator", "classifiers", "generator_adam", "discriminator_adam")
        return {name: getattr(self, name) for name in names}

    def save(self, path: Path) -> None:
        """Write all to go on from, whole or not at all."""
        state = {name: part.state_dict() for name, part in self.parts().items()}
        counts = {"step": self.step, "seconds": self.seconds, "classifiers_learned": self.classifiers_learned}
        save_weights(path, state | counts)

    def load(self, path: Path) -> None:
        """Go on from a file of `save`. Raises InputError when it is damaged or of other networks."""
        saved = load_weights(path, "checkpoint of the sample faces' generator")
        try:
            for name, part in self.parts().items():
                if isinstance(part, torch.optim.Optimizer):
                    load_optimizer(part, saved.get(name))
                elif wrong := state_dict_mismatch(saved.get(name), part.state_dict()):
                    raise ValueError(f"{name}: {wrong}")
                else:
                    part.load_state_dict(saved[name])
            self.step, self.seconds = int(saved["step"]), float(saved["seconds"])
            self.classifiers_learned = bool(saved["classifiers_learned"])
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}: not a run that can go on here ({error}); choose another --dest") from error
