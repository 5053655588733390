"""The steps of training: the classifiers alone on real faces, then discriminator and generator at once.

In a job of several processes each samples random numbers for the whole batch, computes its own B rows of it, and takes
the optimiser's step of the whole (see data_parallel.py). Alone, a process has all rows. Everything random is sampled
before a step's computation, which is a function of tensors and a CUDA graph on a GPU.
"""

import math
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from core_code.core_utils.acceleration.cuda_graphs import CudaGraphed
from core_code.core_utils.devices import autocast
from core_code.core_utils.distributed.data_parallel import all_reduce_gradients, shard_of
from EmotionGAN.learn import losses
from EmotionGAN.learn.data import VIEW_NUMBERS, BalancedFaces, EditPlan, plan_edits, random_views, to_device
from EmotionGAN.learn.losses import conditional_logit
from EmotionGAN.learn.trainer import Trainer
from EmotionGAN.networks.discriminator import DiscriminatorOutput
from EmotionGAN.networks.generator import Generator

GUIDE_SMOOTHING = 0.1  # of the guides' labels


class Steps:
    """The two kinds of step of a trainer; each returns the terms of its losses, weighted as they are added. Without
    `accelerate` nothing becomes a CUDA graph."""

    def __init__(self, trainer: Trainer, faces: BalancedFaces, dtype: torch.dtype, accelerate: bool = True) -> None:
        self.trainer, self.faces, self.dtype = trainer, faces, dtype
        graphed = partial(CudaGraphed, device=trainer.device, parameters=trainer.parameters(), enabled=accelerate)
        self.names: dict[str, list[str]] = {}  # of the terms that a computation returns
        self.classify = graphed(self.classification_gradients)
        self.compete = {
            (both, penalised): graphed(partial(self.adversarial_gradients, both, penalised))
            for both in (False, True)
            for penalised in (False, True)
        }

    def pretraining_step(self, rng: torch.Generator) -> dict[str, Tensor]:
        """Stage 1: discriminator and guides learn to classify real faces."""
        trainer, count = self.trainer, self.trainer.config.discriminator_batch_size
        images, labels = self.faces.sample(count, rng)
        views = torch.rand(2, count, VIEW_NUMBERS, generator=rng)[:, shard_of(count).rows]
        trainer.zero_grad()
        values = self.classify(images, labels, to_device(views, images))
        all_reduce_gradients(trainer.parameters())
        trainer.discriminator_adam.step()
        if trainer.guides_sgd:
            progress = trainer.step / trainer.config.discriminator_steps
            trainer.guides_sgd.param_groups[0]["lr"] = trainer.config.guides_lr * (1 + math.cos(math.pi * progress)) / 2
            trainer.guides_sgd.step()
        return dict(zip(self.names["classify"], values, strict=True))

    def adversarial_step(self, rng: torch.Generator) -> dict[str, Tensor]:
        """Stage 2: a discriminator step and, every `generator_every` steps, a generator step on the same edits."""
        trainer, config = self.trainer, self.trainer.config
        images, labels = self.faces.sample(config.batch_size, rng)
        plan = plan_edits(config, rng, images)
        both, penalised = trainer.step % config.generator_every == 0, trainer.step % config.r1_every == 0
        trainer.zero_grad()
        values = self.compete[both, penalised](images, labels, *plan)
        all_reduce_gradients(trainer.parameters())
        trainer.discriminator_adam.step()
        if both:
            trainer.generator_adam.step()
            trainer.update_ema()
        return dict(zip(self.names[f"compete {both}"], values, strict=True))

    def classification_gradients(self, images: Tensor, labels: Tensor, views: Tensor) -> Tensor:
        """Forward and backward of stage 1. images: float [B,C,S,S]; labels: int64 [B]; views: float [2,B,VIEW_NUMBERS].
        Returns the terms."""
        trainer = self.trainer
        with autocast(images.device, self.dtype):
            output = trainer.discriminator(random_views(images, views[0]))
            terms = self.real_terms(output, labels)
            seen = random_views(images, views[1], turned=True)
            for i, logits in enumerate(trainer.guides(seen) if trainer.guides else []):
                terms[f"guide_{i}"] = losses.cross_entropy(logits, labels, GUIDE_SMOOTHING)
            losses.total(terms).backward()
        return self.report("classify", terms, output, labels)

    def adversarial_gradients(
        self, both: bool, penalised: bool, images: Tensor, labels: Tensor, *plan: Tensor
    ) -> Tensor:  # fmt: skip
        """Forward and backward of stage 2, of both networks or the discriminator alone, with the R1 penalty if
        `penalised`. images: float [B,C,S,S]; labels: int64 [B]; plan: an EditPlan. Returns the terms."""
        discriminator = self.trainer.discriminator
        with autocast(images.device, self.dtype):
            with torch.set_grad_enabled(both):
                edits = EditedBatch(self.trainer, images, labels, EditPlan(*plan))
            real = discriminator(random_views(images, edits.views[0]))
            terms = self.discriminator_terms(real, labels, edits)
            losses.total(terms).backward()
            if penalised:  # for r1_every steps at once (Karras et al., 2020: lazily)
                with torch.autocast(images.device.type, enabled=False):
                    penalty = losses.r1_penalty(discriminator, images, F.one_hot(labels, 7).float())
                (self.trainer.config.lambda_r1 * self.trainer.config.r1_every * penalty).backward()
            if both:
                self.trainer.generator.zero_grad()  # real faces' codes move the discriminator, not the space
                discriminator.requires_grad_(False)
                generator_terms = self.generator_terms(edits)
                losses.total(generator_terms).backward()
                discriminator.requires_grad_(True)
                terms |= generator_terms
        return self.report(f"compete {both}", terms, real, labels)

    def report(self, what: str, terms: dict[str, Tensor], real: DiscriminatorOutput, labels: Tensor) -> Tensor:
        """The terms and the discriminator's accuracy on real faces as one tensor; their names are kept."""
        terms = terms | {"accuracy": losses.mean((real.classes.argmax(-1) == labels).float())}
        self.names[what] = list(terms)
        return torch.stack([value.detach().float() for value in terms.values()])

    def real_terms(self, output: DiscriminatorOutput, labels: Tensor) -> dict[str, Tensor]:
        """On real faces: the classes, and codes that lie near the emotion."""
        config, distances = self.trainer.config, self.trainer.generator.distances(output.codes.float())
        return {
            "classes": config.lambda_classes * losses.cross_entropy(output.classes, labels),
            "embedding": config.lambda_embedding * losses.cross_entropy(-distances, labels),
        }

    def discriminator_terms(self, real: DiscriminatorOutput, labels: Tensor, edits: "EditedBatch") -> dict[str, Tensor]:
        """Tell real faces from edits, classify real faces, predict the codes of edits."""
        config = self.trainer.config
        fake = self.trainer.discriminator(random_views(edits.edited.detach(), edits.views[1]))
        real_logit = conditional_logit(real.conditional, F.one_hot(labels, 7).float())
        fake_logit = conditional_logit(fake.conditional, edits.shares)
        adversarial = losses.discriminator_adversarial
        return {
            "discriminator": adversarial(real.patches.float(), fake.patches.float()),
            "discriminator_conditional": config.lambda_conditional * adversarial(real_logit, fake_logit),
            "codes": config.lambda_codes * losses.code_error(fake.codes, edits.codes.detach()),
        } | self.real_terms(real, labels)

    def generator_terms(self, edits: "EditedBatch") -> dict[str, Tensor]:
        """Look real, show the emotions of the code, differ where codes differ, and come back to the face when edited
        at its own code."""
        trainer, config = self.trainer, self.trainer.config
        output = trainer.discriminator(random_views(edits.edited, edits.views[2]))
        returned, _, _ = trainer.generator(edits.edited, edits.own_codes)
        conditional = conditional_logit(output.conditional, edits.shares)
        at_centres = edits.near * losses.divergence(output.classes, edits.shares)
        terms = {
            "generator": config.lambda_adversarial * losses.generator_adversarial(output.patches.float()),
            "conditional": config.lambda_conditional * losses.generator_adversarial(conditional),
            "cycle": config.lambda_cycle * losses.absolute_error(returned, edits.images),
            "identity": config.lambda_identity * losses.absolute_error(edits.kept, edits.keeping),
            "agreement": config.lambda_agreement * losses.agreement(output.classes, edits.distances),
            "centres": config.lambda_centres * losses.mean(at_centres),
            "recovered": config.lambda_recovered * losses.code_error(output.codes, edits.codes.detach()),
            "diversity": config.lambda_diversity * losses.mean(edits.too_alike(config.diversity, config.neighbourhood)),
        }
        if trainer.guides:
            predicted = trainer.guides(random_views(edits.edited, edits.views[2], turned=True))
            lacking = [losses.beyond_margin(logits, edits.shares, config.guide_margin) for logits in predicted]
            terms["guides"] = config.lambda_guides * torch.stack(lacking).mean()
        return terms


