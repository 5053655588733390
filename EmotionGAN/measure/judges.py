"""The classifiers that judge a generator, which know real faces only, and whether they predict the target emotion of an
edit: at the emotion's centre, and beside it."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from tqdm import tqdm

from core_code.core_utils.errors import InputError
from EmotionGAN.measure.face_sets import Edits, FaceSet
from EmotionGAN.measure.summary import Metric, mean_summary, summarise

JUDGED_AT_ONCE = 256
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Judge:
    """An independent classifier: faces uint8 [B,H,W] to logits float [B,7] and features float [B,D], on the CPU."""

    predict: Callable[[Tensor], tuple[Tensor, Tensor]]
    name: str

    def probabilities(self, faces: Tensor) -> Tensor:
        """Of each emotion, float [B,7]."""
        return self.predict(faces)[0].softmax(1)


def judge_of(
    head: nn.Module, predict: Callable[[Tensor], Tensor], name: str, device: torch.device = CPU
) -> Judge:  # fmt: skip
    """A net as a classifier: `predict` returns its logits [B,7] of faces on the device; the features are what its
    `head` is given. Raises InputError, when it judges, for outputs that are not finite."""
    features: list[Tensor] = []
    head.register_forward_pre_hook(lambda module, inputs: features.append(inputs[0]))

    def predict_both(faces: Tensor) -> tuple[Tensor, Tensor]:
        logits, seen = [], []
        batches = faces.split(JUDGED_AT_ONCE)
        for batch in tqdm(batches, desc=f"judging with {name}", unit="batch", leave=False, delay=2):
            features.clear()
            logits.append(predict(batch.to(device)).float().cpu())
            seen.append(torch.cat(features).float().cpu())
        both = torch.cat(logits), torch.cat(seen)
        if not all(values.isfinite().all() for values in both):
            raise InputError(f"judge {name}: its outputs are not all finite numbers: it has diverged")
        return both

    return Judge(predict_both, name)


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


def judge(judges: list[Judge], images: Tensor) -> list[Judgement]:
    """Every judge's predictions of images uint8 [M,H,W]."""
    return [Judgement(one.name, *one.predict(images)) for one in judges]


def target_figures(
    faces: FaceSet, real: list[Judgement], edits: Edits, judged: list[Judgement], where: str
) -> dict[str, Metric]:
    """The share of edits whose target is predicted: the mean of the judges, then each judge; and the mean probability
    of the target. Beside each the same for real faces and their labels. `where` names the codes."""
    of_edits, of_faces = faces.groups_of(edits.rows), faces.groups()
    shares = [summarise(one.hits(edits.targets), edits.targets, of_edits) for one in judged]
    recalls = [summarise(one.hits(faces.labels), faces.labels, of_faces) for one in real]
    sure = [summarise(one.of_target(edits.targets), edits.targets, of_edits) for one in judged]
    sure_real = [summarise(one.of_target(faces.labels), faces.labels, of_faces) for one in real]
    key = where.replace(" ", "_")
    figures = {f"target_{key}": Metric(f"target predicted {where}", mean_summary(shares), mean_summary(recalls))}
    if len(judged) > 1:
        for one, share, recall in zip(judged, shares, recalls, strict=True):
            figures[f"target_{key}:{one.judge}"] = Metric(f"target predicted {where}, {one.judge}", share, recall)
    title = f"probability of the target {where}"
    figures[f"probability_{key}"] = Metric(title, mean_summary(sure), mean_summary(sure_real))
    return figures


def target_probability(edits: Edits, judged: list[Judgement]) -> Tensor:
    """The mean of the judges' probabilities of the target, float [M]."""
    return torch.stack([one.of_target(edits.targets) for one in judged]).mean(0)
