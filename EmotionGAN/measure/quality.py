"""How realistic and how smooth the edits are, and how much of the face they change."""

from typing import Any

import torch
from torch import Tensor

from core_code.core_utils.emotions import EMOTIONS
from EmotionGAN.editor import Editor
from EmotionGAN.measure.face_sets import Edits, FaceSet, edit
from EmotionGAN.measure.judges import Classifier, Judgement
from EmotionGAN.measure.metrics import frechet_distance, mean_change, structural_similarity
from EmotionGAN.measure.summary import Figure, Summary, mean, summary_of

LINE_POINTS, LINE_FACES = 11, 50
FEWEST = 4  # faces of an emotion for a Frechet distance: two halves with a covariance each


def frechet_figures(faces: FaceSet, real: Judgement, edits: Edits, judged: Judgement) -> dict[str, Figure]:
    """Frechet distances in one judge's features, edits to an emotion against real faces of it, beside the distance of
    the real faces' halves; and how many times that it is."""
    of_edits: dict[str, Summary] = {}
    of_halves: dict[str, Summary] = {}
    ratios: dict[str, Summary] = {}
    edit_splits = faces.splits_of(edits.rows)
    for split, mask in faces.splits().items():
        distance: dict[str, float | None] = {}
        halves: dict[str, float | None] = {}
        for index, emotion in enumerate(EMOTIONS):
            shown = real.features[mask & (faces.labels == index)]
            edited = judged.features[edit_splits[split] & (edits.targets == index)]
            enough = len(shown) >= FEWEST and len(edited) >= 2
            distance[emotion] = frechet_distance(edited, shown) if enough else None
            halves[emotion] = frechet_distance(shown[::2], shown[1::2]) if enough else None
        times = {
            emotion: (value / halves[emotion] if value is not None and halves[emotion] else None)  # type: ignore[operator]
            for emotion, value in distance.items()
        }
        of_edits[split], of_halves[split] = summary_of(distance, None, False), summary_of(halves, None, False)
        ratios[split] = summary_of(times, None, False)
    return {
        "frechet": Figure("Frechet distance to real faces (real: their halves')", of_edits, of_halves, False, False),
        "frechet_ratio": Figure("Frechet distance, times the real halves'", ratios, None, False, False),
    }


def change_of_edits(editor: Editor, faces: FaceSet, edits: Edits) -> dict[str, float]:
    """Of edits to other emotions: the mean change (L1 of the 0..1 range), SSIM, and the change that is left when they
    are edited back to the centre of the face's own emotion."""
    sources = faces.faces[edits.rows]
    returned = edit(editor, edits.images, editor.space.centres[faces.labels[edits.rows]])
    return {
        "change": mean_change(sources, edits.images),
        "similarity": mean_similarity(sources, edits.images, editor.device),
        "cycle_change": mean_change(sources, returned),
    }


def mean_similarity(faces: Tensor, others: Tensor, device: torch.device, part: int = 512) -> float:
    """structural_similarity of any number of faces, without much memory, on a device that has float64."""
    device = torch.device("cpu") if device.type == "mps" else device
    parts = zip(faces.split(part), others.split(part), strict=True)
    sums = [structural_similarity(a.to(device), b.to(device)) * len(a) for a, b in parts]
    return sum(sums) / len(faces)


def measure_lines(editor: Editor, classifier: Classifier, faces: Tensor) -> dict[str, list[float]]:
    """Mean probability of each emotion along the line to it from Neutral's centre, at LINE_POINTS even steps."""
    start = editor.space.centres[editor.space.emotions.index("Neutral")]
    steps = torch.linspace(0, 1, LINE_POINTS)[:, None]
    faces, lines = faces[:LINE_FACES], {}
    for target, emotion in enumerate(editor.space.emotions):
        if emotion == "Neutral":
            continue
        points = start + steps * (editor.space.centres[target] - start)
        codes = points.repeat_interleave(len(faces), dim=0)
        probabilities = classifier.probabilities(edit(editor, faces.repeat(LINE_POINTS, 1, 1), codes))[:, target]
        lines[emotion] = [round(value, 4) for value in probabilities.reshape(LINE_POINTS, -1).mean(1).tolist()]
    return lines


def largest_steps(lines: dict[str, list[float]]) -> dict[str, float]:
    """The largest step of the probability from one point of each line to the next: at least 1 / (LINE_POINTS - 1)
    where it goes from 0 to 1."""
    return {emotion: torch.tensor(line).diff().abs().max().item() for emotion, line in lines.items()}


def smoothness_figure(lines: dict[str, list[float]]) -> dict[str, Any]:
    """The largest steps as a figure of all faces."""
    steps: dict[str, float | None] = {**dict.fromkeys(EMOTIONS), **largest_steps(lines)}
    known = torch.tensor([value for value in steps.values() if value is not None])
    summary = {"all": summary_of(steps, mean(known), False)}
    title = "largest step of the probability on the line from Neutral"
    return {"smoothness": Figure(title, summary, None, False, False)}
