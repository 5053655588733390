"""Two warm-ups before the game: what the mean faces of emotions look like, and what a first edit should be.

From random weights the game alone paints mush for hours. The expression warm-up teaches the generator, by plain
regression, to keep the face and to lay over it the difference between the mean faces of two emotions.
"""

import torch
from torch import Tensor


def mean_faces(faces: Tensor, labels: Tensor) -> Tensor:
    """The mean of each emotion's faces, contrast-normalised and made symmetric.

    faces: float [N,H,W] in [-1,1]; labels: int64 [N] in 0..6. Returns float [7,H,W] in units of a face's standard
    deviation; an emotion without faces gets the mean of all.
    """
    means = []
    for emotion in range(7):
        shown = labels == emotion
        own = faces[shown] if shown.any() else faces
        own = (own - own.mean(dim=(1, 2), keepdim=True)) / own.std(dim=(1, 2), keepdim=True).clamp_min(0.01)
        mean = own.mean(dim=0)
        means.append((mean + mean.flip(-1)) / 2)
    return torch.stack(means)


def overlay(images: Tensor, labels: Tensor, weights: Tensor, means: Tensor, amplitude: float) -> Tensor:
    """Each image plus `amplitude` times the difference between the meant and its own mean face.

    images: float [B,C,S,S] in [-1,1]; labels: int64 [B], what each shows; weights: float [B,7], how much of each
    emotion is meant; means: float [7,S,S] from mean_faces. Returns images of the same shape, clipped to [-1,1].
    """
    meant = torch.einsum("be,ehw->bhw", weights, means)
    contrast = images.std(dim=(1, 2, 3))[:, None, None]
    change = amplitude * contrast * (meant - means[labels])
    return (images + change[:, None]).clamp(-1, 1)