class EditedBatch:
    """A batch of faces and the generator's edits of them.

    images, edited: float [B,C,S,S]; codes: float [B,2], of the edits; own_codes: float [B,2], predicted from the
    images; distances: float [B,7], of the codes; shares: float [B,7], the emotions that the edits are to show; near:
    bool [B], whether this is one emotion; second: [few,C,S,S], the edits of the batch's first quarter at `other_codes`
    [few,2] of their emotions; kept: [few,C,S,S], those of its last quarter, `keeping`, at their own codes; views: see
    EditPlan.
    """

    def __init__(self, trainer: Trainer, images: Tensor, labels: Tensor, plan: EditPlan) -> None:
        whole, here = trainer.config.batch_size, len(images)
        few = -(-whole // 4)
        first, last = rows_before(few), here - rows_before(whole - few)
        targets = torch.where(plan.emotions < 0, labels, plan.emotions)
        half_width = trainer.config.neighbourhood
        self.codes = near_codes(trainer.generator, targets, plan.near, half_width * plan.offsets, plan.offsets)
        offsets = half_width * plan.offsets2
        others = near_codes(trainer.generator, targets, plan.near, offsets, plan.offsets + offsets)[:first]
        with torch.no_grad():
            self.own_codes = trainer.discriminator(images).codes.float().clamp(-1, 1)
        sources = torch.cat([images, images[:first], images[here - last :]])
        codes = torch.cat([self.codes, others, self.own_codes[here - last :]])
        edited, distances, _ = trainer.generator(sources, codes)
        self.images, self.near, self.views = images, plan.near, plan.views
        self.keeping = images[here - last :]
        self.edited, self.second, self.kept = edited.split([here, first, last])
        self.distances, self.other_codes, self.own = distances[:here], others, plan.near & (targets == labels)
        mixture = (-self.distances.detach()).softmax(-1)
        self.shares = torch.where(plan.near[:, None], F.one_hot(targets, 7).float(), mixture)

    def too_alike(self, wanted: float, half_width: float) -> Tensor:
        """How much edits of one face and emotion fall short of differing from each other, and those that show the
        face's own emotion of differing from the face: [few+B]."""
        few = len(self.second)
        change = losses.local_change(self.edited[:few], self.second)
        alike = losses.too_alike(change, self.codes[:few].detach(), self.other_codes.detach(), wanted, half_width)
        unchanged = (wanted - losses.local_change(self.edited, self.images)).relu() / max(wanted, 1e-6)
        return torch.cat([alike, self.own * unchanged])


def rows_before(end: int) -> int:
    """How many of this process's rows of a batch are among its first `end`."""
    return len(torch.arange(end)[shard_of(end).rows])


def near_codes(generator: Generator, targets: Tensor, near: Tensor, offsets: Tensor, free_codes: Tensor) -> Tensor:
    """Codes float [B,2]: where `near`, the centre of the target moved by offsets [B,2], with gradients to the centres;
    elsewhere the free codes [B,2]."""
    return torch.where(near[:, None], generator.centres()[targets] + offsets, free_codes).clamp(-1, 1)
