"""How a net's features tell the emotions apart: a t-SNE map of faces, and silhouette scores.

python -m core_code.evaluate --net_name resnet18 --exp_names Baseline --tsne True --tsne_on val
"""

import argparse
import copy
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.metrics import silhouette_score

from core_code.core_utils.emotions import EMOTIONS
from core_code.core_utils.errors import InputError
from core_code.core_utils.plots.evaluation import plot_map
from core_code.datasets.augmentations.store import Augmentations
from core_code.datasets.fer2013 import FER2013
from core_code.datasets.labelled_faces import LabelledFaces
from core_code.datasets.loader import FaceBatches
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
    """points: float [N,2]. The silhouettes are in [-1,1], None where fewer than two labels occur (or each face has
    its own): in the space of the features, and on the map."""

    points: np.ndarray
    silhouette: float | None
    silhouette_on_map: float | None


def faces_to_map(args: argparse.Namespace) -> SomeFaces:
    """At most 2,000 faces of --tsne_on, drawn with --seed; an augmentation has its original's label.

    Raises InputError for data that cannot be read and for fewer than 10 faces.
    """
    split = "val" if args.tsne_on == "val" else "train"
    data = FER2013(args.data_root, split, args.dataset, args.max_faces if split == "train" else None)
    faces, labels = data.faces, data.labels
    if args.tsne_on == "augmentations":
        store = Augmentations.open(args.augmentations_folder, data)
        faces, labels = store.images, labels.repeat_interleave(store.first.diff())
    if len(faces) < FEWEST_FACES:
        raise InputError(f"--tsne_on {args.tsne_on}: {len(faces)} faces there, expected {FEWEST_FACES} or more")
    order = torch.randperm(len(faces), generator=torch.Generator().manual_seed(args.seed))
    chosen = order[:MOST_FACES].sort().values
    return SomeFaces(faces[chosen], labels[chosen])


def features_of(
    trained: Trained, batches: FaceBatches, image_size: int, dtype: torch.dtype, what: str
) -> np.ndarray:  # fmt: skip
    """What goes into the net's head: float64 [N,F] of evaluation views. The net is left as it is."""
    features, _ = predict(copy.deepcopy(trained.net).drop_head(), batches, image_size, dtype, what)
    return features.double().numpy()


def map_features(features: np.ndarray, labels: np.ndarray, seed: int) -> FeatureMap:
    """t-SNE of features [N,F], which are first brought to their 50 leading principal components.

    L. van der Maaten, G. Hinton, "Visualizing data using t-SNE", 2008. Perplexity 30, less for fewer than 91 faces.
    """
    components = min(COMPONENTS, *features.shape)
    reduced = PCA(components, svd_solver="full").fit_transform(features)
    perplexity = min(PERPLEXITY, (len(features) - 1) / 3)
    points = TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(reduced)
    return FeatureMap(points, silhouette(features, labels), silhouette(points, labels))


def silhouette(places: np.ndarray, labels: np.ndarray) -> float | None:
    """The mean silhouette of the labels (P. Rousseeuw, 1987): 1 for tight groups far apart, 0 for mixed ones."""
    if not 2 <= len(np.unique(labels)) < len(labels):
        return None
    return float(silhouette_score(places, labels))


def draw_maps(
    args: argparse.Namespace, nets: dict[str, Trained], data: SomeFaces, device: torch.device, dtype: torch.dtype
) -> tuple[dict[str, dict[str, float | None]], list[Path]]:
    """tsne_<net>_<exp>_<on>.png of each experiment; returns the silhouettes by experiment, and the paths."""
    batches = FaceBatches(data, args.batch_size, device)
    labels = data.labels.numpy()
    figures, paths = {}, []
    for name, trained in nets.items():
        features = features_of(trained, batches, args.image_size or trained.image_size, dtype, f"{name}, features")
        print(f"{name}: t-SNE of {features.shape[1]} features of {len(features)} faces ...", flush=True)
        found = map_features(features, labels, args.seed)
        figures[name] = {"silhouette": found.silhouette, "silhouette_on_map": found.silhouette_on_map}
        path = args.output_root / "plots_output" / f"tsne_{args.net_name}_{name}_{args.tsne_on}.png"
        said = "; ".join(
            f"{'-' if value is None else f'{value:.3f}'} {where}"
            for value, where in ((found.silhouette, "in the features"), (found.silhouette_on_map, "on this map"))
        )
        title = f"{args.net_name}, {name}: t-SNE of {len(features)} faces of {args.tsne_on}\nsilhouette {said}"
        paths.append(plot_map(found.points, labels, EMOTIONS, path, title))
    return figures, paths
