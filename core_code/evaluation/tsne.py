"""How a net's features tell the emotions apart: a t-SNE map of faces, and silhouette scores."""

import copy
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

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
SAME = 1e-6  # of the largest feature: those that differ by less are equal but for rounding
Silhouettes = dict[str, float | None]


def faces_to_map(settings: EvaluationSettings) -> LabelledFaces:
    """At most 2,000 random faces of `tsne_on`, the same for the same seed; an augmentation has its original's label.

    Raises InputError for data that cannot be read and for fewer than 10 faces.
    """
    on = settings.tsne_on
    split, max_faces = ("val", None) if on == "val" else ("train", settings.max_faces)
    data = FER2013(settings.data_root, split, settings.dataset, max_faces)
    faces: LabelledFaces = data
    if on == "augmentations":
        store = Augmentations.open(settings.augmentations_folder, data)
        faces = LabelledFaces(store.images, data.labels.repeat_interleave(store.first.diff()), data.emotions)
    if len(faces) < FEWEST_FACES:
        raise InputError(f"--tsne_on {on}: {len(faces)} faces, expected {FEWEST_FACES} or more")
    order = torch.randperm(len(faces), generator=torch.Generator().manual_seed(settings.seed))
    return faces.subset(order[:MOST_FACES].sort().values)


def map_features(features: np.ndarray, labels: np.ndarray, seed: int) -> tuple[np.ndarray, Silhouettes]:
    """t-SNE of features [N,F], first reduced to their 50 leading principal components: points [N,2], and silhouettes.

    L. van der Maaten, G. Hinton, "Visualizing data using t-SNE", 2008. Perplexity 30, less for fewer than 91 faces.
    Silhouettes of the features and of the points, in [-1,1] (P. Rousseeuw, 1987): 1 for tight groups far apart, 0 for
    mixed ones; None where fewer than two labels occur, or each face has its own. Raises InputError for features that
    are not finite, or the same for all faces.
    """
    from sklearn.decomposition import PCA  # scikit-learn is slow to load, and few evaluations need it
    from sklearn.manifold import TSNE
    from sklearn.metrics import silhouette_score

    largest_std = features.std(axis=0).max()
    if not np.isfinite(largest_std):
        raise InputError("the net's features are not all finite numbers, which t-SNE needs: try --precision fp32")
    if not largest_std > SAME * np.abs(features).max():
        raise InputError("the net's features are the same for all faces: it has collapsed, and there is nothing to map")
    # t-SNE computes in float32 and crashes where differences are lost in it; their scale does not matter to the map
    reduced = PCA(min(COMPONENTS, *features.shape), svd_solver="full").fit_transform(features / largest_std)
    perplexity = min(PERPLEXITY, (len(features) - 1) / 3)
    points = TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(reduced)
    grouped = 2 <= len(np.unique(labels)) < len(labels)
    spaces = {"silhouette": features, "silhouette_on_map": points}
    return points, {key: float(silhouette_score(each, labels)) if grouped else None for key, each in spaces.items()}


def draw_maps(
    settings: EvaluationSettings, nets: Mapping[str, Trained], data: LabelledFaces
) -> tuple[dict[str, Silhouettes], list[Path]]:
    """tsne_<net>_<exp>_<tsne_on>.png of each experiment; returns the silhouettes by experiment, and the paths.

    Raises InputError for features that are not finite, or the same for all faces.
    """
    batches = FaceBatches(data, settings.batch_size, settings.device)
    labels = data.labels.numpy()
    maps, paths = {}, []
    for name, (net, size) in nets.items():
        backbone = copy.deepcopy(net).drop_head()
        features, _ = predict(backbone, batches, settings.image_size or size, settings.dtype, f"{name}, features")
        print(f"{name}: t-SNE of {features.shape[1]} features of {len(features)} faces ...", flush=True)
        try:
            maps[name] = map_features(features.double().numpy(), labels, settings.seed)
        except InputError as error:
            raise InputError(f"{settings.net_name}, {name}: {error}") from error
    for name, (points, silhouettes) in maps.items():
        in_features, on_map = ("-" if value is None else f"{value:.3f}" for value in silhouettes.values())
        title = (f"{settings.net_name}, {name}: t-SNE of {len(labels)} faces of {settings.tsne_on}\n"
                 f"silhouette {in_features} in the features; {on_map} on this map")  # fmt: skip
        path = settings.picture("tsne", f"{name}_{settings.tsne_on}")
        paths.append(plot_map(points, labels, settings.emotions, path, title))
    return {name: silhouettes for name, (_, silhouettes) in maps.items()}, paths
