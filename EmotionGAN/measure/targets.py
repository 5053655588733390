"""Whether independent classifiers predict the target emotion of an edit: at the emotion's centre, and beside it."""

from dataclasses import dataclass

import torch
from torch import Tensor

from EmotionGAN.measure.face_sets import Edits, FaceSet
from EmotionGAN.measure.judges import Classifier
from EmotionGAN.measure.summary import Figure, mean_summary, summarise


@dataclass(frozen=True)
class Judgement:
    """What one judge predicts: logits float [M,7], features float [M,D]."""

    judge: str
    logits: Tensor
    features: Tensor

    def of_target(self, targets: Tensor) -> Tensor:
        """The probability of each target int64 [M], float [M]."""
        return self.logits.softmax(1).gather(1, targets[:, None])[:, 0]

    def hits(self, targets: Tensor) -> Tensor:
        """Whether the most probable emotion is the target, bool [M]."""
        return self.logits.argmax(1) == targets


def judge(judges: list[Classifier], images: Tensor) -> list[Judgement]:
    """Every judge's predictions of images uint8 [M,H,W]."""
    return [Judgement(one.name, *one.predict(images)) for one in judges]


def target_figures(
    faces: FaceSet, real: list[Judgement], edits: Edits, judged: list[Judgement], where: str
) -> dict[str, Figure]:
    """The share of edits whose target is predicted: the mean of the judges, then each judge; and the mean probability
    of the target. Beside each the same for real faces and their labels. `where` names the codes."""
    of_edits, of_faces = faces.splits_of(edits.rows), faces.splits()
    shares = [summarise(one.hits(edits.targets), edits.targets, of_edits) for one in judged]
    recalls = [summarise(one.hits(faces.labels), faces.labels, of_faces) for one in real]
    sure = [summarise(one.of_target(edits.targets), edits.targets, of_edits) for one in judged]
    sure_real = [summarise(one.of_target(faces.labels), faces.labels, of_faces) for one in real]
    key = where.replace(" ", "_")
    figures = {f"target_{key}": Figure(f"target predicted {where}", mean_summary(shares), mean_summary(recalls))}
    if len(judged) > 1:
        for one, share, recall in zip(judged, shares, recalls, strict=True):
            figures[f"target_{key}:{one.judge}"] = Figure(f"target predicted {where}, {one.judge}", share, recall)
    title = f"probability of the target {where}"
    figures[f"probability_{key}"] = Figure(title, mean_summary(sure), mean_summary(sure_real))
    return figures


def target_probability(edits: Edits, judged: list[Judgement]) -> Tensor:
    """The mean of the judges' probabilities of the target, float [M]."""
    return torch.stack([one.of_target(edits.targets) for one in judged]).mean(0)
