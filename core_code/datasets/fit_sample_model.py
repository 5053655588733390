"""Fit the model that the sample faces are sampled from, on FER2013's Training faces and no others.

It needs `pip install -r requirements-measure.txt`: dlib finds the landmarks.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from core_code.core_utils.choices import DATA_ROOT
from core_code.core_utils.emotions import EMOTIONS
from core_code.core_utils.errors import InputError, run_command
from core_code.core_utils.files import atomic_write
from core_code.core_utils.flags import count, make_parser
from core_code.datasets.face_shapes import find_landmarks, grid, turned, warp_to_mean
from core_code.datasets.fer2013 import FER2013
from core_code.datasets.sample import MODEL, TEXTURE_SIDE

COMPONENTS = 260  # of the textures
FLOW_COMPONENTS = 20
MOST_TURNED, MOST_OUTSIDE = 0.115, 0.2  # of the faces that are learned from, see `turned` and `warp_to_mean`
UNLIKE = 0.07  # share of the faces that is left out as worst composed of the components: covered, written on, cartoons
SAME = 0.8  # correlation of two textures, less the mean one, from which on they are of one picture
CLEAR = (0.3, 0.8, 0.2, 0.4, 0.3, 0.4, 0.4)  # share of an emotion's faces that is learned from, those that show it best
BACKGROUND = 0.3  # weight of what lies around the face when components are chosen
CLUSTERS, SMALLEST_CLUSTER = 24, 24  # an emotion's at most; of so many faces at least, mirrored ones counted
SHARPENING, SHARPENED = 1.0, 1.2  # by how much, of details of what width in pixels: unsharp masking


def main() -> None:
    """Parse arguments, fit, write."""
    parser = make_parser(
        (__doc__ or " ").splitlines()[0], "python -m core_code.datasets.fit_sample_model --data_root data/fer2013"
    )
    parser.add_argument("--data_root", type=Path, default=DATA_ROOT, help="folder of FER2013's CSV")
    parser.add_argument("--components", type=count, default=COMPONENTS)
    parser.add_argument("--dest", type=Path, default=MODEL, help="(default: the file the sample faces come from)")
    arguments = parser.parse_args()
    model = fit_from(arguments.data_root, arguments.components)
    atomic_write(arguments.dest, lambda file: np.savez_compressed(file, allow_pickle=False, **model))
    print(f"{arguments.dest}: {arguments.dest.stat().st_size} bytes")


def fit_from(
    data_root: Path, components: int = COMPONENTS, find: Callable[[np.ndarray], np.ndarray] = find_landmarks
) -> dict[str, np.ndarray]:
    """Fit on FER2013 Training's frontal faces alone. find: uint8 [N,48,48] -> complex [N,68], as `find_landmarks`."""
    train = FER2013(data_root, "train")
    faces, labels = train.faces.numpy(), train.labels.numpy()
    points = find(faces)
    frontal = np.isfinite(points).all(axis=1)
    frontal[frontal] = turned(points[frontal]) < MOST_TURNED
    print(f"{frontal.sum()} of {len(faces)} training faces are frontal")
    return fit(faces[frontal], labels[frontal], points[frontal], components)


def fit(faces: np.ndarray, labels: np.ndarray, points: np.ndarray, components: int) -> dict[str, np.ndarray]:
    """Fit the model to faces uint8 [N, 48, 48] with labels [N] and landmarks complex [N, 68]; its arrays, packed small
    (see `read_model`). Raises InputError when an emotion has less than two faces.
    """
    textures, flows, outside = warp_to_mean(faces, points, TEXTURE_SIDE)
    textures, whole = standardize(textures), outside < MOST_OUTSIDE
    whole[whole] = is_first(textures[whole], labels[whole])
    textures, flows, labels = textures[whole], flows[whole], labels[whole]
    present = np.bincount(labels, minlength=len(EMOTIONS))
    if present.min() < 2:
        rare = EMOTIONS[int(present.argmin())]
        raise InputError(f"{present.min()} frontal {rare} faces in train, expected two or more of each emotion")
    labels = np.concatenate([labels, labels])
    textures = np.concatenate([textures, textures[:, :, ::-1]]).reshape(len(labels), -1)
    mirrored = flows[..., ::-1] * [[[-1]], [[1]]] + [[[TEXTURE_SIDE - 1]], [[0]]]
    flows = np.concatenate([flows, mirrored]).reshape(len(labels), -1)

    weights = np.where(in_face(), 1, np.sqrt(BACKGROUND))
    mean_texture, of_texture, texture_components, unlike = compose(textures * weights, components)
    mean_flow, of_flow, flow_components, _ = compose(flows, min(FLOW_COMPONENTS, components))
    scale = np.sqrt(of_texture.var(axis=0).sum() / of_flow.var(axis=0).sum())  # one unit for both, as in AAMs
    coefficients = np.concatenate([scale * of_flow, of_texture], axis=1)
    clear = choose_clear(coefficients, labels, unlike)
    mixture = fit_mixture(coefficients[clear], labels[clear])
    sharp = [sharpen(rows / weights) for rows in (mean_texture, texture_components)]
    return {
        "mean_flow": mean_flow.astype(np.float32),
        **packed("flow_components", flow_components / scale),
        "mean_texture": sharp[0].astype(np.float32),
        **packed("texture_components", sharp[1]),
        **mixture,
    }


