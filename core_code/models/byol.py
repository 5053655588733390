"""BYOL: learning a representation without labels, by predicting one view of a face from the other.

J.-B. Grill et al., "Bootstrap your own latent", 2020, https://arxiv.org/abs/2006.07733.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core_code.models.emotion_net import EmotionNet

HIDDEN = 1024
PROJECTED = 256
EMA_DECAY = 0.99  # of the target's weights (tau in the paper)


class MLP(nn.Sequential):
    """linear, batch norm, ReLU, linear: float [B,inputs] -> float32 [B,256].

    Computed in float32 under autocast too: it costs next to nothing, and bfloat16 cannot tell apart faces whose
    features differ by less than a part in 256, which batch norm is there to tell apart.
    """

    def __init__(self, inputs: int) -> None:
        super().__init__(
            nn.Linear(inputs, HIDDEN), nn.BatchNorm1d(HIDDEN), nn.ReLU(inplace=True), nn.Linear(HIDDEN, PROJECTED)
        )

    def forward(self, vectors: Tensor) -> Tensor:
        with torch.autocast(vectors.device.type, enabled=False):
            return super().forward(vectors.float())


class Encoder(EmotionNet):
    """EmotionNet without its head, views -> features, and the `projection` of the features.

    With `frozen_backbone` the projection alone learns.
    """

    def __init__(self, name: str, frozen_backbone: bool = False) -> None:
        super().__init__(name, head_only=frozen_backbone)
        self.drop_head()
        self.projection = MLP(self.architecture.features)


class Comparison(NamedTuple):
    """Two views of B faces compared: the loss (a scalar); features [2B,F], projections float32 [2B,256]."""

    loss: Tensor
    features: Tensor
    projections: Tensor


class BYOL(Encoder):
    """The online encoder with its `prediction`, and the `target` that it predicts.

    The online backbone's parameters are named `nn_model.*`, as EmotionNet's, so that EmotionNet starts from a
    checkpoint of this. The target begins as a copy of the online encoder and never gets a gradient.
    """

    def __init__(self, name: str, frozen_backbone: bool = False) -> None:
        super().__init__(name, frozen_backbone)
        self.prediction = MLP(PROJECTED)
        self.target = Encoder(name, frozen_backbone).requires_grad_(False)
        self.copy_to_target()

    def load_backbone_state(self, state: dict[str, Tensor], source: str) -> None:
        """As EmotionNet's, for the target too."""
        super().load_backbone_state(state, source)
        self.copy_to_target()

    def copy_to_target(self) -> None:
        """Start the target where the online encoder is."""
        online = self.state_dict()
        self.target.load_state_dict({name: online[name] for name in self.target.state_dict()})

    @torch.no_grad()
    def update_target(self) -> None:
        """Move each of the target's parameters by a hundredth of the way to the online one's, in float32.

        The batch norms' running statistics are not averaged: the target measures its own, on the batches that pass
        through it, because they must fit its own weights.
        """
        online = dict(self.named_parameters())
        for name, averaged in self.target.named_parameters():
            averaged.lerp_(online[name], 1 - EMA_DECAY)

    def compare(self, views: Tensor) -> Comparison:
        """views float [2B,3,S,S]: one view of each face, then the other of each.

        All go through the nets as one batch, with common batch statistics.
        """
        features = self(views)
        projections = self.projection(features)
        predictions = self.prediction(projections)
        with torch.no_grad():
            targets = self.target.projection(self.target(views))
        return Comparison(symmetric_loss(predictions, targets), features, projections)


def symmetric_loss(predictions: Tensor, targets: Tensor) -> Tensor:
    """Negative cosine between the prediction from each view and the target of the other, -1 (equal) to 1.

    Both float [2B,D], the first views' rows before the second views'. Returns the mean over faces and both
    directions; the paper's equation 2 is 2 + 2 times it.
    """
    first, second = targets.chunk(2)
    return -F.cosine_similarity(predictions, torch.cat([second, first]), dim=1).mean()


def feature_std(vectors: Tensor) -> float:
    """The std of l2-normalised vectors float [N,D]: 0 when all point alike, 1 when evenly into all directions.

    The mean over the dimensions, times sqrt(D), as in X. Chen and K. He, "Exploring simple Siamese representation
    learning", 2021, section 4.1. It cannot exceed 1; features behind a ReLU, all in one orthant, stay well below.
    """
    units = F.normalize(vectors.float(), dim=1)
    return units.std(0, correction=0).mean().item() * units.shape[1] ** 0.5


def effective_rank(vectors: Tensor) -> float:
    """How many directions vectors float [N,D] differ in: 1 when all lie on one line, D when evenly in all directions.

    The exponential of the entropy of the shares that the principal components of the standardised dimensions have in
    the variance (O. Roy and M. Vetterli, "The effective rank", 2007). The std is blind to this: that of vectors along
    one line, half of them at either end, is large.
    """
    vectors = vectors.cpu().double()  # MPS has no float64
    centred = vectors - vectors.mean(0)
    scales = centred.square().mean(0).sqrt()
    standardised = centred[:, scales > 0] / scales[scales > 0]
    count, dimensions = standardised.shape
    products = standardised.T @ standardised if dimensions <= count else standardised @ standardised.T
    variances = torch.linalg.eigvalsh(products).clamp(min=0)
    if not variances.sum() > 0:
        return 0.0
    shares = variances / variances.sum()
    return torch.special.entr(shares).sum().exp().item()
