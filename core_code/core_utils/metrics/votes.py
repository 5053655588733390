"""Votes of several models, over their logits."""

import torch
from torch import Tensor

from core_code.core_utils.choices import MEAN_VOTE, SUREST_VOTE


def surest_vote(logits: list[Tensor]) -> Tensor:
    """For each face the logits of the model that has the highest top logit, of equals the first. [N,C] -> [N,C]."""
    stacked = torch.stack(logits)
    surest = stacked.amax(2).argmax(0)
    return stacked[surest, torch.arange(stacked.shape[1], device=stacked.device)]


def mean_vote(logits: list[Tensor]) -> Tensor:
    """The logarithm of the mean of the models' softmaxes. [N,C] each -> [N,C]."""
    return torch.stack([one.double().softmax(1) for one in logits]).mean(0).log()


BY_NAME = {SUREST_VOTE: surest_vote, MEAN_VOTE: mean_vote}
