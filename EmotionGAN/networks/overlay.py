"""A first edit by linear regression: how faces of one pose and lighting differ between emotions.

From random weights, adversarial training alone yields blurred faces for hours. A generator with an overlay starts from
faces that already change their expression, and adversarial training corrects what a linear model cannot express.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

COMPONENTS = 64  # of contrast-normalised faces; what a face's emotion is predicted from
POSE_COMPONENTS = 12  # the leading ones: pose, lighting and framing
RIDGE = 5e4  # in faces times a component's variance: a few hundred faces are half trusted
CLASSIFIER_STEPS = 200


class Overlay(nn.Module):
    """Adds the expected face of the target emotion, given the pose, and subtracts that of the face's own emotion.

    `expected` holds, for each emotion, a linear regression of whole contrast-normalised faces on their leading
    principal components, so that the expected mouth lies where this face's mouth is. `reader` predicts the face's own
    emotion from more components (its name is part of saved state dicts). `fit` fits all of them in closed form (the
    reader by a few steps); adversarial training goes on from there. image_size is the side of the images.
    """

    mean: Tensor
    axes: Tensor
    scales: Tensor

    def __init__(self, image_size: int) -> None:
        super().__init__()
        pixels = image_size**2
        self.register_buffer("mean", torch.zeros(pixels))
        self.register_buffer("axes", torch.zeros(pixels, COMPONENTS))
        self.register_buffer("scales", torch.ones(COMPONENTS))
        self.expected = nn.Parameter(torch.zeros(7, POSE_COMPONENTS + 1, pixels))
        self.reader = nn.Linear(COMPONENTS, 7)
        self.amplitude = nn.Parameter(torch.tensor(4.0))

    def forward(self, images: Tensor, target: Tensor) -> Tensor:
        """images: float [B,C,S,S] in [-1,1]; target: float [B,7], shares of the emotions. Returns the change to be
        added to every channel, float [B,1,S,S]."""
        grey = images.float().mean(dim=1, keepdim=True)
        components = self.components(standardise(grey).flatten(1))
        shares = target - self.reader(components).softmax(-1)
        change = torch.einsum("be,bc,ecp->bp", shares, pose_and_one(components), self.expected)
        return self.amplitude * contrast(grey) * change.unflatten(1, grey.shape[1:])

    def components(self, faces: Tensor) -> Tensor:
        """Contrast-normalised faces [B,S*S] -> their principal components in units of each one's deviation, leading
        ones first: [B,COMPONENTS]."""
        return (faces - self.mean) @ self.axes / self.scales

    @torch.no_grad()
    def fit(self, images: Tensor, labels: Tensor) -> None:
        """Fit to training faces and their mirror images: float [N,1,S,S] in [-1,1], int64 [N] in 0..6. An emotion
        without faces is fitted to all faces."""
        faces = standardise(torch.cat([images, images.flip(-1)])).flatten(1)
        labels = torch.cat([labels, labels])
        self.mean.copy_(faces.mean(dim=0))
        centred = faces - self.mean
        values, vectors = torch.linalg.eigh(centred.T @ centred / len(faces))
        self.axes.copy_(vectors[:, -COMPONENTS:].flip(1))
        self.scales.copy_(values[-COMPONENTS:].flip(0).clamp_min(1e-6).sqrt())
        components = self.components(faces)
        self.expected.copy_(expected_faces(pose_and_one(components), faces, labels, self.scales[:POSE_COMPONENTS]))
        fit_classifier(self.reader, components, labels)


def pose_and_one(components: Tensor) -> Tensor:
    """The leading components and a constant: [B,POSE_COMPONENTS+1]."""
    return torch.cat([components[:, :POSE_COMPONENTS], torch.ones_like(components[:, :1])], dim=1)


def expected_faces(known: Tensor, faces: Tensor, labels: Tensor, scales: Tensor) -> Tensor:
    """For each emotion the regression of faces [N,P] on known [N,K+1]: float [7,K+1,P]. Least squares over all faces,
    plus each emotion's ridge regression of the residuals: its mean is free, the influence of pose is shrunk towards
    that of all faces."""
    shared = torch.linalg.pinv(known.T @ known, hermitian=True) @ (known.T @ faces)
    residuals = faces - known @ shared
    penalty = torch.cat([RIDGE / scales**2, torch.zeros_like(scales[:1])]).diag()
    weights = []
    for emotion in range(7):
        own = labels == emotion
        own = own if own.any() else torch.ones_like(own)
        weights.append(shared + torch.linalg.solve(known[own].T @ known[own] + penalty, known[own].T @ residuals[own]))
    return torch.stack(weights)


@torch.enable_grad()
def fit_classifier(classifier: nn.Linear, components: Tensor, labels: Tensor) -> None:
    """Logistic regression of the labels on the components, from zero weights."""
    nn.init.zeros_(classifier.weight)
    nn.init.zeros_(classifier.bias)
    adam = torch.optim.Adam(classifier.parameters(), 0.05)
    for _ in range(CLASSIFIER_STEPS):
        adam.zero_grad()
        F.cross_entropy(classifier(components), labels).backward()
        adam.step()


def standardise(images: Tensor) -> Tensor:
    """Each image [B,1,S,S] with mean 0 and standard deviation 1."""
    return (images - images.mean(dim=(1, 2, 3), keepdim=True)) / contrast(images)


def contrast(images: Tensor) -> Tensor:
    """The standard deviation of each image [B,1,S,S]: float [B,1,1,1]."""
    return images.std(dim=(1, 2, 3), keepdim=True).clamp_min(0.01)
