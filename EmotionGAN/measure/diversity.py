"""How much augmentations differ from the face and from each other, in grey levels and in a classifier's features."""

from itertools import combinations

import torch
from torch import Tensor
from torch.nn.functional import normalize
from tqdm import tqdm

from EmotionGAN.measure.face_sets import FaceSet
from EmotionGAN.measure.judges import Judge
from EmotionGAN.measure.summary import Metric, mean_summary, summarise

AT_ONCE = 256


def diversity_figures(faces: FaceSet, augmentations: Tensor, judges: list[Judge], seed: int) -> dict[str, Metric]:
    """Four figures of augmentations uint8 [N,K,H,W], K at least 2, each beside the difference between a real face and
    another one of its emotion: the mean absolute difference of pixels (0..255) and the cosine distance of features
    (mean of the judges), to the original and between each two augmentations of a face."""
    to_face, to_each_other = pixel_differences(faces.faces, augmentations)
    partners = same_emotion(faces.labels, seed)
    between_faces = pixel_differences(faces.faces, faces.faces[partners][:, None])[0]
    labels, groups = faces.labels, faces.groups()
    figures = {
        name: Metric(title, summarise(values, labels, groups), summarise(between_faces, labels, groups), percent=False)
        for name, title, values in (
            ("l1_to_original", "augmentations: L1 to the original", to_face),
            ("l1_to_each_other", "augmentations: L1 to each other", to_each_other),
        )
    }
    rows: dict[str, list] = {"original": [], "each_other": [], "real": []}
    for one in judges:
        own = normalize(one.predict(faces.faces)[1], dim=1)
        others = normalize(one.predict(augmentations.flatten(0, 1))[1], dim=1).view(*augmentations.shape[:2], -1)
        rows["original"].append(summarise(1 - (own[:, None] * others).sum(2).mean(1), labels, groups))
        rows["each_other"].append(summarise(mean_cosine_distance(others), labels, groups))
        rows["real"].append(summarise(1 - (own * own[partners]).sum(1), labels, groups))
    for name, title in (("original", "the original"), ("each_other", "each other")):
        figures[f"features_to_{name}"] = Metric(
            f"augmentations: cosine distance of features to {title}",
            mean_summary(rows[name]), mean_summary(rows["real"]), percent=False,
        )  # fmt: skip
    return figures


def pixel_differences(faces: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """Mean absolute differences of each face uint8 [N,H,W] to its others uint8 [N,K,H,W], and of each two of its
    others: two float [N] (the second NaN where K is 1)."""
    to_face, between = [], []
    pairs = list(combinations(range(others.shape[1]), 2))
    batches = list(zip(faces.split(AT_ONCE), others.split(AT_ONCE), strict=True))
    for batch, rest in tqdm(batches, desc="comparing pixels", unit="batch", leave=False, delay=2):
        rest = rest.flatten(2).float()
        to_face.append((rest - batch.flatten(1).float()[:, None]).abs().mean((1, 2)))
        differences = [(rest[:, a] - rest[:, b]).abs().mean(1) for a, b in pairs]
        between.append(torch.stack(differences).mean(0) if pairs else torch.full((len(batch),), torch.nan))
    return torch.cat(to_face), torch.cat(between)


def mean_cosine_distance(features: Tensor) -> Tensor:
    """The mean over each two of K features of unit length, float [N,K,D] -> [N]: the squared length of their sum is
    K plus twice the sum of their cosines."""
    count = features.shape[1]
    return 1 - (features.sum(1).square().sum(1) - count) / (count * (count - 1))


def same_emotion(labels: Tensor, seed: int) -> Tensor:
    """For each face a random other one of its emotion (itself, where it is the only one): int64 [N]."""
    rng, partners = torch.Generator().manual_seed(seed), torch.arange(len(labels))
    for emotion in labels.unique():
        rows = (labels == emotion).nonzero()[:, 0]
        order = rows[torch.randperm(len(rows), generator=rng)]
        partners[order] = order.roll(1)
    return partners
