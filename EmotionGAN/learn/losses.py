"""The losses of adversarial training, each a small function of what the two networks return.

GANmut (CVPR 2021), section 3, with logistic adversarial losses (Goodfellow et al., 2014, non-saturating) instead of
Wasserstein's and R1 (Mescheder et al., 2018) instead of the gradient penalty; config.py holds the weights;
steps.py sums them up: discriminator_terms, generator_terms.

Each loss is the mean over the whole batch, of which every process has B rows; a process may have none. Its gradient is
that of these rows' share of the mean.
"""

from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor

from core_code.core_utils.distributed.data_parallel import global_mean
from EmotionGAN.networks.discriminator import Discriminator


def total(terms: dict[str, Tensor]) -> Tensor:
    """The sum of the terms of a loss -> scalar."""
    return reduce(torch.add, terms.values())


def mean(values: Tensor) -> Tensor:
    """Values [B,...] -> scalar."""
    return global_mean(values.mean(), len(values))


def cross_entropy(logits: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
    """Logits [B,7] and int64 [B] -> scalar."""
    return global_mean(F.cross_entropy(logits.float(), labels, label_smoothing=smoothing), len(labels))


def absolute_error(images: Tensor, targets: Tensor) -> Tensor:
    """Mean absolute difference (L1) of images and targets, both [B,C,S,S] -> scalar."""
    return global_mean(F.l1_loss(images.float(), targets), len(images))


def discriminator_adversarial(real: Tensor, fake: Tensor) -> Tensor:
    """Logits [B,P] of real and generated faces -> scalar: real up, generated down."""
    return mean(F.softplus(-real)) + mean(F.softplus(fake))


def generator_adversarial(fake: Tensor) -> Tensor:
    """Logits [B,P] of generated faces -> scalar: up."""
    return mean(F.softplus(-fake))


def conditional_logit(conditional: Tensor, shares: Tensor) -> Tensor:
    """The discriminator's logits for each emotion, [B,7], weighted by the shares of the emotions [B,7] -> [B,1]."""
    return (conditional.float() * shares).sum(dim=1, keepdim=True)


def r1_penalty(discriminator: Discriminator, images: Tensor, shares: Tensor) -> Tensor:
    """Squared gradient, at real images [B,C,S,S] of emotions `shares` [B,7], of the mean patch logit plus the
    conditional logit -> scalar.

    Of the patches' mean, not their sum: the gradient of the sum grows with the number of patches, and the penalty then
    dominates the discriminator's loss.
    """
    images = images.detach().float().requires_grad_()
    output = discriminator(images)
    score = output.patches.mean(dim=1) + conditional_logit(output.conditional, shares)[:, 0]
    (gradient,) = torch.autograd.grad(score.sum(), images, create_graph=True)
    return mean(gradient.square().sum(dim=(1, 2, 3)))


def agreement(class_logits: Tensor, distances: Tensor) -> Tensor:
    """KL both ways between the discriminator's classes and softmax(-distances), [B,7] each -> scalar (eq. 5)."""
    predicted = class_logits.float().log_softmax(-1)
    target = (-distances).log_softmax(-1)
    return mean(((predicted.exp() - target.exp()) * (predicted - target)).sum(-1))


def divergence(class_logits: Tensor, shares: Tensor) -> Tensor:
    """KL from the wanted shares of the emotions [B,7] to a classifier's softmax [B,7] -> [B]; for one emotion, the
    cross entropy."""
    logs = class_logits.float().log_softmax(-1)
    return (torch.xlogy(shares, shares) - shares * logs).sum(-1)


def beyond_margin(class_logits: Tensor, shares: Tensor, margin: float) -> Tensor:
    """By how much the divergence exceeds the margin -> scalar."""
    return mean((divergence(class_logits, shares) - margin).relu())


def local_change(images: Tensor, others: Tensor) -> Tensor:
    """Mean absolute difference of images [B,C,S,S], less its local mean -> [B]. So other lighting is no difference."""
    difference = images.float() - others.float()
    side = difference.shape[-1] // 4 * 2 + 1
    smooth = F.avg_pool2d(difference, side, 1, side // 2, count_include_pad=False)
    return (difference - smooth).abs().mean(dim=(1, 2, 3))


def too_alike(change: Tensor, codes: Tensor, others: Tensor, wanted: float, half_width: float) -> Tensor:
    """By how much the change [B] between edits at two codes [B,2] falls short of what is wanted -> [B].

    `wanted` is meant for codes as far apart as two random ones of a box of this half-width are on average, and is in
    proportion to the distance (Mao et al., "Mode Seeking GANs", CVPR 2019, with a bound).
    """
    usual = max(2 * half_width * 0.5214, 1e-6)  # the mean distance of two points of the unit square
    return (wanted * (codes - others).norm(dim=1) / usual - change).relu() / max(wanted, 1e-6)


def code_error(predicted: Tensor, codes: Tensor) -> Tensor:
    """Mean squared error of the codes [B,2] that the discriminator predicts for generated faces -> scalar."""
    return global_mean(F.mse_loss(predicted.float(), codes), len(codes))
