"""What a first edit should be: the face, changed as faces of its pose and light differ between two emotions.

From random weights the game alone paints mush for hours. The expression warm-up teaches the generator by plain
regression first: its target for a face is the face plus the difference between what faces like it look like, on the
mean, with the wanted emotion and with its own.
"""

import torch
from torch import Tensor

RIDGE = 5e4  # in faces times a component's variance: a few hundred faces are half trusted


class ExpectedFaces:
    """What a face is expected to look like at each emotion, given its pose, light and framing.

    Those three are what the leading principal components of contrast-normalised faces hold. For each emotion the whole
    face is regressed linearly on them, over the training faces and their mirror images, so that the expected mouth lies
    where this face's mouth is.

    images: float [N,1,S,S] in [-1,1]; labels: int64 [N] in 0..6. An emotion without faces is taken for all of them.
    """

    def __init__(self, images: Tensor, labels: Tensor, components: int = 12) -> None:
        faces = standardise(torch.cat([images, images.flip(-1)])).flatten(1)
        labels = torch.cat([labels, labels])
        self.mean = faces.mean(dim=0)
        centred = faces - self.mean
        _, vectors = torch.linalg.eigh(centred.T @ centred)
        self.axes = vectors[:, -components:]
        known = self.describe(faces)
        everyone = torch.linalg.pinv(known.T @ known, hermitian=True) @ (known.T @ faces)
        rest = faces - known @ everyone
        held = torch.full((components + 1,), RIDGE, device=faces.device)
        held[-1] = 0  # the emotion's mean face is free; what pose and light add to it is held near everyone's
        weights = []
        for emotion in range(7):
            own = labels == emotion
            own = own if own.any() else torch.ones_like(own)
            weights.append(
                everyone + torch.linalg.solve(known[own].T @ known[own] + held.diag(), known[own].T @ rest[own])
            )
        self.weights = torch.stack(weights)

    def describe(self, faces: Tensor) -> Tensor:
        """Contrast-normalised faces [B,S*S] -> their leading components, and a one: [B,components+1]."""
        return torch.cat([(faces - self.mean) @ self.axes, torch.ones_like(faces[:, :1])], dim=1)

    def __call__(self, images: Tensor) -> Tensor:
        """Images float [B,1,S,S] in [-1,1] -> the expected face at each emotion, [B,7,S,S], in units of a face's
        standard deviation."""
        known = self.describe(standardise(images).flatten(1))
        return torch.einsum("bc,ecp->bep", known, self.weights).unflatten(2, images.shape[2:])


def standardise(images: Tensor) -> Tensor:
    """Each image [B,1,S,S] with mean 0 and standard deviation 1."""
    centred = images - images.mean(dim=(1, 2, 3), keepdim=True)
    return centred / contrast(images)


def contrast(images: Tensor) -> Tensor:
    """The standard deviation of each image [B,1,S,S]: float [B,1,1,1]."""
    return images.std(dim=(1, 2, 3), keepdim=True).clamp_min(0.01)


def overlay(images: Tensor, labels: Tensor, weights: Tensor, expected: Tensor, amplitude: float) -> Tensor:
    """Each image plus `amplitude` times the difference between the meant and the own expected face.

    images: float [B,1,S,S] in [-1,1]; labels: int64 [B], what each shows; weights: float [B,7], how much of each
    emotion is meant; expected: float [B,7,S,S] from ExpectedFaces. Returns images of the same shape, clipped to [-1,1].
    """
    meant = torch.einsum("be,behw->bhw", weights, expected)
    own = expected[torch.arange(len(labels)), labels]
    return (images + amplitude * contrast(images) * (meant - own)[:, None]).clamp(-1, 1)
