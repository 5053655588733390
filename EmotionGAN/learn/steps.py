"""The steps of training: the discriminator alone on real faces, then discriminator and generator in turn.

In a job of several processes each draws random numbers for the whole batch, computes its own B rows of it, and takes
the optimiser's step of the whole (see data_parallel.py). Alone, a process has all rows.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from core_code.core_utils.distributed.data_parallel import Shard, all_reduce_gradients, shard_of
from EmotionGAN.learn import losses
from EmotionGAN.learn.config import LearnConfig
from EmotionGAN.learn.data import BalancedFaces, jitter
from EmotionGAN.learn.losses import conditional_logit
from EmotionGAN.learn.trainer import Trainer
from EmotionGAN.networks.discriminator import DiscriminatorOutput
from EmotionGAN.networks.generator import Generator


@dataclass
class Edits:
    """The faces of one step and the generator's edits of them.

    images, edited: float [B,C,S,S]; own_codes: float [B,2], predicted from the images; codes: float [B,2], of the
    edits; distances: float [B,7], of the codes; targets: the emotions at whose centres the first of the codes lie;
    shard: the rows of all processes' edits that these are.
    """

    images: Tensor
    edited: Tensor
    own_codes: Tensor
    codes: Tensor
    distances: Tensor
    targets: Tensor
    shard: Shard

    @property
    def shares(self) -> Tensor:
        """The mixture of emotions at the codes: float [B,7], without gradients."""
        return (-self.distances.detach()).softmax(-1)


def sample_codes(generator: Generator, batch_size: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Codes of a batch: the first half at centres of random emotions, the rest uniform in the square. Returns this
    process's shard of them, [B,2], and the emotions of those at centres, which come first. Gradients reach the
    centres."""
    half = batch_size // 2
    device = next(generator.parameters()).device
    targets = torch.randint(7, (half,), generator=rng).to(device)
    uniform = (torch.rand(batch_size - half, 2, generator=rng) * 2 - 1).to(device)
    codes = torch.cat([generator.centres()[targets], uniform])
    return codes[shard_of(batch_size).rows], targets[shard_of(half).rows]


def edit_batch(
    trainer: Trainer, images: Tensor, rng: torch.Generator, shard: Shard | None = None
) -> tuple[Edits, Tensor]:
    """Edit a batch: a quarter at each face's own code, as the discriminator predicts it, the rest at sampled codes.
    images: float [B,C,S,S], a `shard` of the batch. Returns the rest and, of the quarter, the mean absolute change."""
    total = shard.total if shard else len(images)
    with torch.no_grad():
        own_codes = trainer.discriminator(images).codes.float().clamp(-1, 1)
    kept = total // 4
    sampled, targets = sample_codes(trainer.generator, total - kept, rng)
    count = len(sampled)
    edited, distances, codes = trainer.generator(images, torch.cat([sampled, own_codes[count:]]))
    identity = losses.absolute_error(edited[count:], images[count:]) if kept else edited.sum() * 0
    edits = Edits(images[:count], edited[:count], own_codes[:count], codes[:count], distances[:count], targets,
                  shard_of(total - kept))  # fmt: skip
    return edits, identity


def classification_losses(
    config: LearnConfig, output: DiscriminatorOutput, labels: Tensor, generator: Generator
) -> dict[str, Tensor]:
    """On real faces: the classes, and codes that lie near the emotion."""
    distances = generator.distances(output.codes.float())
    return {
        "classes": config.lambda_classes * losses.cross_entropy(output.classes, labels),
        "embedding": config.lambda_embedding * losses.cross_entropy(-distances, labels),
    }


def accuracy(output: DiscriminatorOutput, labels: Tensor) -> Tensor:
    """The discriminator's accuracy on real faces: a scalar in [0,1]."""
    return losses.mean((output.classes.argmax(-1) == labels).float())


