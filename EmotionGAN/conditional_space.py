"""Where each emotion lies in the plane of codes, and how to sample a code near it."""

from dataclasses import dataclass

import torch
from torch import Tensor

from core_code.core_utils.emotions import EMOTIONS
from EmotionGAN.networks.generator import Generator

PUBLISHED_CENTRES = {
    "Angry": (0.6, -0.9),
    "Disgust": (-0.7, -1.0),
    "Fear": (-0.25, -0.9),
    "Happy": (0.6, 0.4),
    "Sad": (-0.9, -0.6),
    "Surprise": (0.9, -0.45),
    "Neutral": (0.4, -0.5),
}


@dataclass(frozen=True)
class ConditionalSpace:
    """The seven emotions as points of [-1,1]^2, in the order of EMOTIONS.

    centres: float [7,2]. only_upward: the emotions whose neighbourhood is cut at the centre's y from below.
    """

    centres: Tensor
    only_upward: tuple[str, ...] = ()
    emotions: tuple[str, ...] = EMOTIONS

    @classmethod
    def published(cls) -> "ConditionalSpace":
        """The emotions' centres in GANmut's published gaussian checkpoint; Angry's box extends upward only."""
        return cls(torch.tensor([PUBLISHED_CENTRES[emotion] for emotion in EMOTIONS]), only_upward=("Angry",))

    @classmethod
    def of(cls, generator: Generator) -> "ConditionalSpace":
        """The centres that a generator has learned."""
        return cls(generator.centres().detach().float().cpu())

    def neighbourhoods(self, half_width: float) -> tuple[Tensor, Tensor]:
        """The lowest and highest corner of each emotion's box, clipped to the square: two float [7,2]."""
        low, high = self.centres - half_width, self.centres + half_width
        for emotion in self.only_upward:
            index = self.emotions.index(emotion)
            low[index, 1] = self.centres[index, 1]
        return low.clamp(-1, 1), high.clamp(-1, 1)

    def near(self, points: Tensor, uniforms: Tensor, half_width: float) -> Tensor:
        """The codes that uniform samples [M,2] of [0,1) select in the boxes around points [M,2], clipped to the square.

        Returns float32 [M,2].
        """
        low, high = (points - half_width).clamp(-1, 1), (points + half_width).clamp(-1, 1)
        return (low + uniforms * (high - low)).float()

    def codes(self, emotions: Tensor, uniforms: Tensor, half_width: float) -> Tensor:
        """The codes that uniform samples select in the emotions' neighbourhoods.

        emotions: int64 [M], labels in the order of EMOTIONS; uniforms: float [M,2] in [0,1); half_width in the
        units of the square. Returns float32 [M,2].
        """
        low, high = self.neighbourhoods(half_width)
        return (low[emotions] + uniforms * (high - low)[emotions]).float()
