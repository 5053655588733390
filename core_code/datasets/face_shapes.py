"""The shapes of faces: landmarks, and faces warped to one common shape and back.

Points are complex numbers x + iy, in units in which a face spans -1 to 1, from border to border, both ways.
"""

import numpy as np
import torch
from PIL import Image
from scipy.interpolate import RBFInterpolator
from torch import Tensor
from torch.nn.functional import grid_sample
from tqdm import tqdm

from core_code.core_utils.photos.face_finder import frontal_box, landmark_predictor

LANDMARKS = 68  # of dlib's predictor: jaw 0-16, brows 17-26, nose 27-35, eyes 36-47, mouth 48-67
INNER = slice(17, LANDMARKS)  # without the jaw, which is the least certain
# the landmark on the other side of the face, which a mirrored face has in each one's place
MIRRORED = [
    *range(16, -1, -1), *range(26, 16, -1), *range(27, 31), *range(35, 30, -1), *range(45, 41, -1), 47, 46,
    *range(39, 35, -1), 41, 40, *range(54, 47, -1), *range(59, 54, -1), *range(64, 59, -1), *range(67, 64, -1),
]  # fmt: skip
ENLARGED = 192  # pixels a side of the copies in which landmarks are looked for
BOXES = ((3, 3, 1.03), (-3, -3, 0.98))  # right, down and size, of the box that is started from
SMOOTHING = 0.004  # of the thin-plate splines: landmarks are uncertain by half a pixel
BORDER = 1.6  # distance at which the splines move nothing
INVERSION_STEPS = 8
PIECE = 500  # faces that are warped at once, for memory's sake


def find_landmarks(faces: np.ndarray) -> np.ndarray:
    """The landmarks of uint8 [N, 48, 48] -> complex [N, 68], NaN where dlib finds no face alone, centred and of the
    usual size. Each is the mean over several boxes and the mirrored face. Raises InputError without dlib."""
    found = np.full((len(faces), LANDMARKS), np.nan, dtype=complex)
    for points, face in zip(found, tqdm(faces, desc="finding landmarks", unit="faces"), strict=True):
        box = frontal_box(face)
        if box:
            points[:] = landmarks_in(face, box)
    return found


def landmarks_in(face: np.ndarray, box: tuple[float, ...]) -> np.ndarray:
    """The landmarks [68] of uint8 [48, 48], with dlib's box: left, top, right, bottom as shares of the side."""
    dlib, predictor = landmark_predictor()
    picture = np.array(Image.fromarray(face).resize((ENLARGED, ENLARGED), Image.Resampling.BICUBIC))
    mirrored = np.ascontiguousarray(picture[:, ::-1])
    left, top, right, bottom = (edge * ENLARGED for edge in box)
    found = []
    for across, down, size in BOXES:
        x, y, half = (left + right) / 2 + across, (top + bottom) / 2 + down, (right - left) / 2 * size
        for image, centre in ((picture, x), (mirrored, ENLARGED - x)):
            edges = (round(edge) for edge in (centre - half, y - half, centre + half, y + half))
            points = np.array([part.x + 1j * part.y for part in predictor(image, dlib.rectangle(*edges)).parts()])
            points = (2 * points + 1 + 1j) / ENLARGED - 1 - 1j
            found.append(points if image is picture else mirror(points))
    return np.mean(found, axis=0)


def mirror(points: np.ndarray) -> np.ndarray:
    """The landmarks [..., 68] of the mirrored face."""
    return -points[..., MIRRORED].conj()


