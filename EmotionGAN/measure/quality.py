"""How realistic and how smooth the edits are, and how much of the face they change; the metrics of that."""

from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from core_code.core_utils.emotions import EMOTIONS
from EmotionGAN.editor import Editor
from EmotionGAN.measure.face_sets import Edits, FaceSet
from EmotionGAN.measure.judges import Judge, Judgement
from EmotionGAN.measure.summary import Metric, Summary, mean, summary_of

LINE_POINTS, LINE_FACES = 11, 50
SIMILARITY_BATCH = 512
SSIM_WINDOW, SSIM_SIGMA = 11, 1.5
FEWEST = 4  # faces of an emotion for a Frechet distance: two halves with a covariance each


def frechet_figures(faces: FaceSet, real: Judgement, edits: Edits, judged: Judgement) -> dict[str, Metric]:
    """Frechet distances in one judge's features, edits to an emotion against real faces of it, beside the distance of
    the real faces' halves; and how many times that it is."""
    of_edits: dict[str, Summary] = {}
    of_halves: dict[str, Summary] = {}
    ratios: dict[str, Summary] = {}
    edit_groups = faces.groups_of(edits.rows)
    for group, mask in faces.groups().items():
        distances: dict[str, float | None] = dict.fromkeys(EMOTIONS)
        halves, times = distances.copy(), distances.copy()
        for index, emotion in enumerate(EMOTIONS):
            shown = real.features[mask & (faces.labels == index)]
            edited = judged.features[edit_groups[group] & (edits.targets == index)]
            if len(shown) >= FEWEST and len(edited) >= 2:
                distances[emotion] = distance = frechet_distance(edited, shown)
                halves[emotion] = between = frechet_distance(shown[::2], shown[1::2])
                times[emotion] = distance / between if between else None
        of_edits[group], of_halves[group], ratios[group] = (
            summary_of(values, None, False) for values in (distances, halves, times)
        )
    return {
        "frechet": Metric("Frechet distance to real faces (real: their halves')", of_edits, of_halves, False, False),
        "frechet_ratio": Metric("Frechet distance, times the real halves'", ratios, None, False, False),
    }


def change_of_edits(editor: Editor, faces: FaceSet, edits: Edits) -> dict[str, float]:
    """Of edits to other emotions: the mean change (L1 of the 0..1 range), SSIM, and the change that is left when they
    are edited back to the centre of the face's own emotion."""
    sources = faces.faces[edits.rows]
    returned = editor.edit_all(edits.images, editor.space.centres[faces.labels[edits.rows]])
    return {
        "change": mean_change(sources, edits.images),
        "similarity": mean_similarity(sources, edits.images, editor.device),
        "cycle_change": mean_change(sources, returned),
    }


def mean_similarity(faces: Tensor, others: Tensor, device: torch.device) -> float:
    """structural_similarity of any number of faces, without much memory, on a device that has float64."""
    device = torch.device("cpu") if device.type == "mps" else device
    parts = zip(faces.split(SIMILARITY_BATCH), others.split(SIMILARITY_BATCH), strict=True)
    sums = [structural_similarity(a.to(device), b.to(device)) * len(a) for a, b in parts]
    return sum(sums) / len(faces)


def measure_lines(editor: Editor, judge: Judge, faces: Tensor) -> dict[str, list[float]]:
    """Mean probability of each emotion along the line to it from Neutral's centre, at LINE_POINTS even steps."""
    start = editor.space.centres[editor.space.emotions.index("Neutral")]
    steps = torch.linspace(0, 1, LINE_POINTS)[:, None]
    faces, lines = faces[:LINE_FACES], {}
    for target, emotion in enumerate(editor.space.emotions):
        if emotion == "Neutral":
            continue
        points = start + steps * (editor.space.centres[target] - start)
        codes = points.repeat_interleave(len(faces), dim=0)
        probabilities = judge.probabilities(editor.edit_all(faces.repeat(LINE_POINTS, 1, 1), codes))[:, target]
        lines[emotion] = [round(value, 4) for value in probabilities.reshape(LINE_POINTS, -1).mean(1).tolist()]
    return lines


def smoothness_figure(lines: dict[str, list[float]]) -> dict[str, Any]:
    """The largest step of the probability from one point of each line to the next as a figure of all faces: at least
    1 / (LINE_POINTS - 1) where it goes from 0 to 1."""
    steps: dict[str, float | None] = dict.fromkeys(EMOTIONS)
    steps |= {emotion: torch.tensor(line).diff().abs().max().item() for emotion, line in lines.items()}
    known = torch.tensor([value for value in steps.values() if value is not None])
    summary = {"all": summary_of(steps, mean(known), False)}
    title = "largest step of the probability on the line from Neutral"
    return {"smoothness": Metric(title, summary, None, False, False)}


def mean_change(faces: Tensor, others: Tensor) -> float:
    """Mean absolute difference of two batches uint8 [B,H,W], in the 0..1 range."""
    return (faces.float() - others.float()).abs().mean().item() / 255


def structural_similarity(faces: Tensor, others: Tensor) -> float:
    """Mean SSIM of two batches uint8 [B,H,W] (Wang et al., 2004: gaussian window of 11 pixels, sigma 1.5)."""
    x, y = faces[:, None].double(), others[:, None].double()
    steps = torch.arange(SSIM_WINDOW, dtype=torch.float64) - SSIM_WINDOW // 2
    line = torch.exp(-(steps**2) / (2 * SSIM_SIGMA**2))
    blur = partial(F.conv2d, weight=(line[:, None] * line / line.sum() ** 2)[None, None].to(x.device))
    mean_x, mean_y = blur(x), blur(y)
    var_x, var_y = blur(x * x) - mean_x**2, blur(y * y) - mean_y**2
    covariance = blur(x * y) - mean_x * mean_y
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    similarity = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    similarity = similarity / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))
    return similarity.mean().item()


def frechet_distance(features: Tensor, others: Tensor) -> float:
    """Distance of two clouds of features, float [N,D] and [M,D], taken as gaussians (Heusel et al., 2017, eq. 6)."""
    a, b = features.double().numpy(), others.double().numpy()
    covariance_a, covariance_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    # tr sqrt(AB) = the sum of the square roots of AB's eigenvalues, which are those of sqrt(A) B sqrt(A)
    values, vectors = np.linalg.eigh(covariance_a)
    root = vectors * np.sqrt(values.clip(0)) @ vectors.T
    overlap = np.sqrt(np.linalg.eigvalsh(root @ covariance_b @ root).clip(0)).sum()
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + covariance_a.trace() + covariance_b.trace() - 2 * overlap)
