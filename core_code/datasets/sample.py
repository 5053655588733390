"""The sample faces: labelled synthetic 48x48 faces, sampled from a small statistical model of FER2013's.

The model is a multidimensional morphable one (M. Jones, T. Poggio, ICCV 1998), an active appearance model (T. Cootes,
G. Edwards, C. Taylor, ECCV 1998): principal components of the faces' textures, each warped to one common shape, and of
the flows that warp them back, and a Gaussian mixture of both together for each emotion; `fit_sample_model` makes it.
"""

from pathlib import Path

import numpy as np

from core_code.core_utils.emotions import EMOTIONS
from core_code.datasets.splits import PIXELS, SIDE, SPLITS

MODEL = Path(__file__).with_name("sample_faces.npz")
SEED = 2018
COUNTS = {  # faces of each emotion; train is unbalanced in FER2013's way
    "train": (300, 120, 300, 510, 330, 240, 300),
    "val": (100,) * len(EMOTIONS),
    "test": (100,) * len(EMOTIONS),
}
TEXTURE_SIDE = 64  # finer than the faces, so that warping costs no sharpness
STRENGTH = 1.4  # how far an emotion's mean is moved away from the common one, as a multiple
DEVIATION = 0.6  # of the residuals, as a multiple; nearer to the means the samples are cleaner faces
PIECE = 250  # faces that are rendered at once, for memory's sake


def sample_split(split: str) -> tuple[np.ndarray, np.ndarray]:
    """The faces of one split, always the same: uint8 [N, 48, 48] and labels uint8 [N].

    Each split has its own random numbers; none shares a face with another.
    """
    # numpy promises that RandomState's numbers never change; those of its newer generators may
    rng = np.random.RandomState([SEED, SPLITS.index(split)])
    labels = np.repeat(np.arange(len(EMOTIONS), dtype=np.uint8), COUNTS[split])
    rng.shuffle(labels)
    return sample_faces(read_model(), labels, rng), labels


def sample_faces(model: dict[str, np.ndarray], labels: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    """Sample a face for each label: labels uint8 [N], faces uint8 [N, 48, 48]."""
    coefficients = sample_coefficients(model, labels, rng)
    pieces = [equalize(render(model, coefficients[at : at + PIECE])) for at in range(0, len(labels), PIECE)]
    return np.concatenate(pieces)


def sample_coefficients(model: dict[str, np.ndarray], labels: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    """Coefficients [N, S+T] of the flow and of the texture for labels uint8 [N], from each emotion's mixture, its means
    moved apart by STRENGTH, the residuals narrowed by DEVIATION."""
    means, weights, emotion_of = model["means"], model["weights"], model["emotions"]
    of_emotions = np.stack(
        [np.average(means[emotion_of == e], axis=0, weights=weights[emotion_of == e]) for e in range(len(EMOTIONS))]
    )
    moved = (STRENGTH - 1) * (of_emotions - of_emotions.mean(axis=0))
    chosen = np.empty(len(labels), dtype=int)
    uniform = rng.random_sample(len(labels))
    for emotion in range(len(EMOTIONS)):
        own = np.flatnonzero(emotion_of == emotion)
        limits = np.cumsum(weights[own]) / weights[own].sum()
        chosen[labels == emotion] = own[np.searchsorted(limits[:-1], uniform[labels == emotion], side="right")]
    residuals = rng.standard_normal((len(labels), means.shape[1])) @ model["factor"].T
    return means[chosen] + moved[labels] + DEVIATION * residuals


def render(model: dict[str, np.ndarray], coefficients: np.ndarray) -> np.ndarray:
    """Compose the textures and warp them to the faces' shapes: [N, S+T] -> [N, 2304]."""
    of_flow, of_texture = np.split(coefficients, [len(model["flow_components"])], axis=1)
    textures = model["mean_texture"] + of_texture @ model["texture_components"]
    at = (model["mean_flow"] + of_flow @ model["flow_components"]).reshape(-1, 2, PIXELS)
    at = at.clip(0, TEXTURE_SIDE - 1.001)
    corner = at.astype(np.int32)
    right, down = (at - corner).transpose(1, 0, 2)
    first = np.arange(len(at), dtype=np.int32)[:, None] * TEXTURE_SIDE**2 + corner[:, 1] * TEXTURE_SIDE + corner[:, 0]
    flat = textures.reshape(-1)
    above = flat[first] * (1 - right) + flat[first + 1] * right
    first += TEXTURE_SIDE
    below = flat[first] * (1 - right) + flat[first + 1] * right
    return above * (1 - down) + below * down


def equalize(images: np.ndarray) -> np.ndarray:
    """Distribute each image's grey levels evenly over 0..255, as FER2013's are: [N, 2304] -> uint8 [N, 48, 48].

    Of equal values the first pixel is the darker one, on every machine.
    """
    levels = (np.arange(PIXELS) * 256 // PIXELS).astype(np.uint8)
    faces = np.empty(images.shape, dtype=np.uint8)
    np.put_along_axis(faces, images.argsort(axis=1, kind="stable"), levels[None], axis=1)
    return faces.reshape(-1, SIDE, SIDE)


def read_model(path: Path = MODEL) -> dict[str, np.ndarray]:
    """The model's arrays as float64, but for `emotions` (int8).

    mean_flow [4608] and flow_components [S, 4608]: for the faces' pixels where in the texture they lie, all x, then all
    y, in its pixels. mean_texture [4096] and texture_components [T, 4096]. means [M, S+T] of the mixtures' components,
    their weights [M] and emotions [M]; factor [S+T, S+T], lower triangular, times its transpose the covariance of the
    residuals.
    """
    with np.load(path, allow_pickle=False) as stored:
        model = {name: stored[name].astype(np.float64) for name in stored.files}
    for name in ("flow_components", "texture_components"):
        model[name] *= model.pop(f"{name}_scales")[:, None]
    factor = np.zeros((model["means"].shape[1],) * 2)
    factor[np.tril_indices(len(factor))] = model["factor"]
    return model | {"factor": factor, "emotions": model["emotions"].astype(np.int8)}
