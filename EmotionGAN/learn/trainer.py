"""GANmut's game: the two players, the recipe they follow, and every kind of step they take.

Two stages: the critic learns to read emotions off real faces; then the two play. A generator with an overlay (see
overlay.py) starts from its closed fit.

Several processes play one game: each draws for the whole batch, computes its own rows B of it, and takes the step of
the whole (see data_parallel.py). Alone, a process has all rows.
"""

import copy
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from core_code.core_utils.distributed.data_parallel import Shard, broadcast_weights, shard_of, sum_gradients
from core_code.core_utils.distributed.job import FIRST_WITHIN, barrier, is_main_process
from core_code.core_utils.errors import InputError
from core_code.core_utils.files import load_weights, save_weights
from core_code.core_utils.weights import load_optimizer, state_dict_mismatch
from EmotionGAN.editor import to_range
from EmotionGAN.learn import losses
from EmotionGAN.learn.config import LearnConfig
from EmotionGAN.learn.losses import genuine_as
from EmotionGAN.networks.discriminator import Discriminator, DiscriminatorOutput
from EmotionGAN.networks.generator import Generator, GeneratorConfig, build_generator

# Where the gaussians start: six emotions on a ring, neighbours alike, Neutral in the middle. They move in the game.
FIRST_ANGLES = {"Happy": 0, "Surprise": 60, "Fear": 120, "Sad": 180, "Disgust": 240, "Angry": 300}
FIRST_RADIUS, FIRST_VARIANCE = 0.75, 0.15


