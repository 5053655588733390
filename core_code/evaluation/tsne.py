"""How a net's features tell the emotions apart: a t-SNE map of faces, and silhouette scores.

python -m core_code.evaluate --net_name resnet18 --exp_names Baseline --tsne True --tsne_on val
"""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from core_code.core_utils.emotions import EMOTIONS
from core_code.core_utils.errors import InputError
from core_code.core_utils.plots.evaluation import plot_map
from core_code.datasets.augmentations.store import Augmentations
from core_code.datasets.fer2013 import FER2013
from core_code.datasets.labelled_faces import LabelledFaces
from core_code.datasets.loader import FaceBatches
from core_code.evaluation.settings import EvaluationSettings
from core_code.training.inference import Trained, predict

MOST_FACES = 2000
FEWEST_FACES = 10
COMPONENTS = 50
PERPLEXITY = 30


class SomeFaces(LabelledFaces):
    """Faces uint8 [N,48,48] and their labels int64 [N], chosen from a data set."""

    def __init__(self, faces: torch.Tensor, labels: torch.Tensor) -> None:
        self.faces, self.labels = faces, labels


class FeatureMap(NamedTuple):
    """points: float [N,2]. The silhouettes, of the features and of the points, are in [-1,1]; None where fewer than
    two labels occur (or each face has its own)."""

    points: np.ndarray
    silhouette: float | None
    silhouette_on_map: float | None

    def __str__(self) -> str:
        values = (f"{'-' if value is None else f'{value:.3f}'}" for value in (self.silhouette, self.silhouette_on_map))
        return "silhouette {} in the features; {} on this map".format(*values)


def faces_to_map(settings: EvaluationSettings) -> SomeFaces:
    """At most 2,000 random faces of `tsne_on`, the same for the same seed; an augmentation has its original's label.

    Raises InputError for data that cannot be read and for fewer than 10 faces.
    """
    on = settings.tsne_on
    split, max_faces = ("val", None) if on == "val" else ("train", settings.max_faces)
    data = FER2013(settings.data_root, split, settings.dataset, max_faces)
    faces, labels = data.faces, data.labels
    if on == "augmentations":
        store = Augmentations.open(settings.augmentations_folder, data)
        faces, labels = store.images, labels.repeat_interleave(store.first.diff())
    if len(faces) < FEWEST_FACES:
        raise InputError(f"--tsne_on {on}: {len(faces)} faces, expected {FEWEST_FACES} or more")
    order = torch.randperm(len(faces), generator=torch.Generator().manual_seed(settings.seed))
    chosen = order[:MOST_FACES].sort().values
    return SomeFaces(faces[chosen], labels[chosen])


def map_features(features: np.ndarray, labels: np.ndarray, seed: int) -> FeatureMap:
    """t-SNE of features [N,F], which are first reduced to their 50 leading principal components.

    L. van der Maaten, G. Hinton, "Visualizing data using t-SNE", 2008. Perplexity 30, less for fewer than 91 faces.
    Silhouettes: P. Rousseeuw, 1987: 1 for tight groups far apart, 0 for mixed ones. Raises InputError for features that
    are not finite.
    """
    from sklearn.decomposition import PCA  # scikit-learn is slow to load, and few evaluations need it
    from sklearn.manifold import TSNE
    from sklearn.metrics import silhouette_score

    if not np.isfinite(features).all():
        raise InputError("the net's features are not all finite numbers, which t-SNE needs: try --precision fp32")
    reduced = PCA(min(COMPONENTS, *features.shape), svd_solver="full").fit_transform(features)
    perplexity = min(PERPLEXITY, (len(features) - 1) / 3)
    points = TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(reduced)
    if not 2 <= len(np.unique(labels)) < len(labels):
        return FeatureMap(points, None, None)
    return FeatureMap(points, *(float(silhouette_score(space, labels)) for space in (features, points)))


def draw_maps(
    settings: EvaluationSettings, nets: Mapping[str, Trained], data: SomeFaces
) -> tuple[dict[str, dict[str, float | None]], list[Path]]:
    """tsne_<net>_<exp>_<tsne_on>.png of each experiment; returns the silhouettes by experiment, and the paths.

    Raises InputError for features that are not finite.
    """
    batches = FaceBatches(data, settings.batch_size, settings.device)
    labels = data.labels.numpy()
    maps = {}
    for name, (net, size) in nets.items():
        backbone = copy.deepcopy(net).drop_head()
        features, _ = predict(backbone, batches, settings.image_size or size, settings.dtype, f"{name}, features")
        print(f"{name}: t-SNE of {features.shape[1]} features of {len(features)} faces ...", flush=True)
        try:
            maps[name] = map_features(features.double().numpy(), labels, settings.seed)
        except InputError as error:
            raise InputError(f"{settings.net_name}, {name}: {error}") from error
    paths = []
    for name, found in maps.items():
        path = settings.picture("tsne", f"{name}_{settings.tsne_on}")
        title = f"{settings.net_name}, {name}: t-SNE of {len(labels)} faces of {settings.tsne_on}\n{found}"
        paths.append(plot_map(found.points, labels, EMOTIONS, path, title))
    silhouettes = {
        name: {"silhouette": found.silhouette, "silhouette_on_map": found.silhouette_on_map}
        for name, found in maps.items()
    }
    return silhouettes, paths