def align(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Move, turn and scale each face's landmarks to the mean of all, which is symmetric and of their mean size (a
    generalised Procrustes analysis): complex [N, 68] -> similarities [N, 2], factor and shift, and the mean [68]."""
    mean = points.mean(axis=0)
    for _ in range(5):
        inner, target = points[:, INNER], mean[INNER]
        away, wanted = inner - inner.mean(axis=1, keepdims=True), target - target.mean()
        factor = (away.conj() * wanted).sum(axis=1) / (abs(away) ** 2).sum(axis=1)
        shift = target.mean() - factor * inner.mean(axis=1)
        mean = (factor[:, None] * points + shift[:, None]).mean(axis=0)
        mean = (mean + mirror(mean)) / 2
        mean = mean.mean() + (mean - mean.mean()) / abs(factor).mean()
    return np.stack([factor, shift], axis=1), mean


def grid(side: int) -> np.ndarray:
    """The centres of side x side pixels, complex [side * side]."""
    steps = (2 * np.arange(side) + 1) / side - 1
    return (steps + 1j * steps[:, None]).ravel()


def spline(mean: np.ndarray, at: np.ndarray) -> np.ndarray:
    """What thin-plate splines make of displacements of the landmarks, which are at `mean` [68], at other points [P]:
    a matrix [P, 68]. Far around the face nothing moves (F. Bookstein, "Principal warps", PAMI 1989)."""
    around = np.linspace(-BORDER, BORDER, 5)
    fixed = [(x, y) for x in around for y in around if max(abs(x), abs(y)) == BORDER]
    controls = np.concatenate([as_pairs(mean), fixed])
    moves = np.eye(len(controls))[:, :LANDMARKS]
    return RBFInterpolator(controls, moves, smoothing=SMOOTHING, kernel="thin_plate_spline")(as_pairs(at))


def as_pairs(points: np.ndarray) -> np.ndarray:
    """Complex [...] -> x and y [..., 2]."""
    return np.stack([points.real, points.imag], axis=-1)


def turned(points: np.ndarray) -> np.ndarray:
    """How far the nose's tip is off the middle between the eyes' outer corners, as a share of their distance: landmarks
    complex [N, 68] -> [N]."""
    right, left = points[:, 36], points[:, 45]
    return abs(((points[:, 30] - (right + left) / 2) / (left - right)).real)


def warp_to_mean(faces: np.ndarray, points: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Warp faces uint8 [N, 48, 48] with landmarks complex [N, 68] to their mean shape.

    Returns the textures float32 [N, side, side]; the flows that warp them back, but for place, turn and size: float32
    [N, 2, 48, 48], for the pixels where in the texture they lie, x, then y, in its pixels; and the share of each
    texture that lies outside of its face's picture [N].
    """
    similarities, mean = align(points)
    splines = spline(mean, grid(side)).T
    found = []
    for at in tqdm(range(0, len(faces), PIECE), desc="warping faces", delay=2, leave=False):
        factor, shift = similarities[at : at + PIECE].T[:, :, None]
        moves = (factor * points[at : at + PIECE] + shift - mean) @ splines
        sources = torch.from_numpy(as_pairs((grid(side) + moves - shift) / factor)).float().unflatten(1, (side, side))
        pictures = torch.from_numpy(faces[at : at + PIECE]).float()[:, None]
        textures = grid_sample(pictures, sources, mode="bicubic", padding_mode="border", align_corners=False)[:, 0]
        flows = invert(torch.from_numpy(as_pairs(moves)).float().unflatten(1, (side, side)), faces.shape[-1])
        outside = (sources.abs() > 1).any(dim=-1).float().mean(dim=(1, 2))
        found.append((textures, ((flows + 1) * side - 1) / 2, outside))
    whole = [torch.cat(parts).numpy() for parts in zip(*found, strict=True)]
    return whole[0], whole[1], whole[2]


def invert(moves: Tensor, side: int) -> Tensor:
    """Where the points lie that displacements [N, H, H, 2] move to the centres of side x side pixels, by fixed-point
    iteration: [N, 2, side, side]."""
    wanted = torch.from_numpy(as_pairs(grid(side))).float().unflatten(0, (side, side)).expand(len(moves), -1, -1, -1)
    field = moves.permute(0, 3, 1, 2)
    found = wanted
    for _ in range(INVERSION_STEPS):
        found = wanted - grid_sample(field, found, padding_mode="border", align_corners=False).permute(0, 2, 3, 1)
    return found.permute(0, 3, 1, 2)
