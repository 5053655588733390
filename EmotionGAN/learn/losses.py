"""The game's losses, each a small function of what the critic and the generator say.

GANmut (CVPR 2021), section 3, with logistic adversarial losses (Goodfellow et al., 2014, non-saturating) instead of
Wasserstein's and R1 (Mescheder et al., 2018) instead of the gradient penalty; see learn.py for the weights.

Each loss is the mean over the whole batch, of which every process has its rows, B here; of some pieces of a batch a
process may have none. Its gradient is that of these rows' share in it.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from core_code.core_utils.distributed.data_parallel import global_mean
from EmotionGAN.networks.discriminator import Discriminator


def mean(values: Tensor) -> Tensor:
    """Values [B,...] -> scalar."""
    return global_mean(values.mean(), len(values))


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Logits [B,7] and int64 [B] -> scalar."""
    return global_mean(F.cross_entropy(logits.float(), labels), len(labels))


def absolute_error(made: Tensor, meant: Tensor) -> Tensor:
    """Mean absolute difference (L1) of made images and what was meant, both [B,C,S,S] -> scalar."""
    return global_mean(F.l1_loss(made.float(), meant), len(made))


def discriminator_adversarial(real: Tensor, fake: Tensor) -> Tensor:
    """Patch logits [B,P] of real and made faces -> scalar: real up, made down."""
    return mean(F.softplus(-real)) + mean(F.softplus(fake))


def generator_adversarial(fake: Tensor) -> Tensor:
    """Patch logits [B,P] of made faces -> scalar: made up."""
    return mean(F.softplus(-fake))


def genuine_as(genuine: Tensor, shares: Tensor) -> Tensor:
    """The critic's logits per emotion [B,7], weighed by how much of each is meant, [B,7] in 0..1 -> [B,1]."""
    return (genuine.float() * shares).sum(dim=1, keepdim=True)


def r1_penalty(critic: Discriminator, images: Tensor, shares: Tensor) -> Tensor:
    """Squared gradient, at real images [B,C,S,S] of emotions `shares` [B,7], of the mean patch logit and the logit of
    being genuine -> scalar.

    Of the patches' mean, not the sum: the gradient of the sum grows with the number of patches and silences the
    critic.
    """
    images = images.detach().float().requires_grad_()
    verdict = critic(images)
    score = verdict.patches.mean(dim=1) + genuine_as(verdict.genuine, shares)[:, 0]
    (gradient,) = torch.autograd.grad(score.sum(), images, create_graph=True)
    return mean(gradient.square().sum(dim=(1, 2, 3)))


def agreement(class_logits: Tensor, distances: Tensor) -> Tensor:
    """KL both ways between the critic's classes and softmax(-distances), both [B,7] -> scalar (GANmut, eq. 5)."""
    read = class_logits.float().log_softmax(-1)
    meant = (-distances).log_softmax(-1)
    return mean(((read.exp() - meant.exp()) * (read - meant)).sum(-1))


def code_error(read: Tensor, codes: Tensor) -> Tensor:
    """Mean squared error of the codes [B,2] that the critic reads off made faces -> scalar."""
    return global_mean(F.mse_loss(read.float(), codes), len(codes))
