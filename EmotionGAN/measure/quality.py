"""How well a generator edits, judged by an independent classifier that was trained on real faces alone."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from core_code.core_utils.tables import as_markdown
from EmotionGAN.editor import Editor
from EmotionGAN.measure.metrics import frechet_distance, mean_change, structural_similarity

LINE_POINTS, LINE_FACES = 11, 100


@dataclass(frozen=True)
class Classifier:
    """An independent classifier: faces uint8 [B,H,W] to logits float [B,7] and features float [B,D], on the CPU."""

    predict: Callable[[Tensor], tuple[Tensor, Tensor]]
    name: str


def classifier_of(head: nn.Module, predict: Callable[[Tensor], Tensor], name: str) -> Classifier:
    """A net as a classifier: `predict` returns its logits [B,7] of faces; the features are what its `head` is given."""
    features: list[Tensor] = []
    head.register_forward_pre_hook(lambda module, inputs: features.append(inputs[0].float().cpu()))

    def predict_both(faces: Tensor) -> tuple[Tensor, Tensor]:
        features.clear()
        return torch.cat([predict(batch).cpu() for batch in faces.split(256)]), torch.cat(features)

    return Classifier(predict_both, name)


def measure_quality(editor: Editor, classifier: Classifier, faces: Tensor, labels: Tensor) -> dict[str, Any]:
    """Edit every face to each other emotion's centre and judge the edits.

    faces: uint8 [N,H,W]; labels: int64 [N]. Accuracies, probabilities and changes are in 0..1; `cycle_change` is the
    change left when the edit is edited back to the centre of the face's own emotion; Frechet distances are in the
    classifier's features, edits against real faces of the same emotion, beside the distance of the real faces' halves.
    """
    logits, features = classifier.predict(faces)
    per_emotion: dict[str, dict[str, float]] = {}
    changes, weights = [], []
    for target, emotion in enumerate(editor.space.emotions):
        shown = labels == target
        sources, own_labels = faces[~shown], labels[~shown]
        edits = editor.edit_all(sources, editor.space.centres[target].expand(len(sources), 2))
        returned = editor.edit_all(edits, editor.space.centres[own_labels])
        edit_logits, edit_features = classifier.predict(edits)
        changes.append(
            [mean_change(sources, edits), structural_similarity(sources, edits), mean_change(sources, returned)]
        )
        weights.append(len(sources))
        real = features[shown]
        per_emotion[emotion] = {
            "accuracy_on_edits": (edit_logits.argmax(1) == target).float().mean().item(),
            "confidence_on_edits": edit_logits.softmax(1)[:, target].mean().item(),
            "accuracy_on_real": (logits[shown].argmax(1) == target).float().mean().item(),
            "confidence_on_real": logits[shown].softmax(1)[:, target].mean().item(),
            "frechet": frechet_distance(edit_features, real),
            "frechet_real_halves": frechet_distance(real[::2], real[1::2]),
        }
    shares = torch.tensor(weights, dtype=torch.float64) / sum(weights)
    change, similarity, cycle = (shares @ torch.tensor(changes, dtype=torch.float64)).tolist()
    return {
        "generator": editor.name,
        "generator_fingerprint": editor.fingerprint,
        "classifier": classifier.name,
        "faces": len(faces),
        "accuracy_on_real": (logits.argmax(1) == labels).float().mean().item(),
        "target_accuracy": sum(row["accuracy_on_edits"] for row in per_emotion.values()) / len(per_emotion),
        "emotions": per_emotion,
        "change": change,
        "similarity": similarity,
        "cycle_change": cycle,
        "smoothness": measure_lines(editor, classifier, faces[:LINE_FACES]),
    }


def measure_lines(editor: Editor, classifier: Classifier, faces: Tensor) -> dict[str, list[float]]:
    """Mean probability of each emotion along the line to it from Neutral's centre, at LINE_POINTS even steps."""
    start = editor.space.centres[editor.space.emotions.index("Neutral")]
    steps = torch.linspace(0, 1, LINE_POINTS)[:, None]
    lines = {}
    for target, emotion in enumerate(editor.space.emotions):
        if emotion == "Neutral":
            continue
        points = start + steps * (editor.space.centres[target] - start)
        codes = points.repeat_interleave(len(faces), dim=0)
        logits, _ = classifier.predict(editor.edit_all(faces.repeat(LINE_POINTS, 1, 1), codes))
        probabilities = logits.softmax(1)[:, target].reshape(LINE_POINTS, -1).mean(1)
        lines[emotion] = [round(value, 4) for value in probabilities.tolist()]
    return lines


def quality_table(result: dict[str, Any]) -> str:
    """The result of measure_quality as a Markdown table and two lines. The largest step, from one point of the line of
    codes to the next, is at least 1 / (LINE_POINTS - 1) where the probability goes from 0 to 1."""
    lines = result["smoothness"]
    rows = [
        {
            "emotion": emotion,
            "accuracy on edits": f"{100 * row['accuracy_on_edits']:.1f} %",
            "accuracy on real faces": f"{100 * row['accuracy_on_real']:.1f} %",
            "confidence, edits / real": f"{row['confidence_on_edits']:.2f} / {row['confidence_on_real']:.2f}",
            "Frechet, edits / halves": f"{row['frechet']:.1f} / {row['frechet_real_halves']:.1f}",
            "largest step on the line": (
                f"{torch.tensor(lines[emotion]).diff().abs().max():.2f}" if emotion in lines else "-"
            ),
        }
        for emotion, row in result["emotions"].items()
    ]
    return (
        f"{as_markdown(pd.DataFrame(rows))}\n\n"
        f"target accuracy over all emotions {100 * result['target_accuracy']:.1f} %; the classifier's accuracy on the "
        f"{result['faces']} real faces {100 * result['accuracy_on_real']:.1f} %\n"
        f"change {result['change']:.3f} (L1 of the 0..1 range), SSIM {result['similarity']:.3f}, "
        f"change left after editing back {result['cycle_change']:.3f}"
    )