class BalancedFaces:
    """Training faces on the device, drawn so that rare emotions come more often than they are (square root)."""

    def __init__(self, faces: Tensor, labels: Tensor, size: int, channels: int, device: torch.device) -> None:
        self.images = to_range(faces, size, channels=1).to(device)
        self.labels, self.channels = labels.to(device), channels
        counts = torch.bincount(labels, minlength=7).clamp_min(1).double()
        self.odds = (1 / counts.sqrt())[labels]

    def draw(self, batch_size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """This process's part of so many faces: float [B,C,S,S] in [-1,1], half of them mirrored, and int64 [B]."""
        picked = torch.multinomial(self.odds, batch_size, replacement=True, generator=generator)
        mirrored = torch.rand(batch_size, generator=generator) < 0.5
        rows = shard_of(batch_size).rows
        picked, mirrored = picked[rows].to(self.images.device), mirrored[rows]
        images = self.images[picked]
        images = torch.where(mirrored.to(images.device)[:, None, None, None], images.flip(-1), images)
        return images.expand(-1, self.channels, -1, -1), self.labels[picked]


def jitter(images: Tensor, generator: torch.Generator, part: Shard | None = None) -> Tensor:
    """What the critic sees: shifted by up to 1/16 of the side and brightened or darkened by up to 0.2 of the range.

    Differentiable, so that the generator learns through it (Zhao et al., "Differentiable Augmentation", 2020). Where
    the images [B,C,S,S] are `part` of a batch, the chances are drawn for all of it.
    """
    count, rows = part or (len(images), slice(None))
    size = images.shape[-1]
    most = size // 16
    # whole pixels: a shift by parts of one would blur what tells made faces from real ones
    shifts = torch.randint(-most, most + 1, (count, 2), generator=generator)[rows] * 2 / size
    brightness = (torch.rand(count, 1, 1, 1, generator=generator)[rows] * 2 - 1) * 0.2
    if not len(images):
        return images  # which grids cannot be made for
    moves = torch.eye(2, 3).repeat(len(images), 1, 1)
    moves[:, :, 2] = shifts
    grid = F.affine_grid(moves.to(images.device), list(images.shape), align_corners=False)
    moved = F.grid_sample(images.float(), grid, padding_mode="border", align_corners=False)
    return moved + brightness.to(images.device)


@torch.no_grad()
def initialise_centres(generator: Generator) -> None:
    """Give a gaussian generator the first places and spreads of its emotions; a linear one the first axes."""
    angles = torch.deg2rad(torch.tensor([float(FIRST_ANGLES.get(e, 0)) for e in generator.config.emotions]))
    points = FIRST_RADIUS * torch.stack([angles.cos(), angles.sin()], dim=-1)
    neutral = generator.config.emotions.index("Neutral")
    if generator.config.parametrisation == "gaussian":
        points[neutral] = 0
        generator.mu.weight.copy_(torch.atanh(points))
        generator.covariance_axes.weight.fill_(FIRST_VARIANCE)
    else:
        generator.axes.weight.copy_(6 * torch.cat([points[:neutral], points[neutral + 1 :]]))
        generator.axes.bias.fill_(-1.5)


def draw_codes(generator: Generator, batch_size: int, draws: torch.Generator) -> tuple[Tensor, Tensor]:
    """Codes of a batch: the first half at centres of random emotions, the rest anywhere in the square.

    Returns this process's part of them, [B,2], and the emotions of those at centres, which come first. Gradients reach
    the centres.
    """
    half = batch_size // 2
    device = next(generator.parameters()).device
    targets = torch.randint(7, (half,), generator=draws).to(device)
    anywhere = (torch.rand(batch_size - half, 2, generator=draws) * 2 - 1).to(device)
    codes = torch.cat([generator.centres()[targets], anywhere])
    return codes[shard_of(batch_size).rows], targets[shard_of(half).rows]


class Trainer:
    """The players, their optimisers and the step: all that a checkpoint holds."""

    def __init__(self, config: GeneratorConfig, recipe: LearnConfig, seed: int, device: torch.device) -> None:
        torch.manual_seed(seed)
        self.recipe, self.seed, self.device = recipe, seed, device
        self.generator = build_generator(config).to(device, memory_format=torch.channels_last)
        initialise_centres(self.generator)
        self.average = copy.deepcopy(self.generator).requires_grad_(False)
        self.critic = Discriminator(config.image_size, config.channels, recipe.critic_width, recipe.critic_layers)
        self.critic = self.critic.to(device, memory_format=torch.channels_last)
        fused = device.type in {"cpu", "cuda"}
        self.generator_adam = torch.optim.Adam(
            self.generator.parameters(), recipe.generator_rate, (0.5, 0.999), fused=fused
        )
        self.critic_adam = torch.optim.Adam(self.critic.parameters(), recipe.critic_rate, (0.5, 0.999), fused=fused)
        self.step = 0

    def parts(self) -> dict[str, torch.nn.Module | torch.optim.Optimizer]:
        return {
            "generator": self.generator, "average": self.average, "critic": self.critic,
            "generator_adam": self.generator_adam, "critic_adam": self.critic_adam,
        }  # fmt: skip

    def save(self, path: Path) -> None:
        states = {name: part.state_dict() for name, part in self.parts().items()}
        settings = {"recipe": asdict(self.recipe), "config": self.generator.config.to_dict(), "seed": self.seed}
        save_weights(path, states | {"step": self.step, "settings": json.dumps(settings)})

    def load(self, path: Path) -> None:
        """Go on from a checkpoint. Raises InputError when it is damaged or of other players."""
        saved = load_weights(path, "checkpoint of a learning run")
        try:
            for name, part in self.parts().items():
                if isinstance(part, torch.optim.Optimizer):
                    load_optimizer(part, saved.get(name))
                elif wrong := state_dict_mismatch(saved.get(name), part.state_dict()):
                    raise ValueError(f"{name}: {wrong}")
                else:
                    part.load_state_dict(saved[name])
            self.step = saved.get("step")
            if type(self.step) is not int or not 0 <= self.step < 1 << 63:
                raise ValueError("its step is no whole number")
        except ValueError as error:
            raise InputError(
                f"{path}: holds a run of another generator or critic ({error}); choose another --dest"
            ) from error

    def start(self, faces: BalancedFaces) -> None:
        """Fit the overlay, where the generator has one; the trunk then starts by adding nothing to it.

        One process fits it to all faces, for all.
        """
        if self.generator.overlay is not None:
            if is_main_process():
                self.generator.overlay.fit(faces.images, faces.labels)
            barrier(FIRST_WITHIN)
            broadcast_weights(self.generator.overlay)
            torch.nn.init.zeros_(self.generator.main[-1].weight)
            self.average.load_state_dict(self.generator.state_dict())

    def is_finite(self) -> bool:
        """Whether all weights of both players are numbers."""
        tensors = [*self.generator.state_dict().values(), *self.critic.state_dict().values()]
        return all(bool(tensor.isfinite().all()) for tensor in tensors)

    def update_ema(self) -> None:
        with torch.no_grad():
            for mean, now in zip(self.average.parameters(), self.generator.parameters(), strict=True):
                mean.lerp_(now, 1 - self.recipe.average)


def classification_losses(
    recipe: LearnConfig, verdict: DiscriminatorOutput, labels: Tensor, generator: Generator
) -> dict[str, Tensor]:
    """What the critic learns of real faces' emotions: the classes, and codes that lie near the emotion's place."""
    distances = generator.distances(verdict.codes.float())
    return {
        "classes": recipe.lambda_classes * losses.cross_entropy(verdict.classes, labels),
        "places": recipe.lambda_places * losses.cross_entropy(-distances, labels),
    }


def pretrain_classes(learning: Trainer, faces: BalancedFaces, draws: torch.Generator) -> dict[str, Tensor]:
    """Stage 1: the critic reads emotions off real faces."""
    part = shard_of(learning.recipe.critic_batch_size)
    images, labels = faces.draw(part.total, draws)
    verdict = learning.critic(jitter(images, draws, part))
    terms = classification_losses(learning.recipe, verdict, labels, learning.generator)
    learning.critic_adam.zero_grad()
    sum(terms.values()).backward()
    sum_gradients(learning.critic.parameters())
    learning.critic_adam.step()
    return detached(terms) | {"accuracy": accuracy(verdict, labels)}


def accuracy(verdict: DiscriminatorOutput, labels: Tensor) -> Tensor:
    """How many of the real faces' emotions the critic reads rightly: a scalar in [0,1]."""
    return losses.mean((verdict.classes.argmax(-1) == labels).float())


@dataclass
class Edits:
    """One step's faces and what the generator made of them.

    images, edited: float [B,C,S,S]; own_codes: float [B,2], read off the images; distances: float [B,7], of the codes
    that the edits were made at; targets: the emotions at whose centres the first of them lie; part: which of all
    processes' edits these are.
    """

    images: Tensor
    edited: Tensor
    own_codes: Tensor
    codes: Tensor
    distances: Tensor
    targets: Tensor
    part: Shard

    @property
    def shares(self) -> Tensor:
        """How much of each emotion is meant: float [B,7], without gradients."""
        return (-self.distances.detach()).softmax(-1)


def discriminator_step(
    learning: Trainer, images: Tensor, labels: Tensor, edits: Edits, draws: torch.Generator
) -> dict[str, Tensor]:
    """The critic's move: tell real from made, read the emotions of real faces and the codes of made ones."""
    recipe, critic = learning.recipe, learning.critic
    real = critic(jitter(images, draws, shard_of(recipe.batch_size)))
    fake = critic(jitter(edits.edited.detach(), draws, edits.part))
    labelled = F.one_hot(labels, 7).float()
    real_as, fake_as = genuine_as(real.genuine, labelled), genuine_as(fake.genuine, edits.shares)
    terms = {
        "critic": losses.discriminator_adversarial(real.patches.float(), fake.patches.float()),
        "critic_genuine": recipe.lambda_genuine * losses.discriminator_adversarial(real_as, fake_as),
        "codes": recipe.lambda_codes * losses.code_error(fake.codes, edits.codes.detach()),
    } | classification_losses(recipe, real, labels, learning.generator)
    loss = sum(terms.values())
    if learning.step % recipe.r1_every == 0:
        with torch.autocast(images.device.type, enabled=False):
            loss = loss + recipe.lambda_r1 * recipe.r1_every * losses.r1_penalty(critic, images, labelled)
    learning.critic_adam.zero_grad()
    loss.backward()
    sum_gradients(critic.parameters())
    learning.critic_adam.step()
    return terms | {"accuracy": accuracy(real, labels)}


def generator_step(learning: Trainer, edits: Edits, identity: Tensor, draws: torch.Generator) -> dict[str, Tensor]:
    """The generator's move: look real, show what the code means, and come back to the face one started from.

    identity: scalar, the change that was made where none was asked for.
    """
    recipe, critic = learning.recipe, learning.critic
    critic.requires_grad_(False)
    verdict = critic(jitter(edits.edited, draws, edits.part))
    returned, _, _ = learning.generator(edits.edited, edits.own_codes)
    at_centres = verdict.classes[: len(edits.targets)]
    terms = {
        "generator": recipe.lambda_realness * losses.generator_adversarial(verdict.patches.float()),
        "genuine": recipe.lambda_genuine * losses.generator_adversarial(genuine_as(verdict.genuine, edits.shares)),
        "cycle": recipe.lambda_cycle * losses.absolute_error(returned, edits.images),
        "identity": recipe.lambda_identity * identity,
        "agreement": recipe.lambda_agreement * losses.agreement(verdict.classes, edits.distances),
        "centres": recipe.lambda_centres * losses.cross_entropy(at_centres, edits.targets),
    }
    learning.generator_adam.zero_grad()
    sum(terms.values()).backward()
    sum_gradients(learning.generator.parameters())
    learning.generator_adam.step()
    learning.update_ema()
    critic.requires_grad_(True)
    return terms


def make_edits(
    learning: Trainer, images: Tensor, draws: torch.Generator, part: Shard | None = None
) -> tuple[Edits, Tensor]:
    """Edit a batch: a quarter at the code that the critic reads off each face, the rest as `draw_codes` says.

    images: float [B,C,S,S], `part` of the batch. Returns the rest and, of the quarter, the mean absolute change.
    """
    total = part.total if part else len(images)
    with torch.no_grad():
        own_codes = learning.critic(images).codes.float().clamp(-1, 1)
    kept = total // 4
    drawn, targets = draw_codes(learning.generator, total - kept, draws)
    edited, distances, codes = learning.generator(images, torch.cat([drawn, own_codes[len(drawn) :]]))
    identity = losses.absolute_error(edited[len(drawn) :], images[len(drawn) :]) if kept else edited.sum() * 0
    asked, rest = slice(len(drawn)), shard_of(total - kept)
    edits = Edits(images[asked], edited[asked], own_codes[asked], codes[asked], distances[asked], targets, rest)
    return edits, identity


def play(learning: Trainer, faces: BalancedFaces, draws: torch.Generator) -> dict[str, Tensor]:
    """Stage 2, one step: the critic's move, and every n_critic steps the generator's on the same made faces."""
    part = shard_of(learning.recipe.batch_size)
    images, labels = faces.draw(part.total, draws)
    generators_turn = learning.step % learning.recipe.n_critic == 0
    with torch.set_grad_enabled(generators_turn):
        edits, identity = make_edits(learning, images, draws, part)
    terms = discriminator_step(learning, images, labels, edits, draws)
    if generators_turn:
        terms |= generator_step(learning, edits, identity, draws)
    return detached(terms)


def detached(terms: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach() for name, value in terms.items()}
