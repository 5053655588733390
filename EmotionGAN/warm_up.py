"""What a first edit should be: the face, changed as faces like it differ between two emotions.

From random weights the game alone paints mush for hours. The expression warm-up teaches the generator by plain
regression first. Its target for a face is made of the face's neighbours: the mean of the most similar faces that show
the wanted emotion, minus the mean of the most similar faces that show its own. Neighbours share pose, light and
framing, so the difference is an expression that lies where this face's mouth and eyes are.
"""

import torch
from torch import Tensor


class Neighbours:
    """The training faces as a place to look up, for any face, the mean of the faces most like it, by emotion.

    images: float [N,1,S,S] in [-1,1]; labels: int64 [N] in 0..6. Similarity is the distance between the leading
    principal components of contrast-normalised faces. An emotion with fewer than `count` faces gives the mean of all
    that it has; one without any gives the mean of all faces.
    """

    def __init__(self, images: Tensor, labels: Tensor, count: int = 120, components: int = 10, seed: int = 0) -> None:
        self.faces = standardise(images).flatten(1)
        self.count = count
        self.mean = self.faces.mean(dim=0)
        draws = torch.Generator().manual_seed(seed)
        fitted = self.faces[torch.randperm(len(self.faces), generator=draws)[:5000].to(images.device)] - self.mean
        _, vectors = torch.linalg.eigh(fitted.T @ fitted)
        self.axes = vectors[:, -components:]
        self.places = (self.faces - self.mean) @ self.axes
        everyone = torch.arange(len(labels), device=labels.device)
        self.members = [own if len(own := everyone[labels == emotion]) else everyone for emotion in range(7)]

    def means(self, images: Tensor) -> Tensor:
        """The mean neighbour of each image at each emotion, in units of a face's standard deviation.

        images: float [B,1,S,S] in [-1,1]. Returns float [B,7,S,S]. A face is not its own neighbour.
        """
        faces = standardise(images).flatten(1)
        places = (faces - self.mean) @ self.axes
        means = []
        for members in self.members:
            distances = torch.cdist(places, self.places[members])
            distances = distances.masked_fill(distances < 1e-3, torch.inf)
            nearest = distances.topk(min(self.count, len(members)), largest=False).indices
            means.append(self.faces[members[nearest]].mean(dim=1))
        return torch.stack(means, dim=1).unflatten(2, images.shape[2:])


def standardise(images: Tensor) -> Tensor:
    """Each image [B,1,S,S] with mean 0 and standard deviation 1."""
    centred = images - images.mean(dim=(1, 2, 3), keepdim=True)
    return centred / contrast(images)


def contrast(images: Tensor) -> Tensor:
    """The standard deviation of each image [B,1,S,S]: float [B,1,1,1]."""
    return images.std(dim=(1, 2, 3), keepdim=True).clamp_min(0.01)


def overlay(images: Tensor, labels: Tensor, weights: Tensor, means: Tensor, amplitude: float) -> Tensor:
    """Each image plus `amplitude` times the difference between its meant and its own mean neighbour.

    images: float [B,1,S,S] in [-1,1]; labels: int64 [B], what each shows; weights: float [B,7], how much of each
    emotion is meant; means: float [B,7,S,S] from Neighbours. Returns images of the same shape, clipped to [-1,1].
    """
    meant = torch.einsum("be,behw->bhw", weights, means)
    own = means[torch.arange(len(labels)), labels]
    return (images + amplitude * contrast(images) * (meant - own)[:, None]).clamp(-1, 1)