def standardize(textures: np.ndarray) -> np.ndarray:
    """Each texture brought to mean 0 and deviation 1 within the face: [N, H, H] -> float32 [N, H, H]."""
    inside = textures.reshape(len(textures), -1)[:, in_face()]
    mean, deviation = (np.expand_dims(values, (1, 2)) for values in (inside.mean(axis=1), inside.std(axis=1)))
    return (textures - mean) / np.maximum(deviation, 1)


def is_first(textures: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Which of textures [N, H, H] are no picture that an earlier face of the emotion shows, mirrored or not: bool [N].
    Training holds some many times over, cut differently; a cluster of those would be that person."""
    first = np.ones(len(labels), dtype=bool)
    away = textures - textures.mean(axis=0)
    inside = [images.reshape(len(away), -1)[:, in_face()] for images in (away, away[:, :, ::-1])]
    inside = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in inside]
    for emotion in range(len(EMOTIONS)):
        own = labels == emotion
        alike = np.maximum(*(inside[0][own] @ rows[own].T for rows in inside))
        first[own] = np.tril(alike, -1).max(axis=1, initial=0) <= SAME
    return first


def in_face() -> np.ndarray:
    """Which pixels of a texture are of the face, not of what is around it: bool [TEXTURE_SIDE ** 2]."""
    points = grid(TEXTURE_SIDE)
    return (points.real / 0.8) ** 4 + ((points.imag - 0.05) / 0.88) ** 4 < 1


def compose(rows: np.ndarray, components: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Principal components of rows [N, P]: their mean [P], coefficients [N, C], components [C, P] and what these leave
    over of each row, squared and summed [N]."""
    pca = PCA(components, svd_solver="randomized", random_state=0).fit(rows)
    coefficients = pca.transform(rows)
    rest = ((rows - pca.mean_) ** 2).sum(axis=1) - (coefficients**2).sum(axis=1)
    return pca.mean_, coefficients, pca.components_, rest


def choose_clear(coefficients: np.ndarray, labels: np.ndarray, unlike: np.ndarray) -> np.ndarray:
    """Which faces to learn from, bool [N]: of those well composed the CLEAR share of each emotion to which a linear
    discriminant, fitted on the other half of the faces, gives it the highest probability. The second half of the rows
    are the first half's mirrored faces."""
    fold = np.empty(len(labels) // 2, dtype=int)
    fold[labels[: len(fold)].argsort(kind="stable")] = np.arange(len(fold)) % 2  # each emotion's faces by turns
    fold = np.tile(fold, 2)
    confidence = np.empty(len(labels))
    for half in (0, 1):
        classifier = LinearDiscriminantAnalysis(
            solver="lsqr", shrinkage=0.1, priors=np.full(len(EMOTIONS), 1 / len(EMOTIONS))
        ).fit(coefficients[fold != half], labels[fold != half])
        own = classifier.predict_proba(coefficients[fold == half])
        confidence[fold == half] = own[np.arange(len(own)), labels[fold == half]]
    well = unlike <= np.quantile(unlike, 1 - UNLIKE)
    clear = np.zeros(len(labels), dtype=bool)
    for emotion, share in enumerate(CLEAR):
        own = well & (labels == emotion)
        clear |= own & (confidence >= np.quantile(confidence[own], 1 - share))
    return clear


def fit_mixture(coefficients: np.ndarray, labels: np.ndarray, clusters: int = CLUSTERS) -> dict[str, np.ndarray]:
    """Of each emotion the means of clusters (k-means), and one Gaussian of the residuals about them: `means` [M, C],
    `weights` [M], `emotions` [M] and `factor`, the lower triangle of the Cholesky factor."""
    means, weights, emotions, residuals = [], [], [], []
    for emotion in range(len(EMOTIONS)):
        own = coefficients[labels == emotion]
        most = max(1, len(own) // (2 * SMALLEST_CLUSTER))
        member = KMeans(min(clusters, most), n_init=4, random_state=0).fit_predict(own)
        sizes = np.bincount(member)
        for cluster in np.flatnonzero(sizes >= min(SMALLEST_CLUSTER, sizes.max())):
            of_cluster = own[member == cluster]
            means.append(of_cluster.mean(axis=0))
            residuals.append(of_cluster - means[-1])
            weights.append(len(of_cluster))
            emotions.append(emotion)
    away = np.concatenate(residuals)
    covariance = away.T @ away / len(away)
    factor = np.linalg.cholesky(covariance + 1e-6 * np.trace(covariance) * np.eye(len(covariance)))
    return {
        "means": np.array(means).astype(np.float16),
        "weights": np.array(weights, dtype=np.int32),
        "emotions": np.array(emotions, dtype=np.int8),
        "factor": factor[np.tril_indices(len(factor))].astype(np.float16),
    }


def sharpen(textures: np.ndarray) -> np.ndarray:
    """Unsharp masking of textures [..., P], for what the components leave out."""
    images = textures.reshape(-1, TEXTURE_SIDE, TEXTURE_SIDE)
    return (images + SHARPENING * (images - gaussian_filter(images, (0, SHARPENED, SHARPENED)))).reshape(textures.shape)


def packed(name: str, components: np.ndarray) -> dict[str, np.ndarray]:
    """Components [C, P] in 8 bits, and the scale of each."""
    scales = np.abs(components).max(axis=1) / 127
    return {
        name: (components / scales[:, None]).round().astype(np.int8),
        f"{name}_scales": scales.astype(np.float32),
    }


if __name__ == "__main__":
    run_command(main)
