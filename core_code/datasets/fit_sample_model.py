"""Fit the model that the sample faces are sampled from, on FER2013's Training faces and no others.

python -m core_code.datasets.fit_sample_model --data_root data/fer2013    (needs `pip install dlib-bin`)
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from tqdm import tqdm

from core_code.core_utils.emotions import EMOTIONS
from core_code.core_utils.errors import InputError, run_command
from core_code.core_utils.files import atomic_write
from core_code.core_utils.flags import count, make_parser
from core_code.core_utils.photos.face_finder import is_frontal, load_dlib
from core_code.datasets.fer2013 import FER2013
from core_code.datasets.sample import MODEL
from core_code.datasets.splits import PIXELS, SIDE

COMPONENTS = 200
MOST_SHIFT = 4  # pixels of the 48 that a face may be moved to align with the others
ROUNDS = 3
UNLIKE = 0.35  # share of the faces that is left out as least like the mean: turned, covered, cartoons
SHRINKAGE = 500  # an emotion's covariance is shrunk to the common one with the weight of so many faces


def main() -> None:
    """Parse arguments, fit, write."""
    parser = make_parser(__doc__.splitlines()[0], "python -m core_code.datasets.fit_sample_model")
    parser.add_argument("--data_root", type=Path, default=Path("data/fer2013"), help="folder of FER2013's CSV")
    parser.add_argument("--components", type=count, default=COMPONENTS, help="(default: %(default)s)")
    parser.add_argument("--dest", type=Path, default=MODEL, help="(default: the file the sample faces come from)")
    arguments = parser.parse_args()
    model = fit_from(arguments.data_root, arguments.components)
    atomic_write(arguments.dest, lambda file: np.savez_compressed(file, allow_pickle=False, **model))
    print(f"{arguments.dest}: {arguments.dest.stat().st_size} bytes")


def fit_from(
    data_root: Path, components: int = COMPONENTS, find: Callable[[np.ndarray], np.ndarray] | None = None
) -> dict[str, np.ndarray]:
    """Fit on FER2013 Training's frontal faces alone. find: uint8 [N,48,48] -> bool [N], by default `find_frontal`."""
    train = FER2013(data_root, "train")
    faces, labels = train.faces.numpy(), train.labels.numpy()
    frontal = (find or find_frontal)(faces)
    print(f"{frontal.sum()} of {len(faces)} training faces are frontal")
    return fit(faces[frontal], labels[frontal], components)


def find_frontal(faces: np.ndarray) -> np.ndarray:
    """Which faces dlib finds alone, centred and of the usual size: uint8 [N, 48, 48] -> bool [N]."""
    load_dlib()
    return np.array([is_frontal(face) for face in tqdm(faces, desc="finding frontal faces", unit="faces")], dtype=bool)


def fit(faces: np.ndarray, labels: np.ndarray, components: int) -> dict[str, np.ndarray]:
    """Fit the model to faces uint8 [N, 48, 48] with labels [N]; its arrays, packed small (see `read_model`).

    Raises InputError when an emotion has no faces.
    """
    aligned, likeness = align(standardize(faces))
    kept = likeness >= np.quantile(likeness, UNLIKE)
    aligned, labels = aligned[kept], labels[kept]
    present = np.bincount(labels, minlength=len(EMOTIONS))
    if not present.all():
        raise InputError(f"no frontal {EMOTIONS[int(present.argmin())]} face in train, expected some of each emotion")
    both = standardize(np.concatenate([aligned, aligned[:, :, ::-1]])).reshape(-1, PIXELS)
    mean_face = both.mean(axis=0)
    both -= mean_face
    directions = np.linalg.eigh((both.T @ both / len(both)).astype(np.float64))[1][:, ::-1][:, :components].T
    scales = np.abs(directions).max(axis=1) / 127
    means, factors = fit_emotions(both @ directions.T.astype(np.float32), np.concatenate([labels, labels]))
    return {
        "mean_face": mean_face.astype(np.float16),
        "components": (directions / scales[:, None]).round().astype(np.int8),
        "component_scales": scales.astype(np.float32),
        "emotion_means": means.astype(np.float16),
        "factors": factors[:, *np.tril_indices(components)].astype(np.float16),
    }


def standardize(faces: np.ndarray) -> np.ndarray:
    """Each face brought to mean 0 and deviation 1: [N, 48, 48] -> float32 [N, 48, 48]."""
    faces = faces.astype(np.float32)
    faces -= faces.mean(axis=(1, 2), keepdims=True)
    faces /= np.maximum(faces.std(axis=(1, 2), keepdims=True), 1e-3)
    return faces


def align(faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Move each face by up to MOST_SHIFT pixels to where it is most like the mean of all: with the eyes aligned, the
    components hold more of the expressions. float32 [N, 48, 48] -> the moved faces, and the likeness reached [N].
    """
    side = 2 * MOST_SHIFT + 1
    padded = np.pad(faces, ((0, 0), (MOST_SHIFT,) * 2, (MOST_SHIFT,) * 2), mode="edge")
    away = np.linspace(-1, 1, SIDE)
    middle = np.exp(-2 * (away[:, None] ** 2 + away**2))
    for _ in range(ROUNDS):
        template = faces.mean(axis=0)
        template = middle * (template + template[:, ::-1])
        template -= template.mean()
        shifted = np.zeros((side, side, *padded.shape[1:]), dtype=np.float32)
        for down, right in np.ndindex(side, side):
            shifted[down, right, down : down + SIDE, right : right + SIDE] = template
        likeness = padded.reshape(len(padded), -1) @ shifted.reshape(side * side, -1).T
        downs, rights = np.divmod(likeness.argmax(axis=1), side)
        windows = np.lib.stride_tricks.sliding_window_view(padded, (SIDE, SIDE), axis=(1, 2))
        faces = windows[np.arange(len(padded)), downs, rights]
    return faces, likeness.max(axis=1)


def fit_emotions(coefficients: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Per emotion the mean and the Cholesky factor of the covariance: [N, C] -> [7, C] and [7, C, C].

    The covariance is shrunk towards that of all emotions: the rare ones have hardly more faces than components.
    """
    means = np.stack([coefficients[labels == label].mean(axis=0) for label in range(len(EMOTIONS))])
    away = (coefficients - means[labels]).astype(np.float64)
    common = away.T @ away / len(away)
    factors = []
    for label in range(len(EMOTIONS)):
        own = away[labels == label]
        covariance = (own.T @ own + SHRINKAGE * common) / (len(own) + SHRINKAGE)
        factors.append(np.linalg.cholesky(covariance + 1e-6 * np.trace(common) * np.eye(len(common))))
    return means, np.stack(factors)


if __name__ == "__main__":
    run_command(main)