def pretraining_step(trainer: Trainer, faces: BalancedFaces, rng: torch.Generator) -> dict[str, Tensor]:
    """Stage 1: the discriminator learns to classify real faces. Returns the terms of the loss."""
    shard = shard_of(trainer.config.discriminator_batch_size)
    images, labels = faces.sample(shard.total, rng)
    trainer.discriminator_adam.zero_grad()
    output = trainer.discriminator(jitter(images, rng, shard))
    terms = classification_losses(trainer.config, output, labels, trainer.generator)
    losses.total(terms).backward()
    all_reduce_gradients(trainer.discriminator.parameters())
    trainer.discriminator_adam.step()
    return terms | {"accuracy": accuracy(output, labels)}


def adversarial_step(trainer: Trainer, faces: BalancedFaces, rng: torch.Generator) -> dict[str, Tensor]:
    """Stage 2: a discriminator step and, every `generator_every` steps, a generator step on the same edits."""
    shard = shard_of(trainer.config.batch_size)
    images, labels = faces.sample(shard.total, rng)
    with_generator = trainer.step % trainer.config.generator_every == 0
    with torch.set_grad_enabled(with_generator):
        edits, identity = edit_batch(trainer, images, rng, shard)
    terms = discriminator_step(trainer, images, labels, edits, rng)
    if with_generator:
        terms |= generator_step(trainer, edits, identity, rng)
    return terms


def discriminator_step(
    trainer: Trainer, images: Tensor, labels: Tensor, edits: Edits, rng: torch.Generator
) -> dict[str, Tensor]:
    """Tell real faces from edits, classify real faces, predict the codes of edits."""
    config, discriminator = trainer.config, trainer.discriminator
    labelled = F.one_hot(labels, 7).float()
    trainer.discriminator_adam.zero_grad()
    real = discriminator(jitter(images, rng, shard_of(config.batch_size)))
    fake = discriminator(jitter(edits.edited.detach(), rng, edits.shard))
    real_logit = conditional_logit(real.conditional, labelled)
    fake_logit = conditional_logit(fake.conditional, edits.shares)
    adversarial = losses.discriminator_adversarial
    terms = {
        "discriminator": adversarial(real.patches.float(), fake.patches.float()),
        "discriminator_conditional": config.lambda_conditional * adversarial(real_logit, fake_logit),
        "codes": config.lambda_codes * losses.code_error(fake.codes, edits.codes.detach()),
    } | classification_losses(config, real, labels, trainer.generator)
    loss = losses.total(terms)
    if trainer.step % config.r1_every == 0:
        with torch.autocast(images.device.type, enabled=False):
            loss = loss + config.lambda_r1 * config.r1_every * losses.r1_penalty(discriminator, images, labelled)
    loss.backward()
    all_reduce_gradients(discriminator.parameters())
    trainer.discriminator_adam.step()
    return terms | {"accuracy": accuracy(real, labels)}


def generator_step(trainer: Trainer, edits: Edits, identity: Tensor, rng: torch.Generator) -> dict[str, Tensor]:
    """Look real, show the emotions of the code, and come back to the face when edited at its own code. identity:
    scalar, the mean absolute change of faces that were edited at their own code."""
    config, discriminator, generator = trainer.config, trainer.discriminator, trainer.generator
    discriminator.requires_grad_(False)
    trainer.generator_adam.zero_grad()
    output = discriminator(jitter(edits.edited, rng, edits.shard))
    returned, _, _ = generator(edits.edited, edits.own_codes)
    conditional = conditional_logit(output.conditional, edits.shares)
    at_centres = output.classes[: len(edits.targets)]
    terms = {
        "generator": config.lambda_adversarial * losses.generator_adversarial(output.patches.float()),
        "conditional": config.lambda_conditional * losses.generator_adversarial(conditional),
        "cycle": config.lambda_cycle * losses.absolute_error(returned, edits.images),
        "identity": config.lambda_identity * identity,
        "agreement": config.lambda_agreement * losses.agreement(output.classes, edits.distances),
        "centres": config.lambda_centres * losses.cross_entropy(at_centres, edits.targets),
    }
    losses.total(terms).backward()
    all_reduce_gradients(generator.parameters())
    trainer.generator_adam.step()
    discriminator.requires_grad_(True)
    trainer.update_ema()
    return terms
