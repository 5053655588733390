"""The sample faces: labelled synthetic 48x48 faces, sampled from a small statistical model of FER2013's.

The model (M. Turk, A. Pentland, "Eigenfaces for recognition", 1991) holds principal components of frontal
faces and, for each emotion, the mean and covariance of their coefficients; `fit_sample_model` makes it.
"""

from pathlib import Path

import numpy as np

from core_code.core_utils.emotions import EMOTIONS
from core_code.datasets.splits import PHASES, PIXELS, SIDE

MODEL = Path(__file__).with_name("sample_faces.npz")
SEED = 2013
COUNTS = {  # faces of each emotion; train is unbalanced in FER2013's way
    "train": (300, 120, 300, 510, 330, 240, 300),
    "val": (100,) * len(EMOTIONS),
    "test": (100,) * len(EMOTIONS),
}
COVARIANCE_SCALE = 0.5  # nearer to the mean the samples are cleaner faces
STRENGTH = 2.0  # how far an emotion's mean is moved away from the common one, as a multiple


def sample_phase(phase: str) -> tuple[np.ndarray, np.ndarray]:
    """The faces of one phase, always the same: uint8 [N, 48, 48] and labels uint8 [N].

    Each phase has its own random numbers; none shares a face with another.
    """
    # numpy promises that RandomState's numbers never change; those of its newer generators may
    rng = np.random.RandomState([SEED, PHASES.index(phase)])
    labels = np.repeat(np.arange(len(EMOTIONS), dtype=np.uint8), COUNTS[phase])
    rng.shuffle(labels)
    return sample_faces(read_model(), labels, rng), labels


def sample_faces(model: dict[str, np.ndarray], labels: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    """Sample a face for each label: labels uint8 [N], faces uint8 [N, 48, 48]."""
    common = model["emotion_means"].mean(axis=0)
    means = common + STRENGTH * (model["emotion_means"] - common)
    coefficients = rng.standard_normal((len(labels), len(model["components"])))
    for label, (mean, factor) in enumerate(zip(means, model["factors"], strict=True)):
        of_label = labels == label
        coefficients[of_label] = mean + np.sqrt(COVARIANCE_SCALE) * coefficients[of_label] @ factor.T
    return equalize(model["mean_face"] + coefficients @ model["components"])


def equalize(images: np.ndarray) -> np.ndarray:
    """Distribute each image's grey levels evenly over 0..255, as FER2013's are: [N, 2304] -> uint8 [N, 48, 48]."""
    levels = (np.arange(PIXELS) * 256 // PIXELS).astype(np.uint8)
    faces = np.empty(images.shape, dtype=np.uint8)
    np.put_along_axis(faces, images.argsort(axis=1), levels[None], axis=1)
    return faces.reshape(-1, SIDE, SIDE)


def read_model(path: Path = MODEL) -> dict[str, np.ndarray]:
    """The model's arrays as float64.

    mean_face [2304] and components [C, 2304], of faces standardised each to mean 0 and deviation 1;
    emotion_means [7, C]; factors [7, C, C], lower triangular, times its transpose the covariance.
    """
    with np.load(path, allow_pickle=False) as stored:
        packed = {name: stored[name].astype(np.float64) for name in stored.files}
    size = len(packed["components"])
    factors = np.zeros((len(EMOTIONS), size, size))
    factors[:, *np.tril_indices(size)] = packed["factors"]
    components = packed["components"] * packed["component_scales"][:, None]
    return packed | {"components": components, "factors": factors}
