"""The figures of every model on every split: as printed tables, as JSON, as CSV files and as pictures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from torch import Tensor

from core_code.core_utils.emotions import EMOTIONS
from core_code.core_utils.files import write_json
from core_code.core_utils.metrics.scores import Scores, most_wrong, reliability, score
from core_code.core_utils.metrics.significance import McNemar, mcnemar
from core_code.core_utils.metrics.votes import mean_vote, surest_vote
from core_code.core_utils.plots.evaluation import plot_most_wrong, plot_reliability
from core_code.core_utils.plots.training import plot_confusion_matrix
from core_code.core_utils.tables import as_markdown, confusion_table, write_csv
from core_code.evaluation.predictions import Predictions
from core_code.evaluation.settings import EvaluationSettings

SUREST, MEAN = "vote (surest)", "vote (mean of softmaxes)"
FILE_NAMES = {SUREST: "vote_surest", MEAN: "vote_mean"}
FIGURES = {"top1": "top-1", "top2": "top-2", "mean_per_class": "mean per class", "macro_f1": "macro F1",
           "calibration_error": "calibration error"}  # fmt: skip


class Row(NamedTuple):
    """The figures of one model, or of a vote, on one split; `mcnemar` compares it with the first model."""

    scores: Scores
    mcnemar: McNemar | None


Report = dict[str, dict[str, Row]]  # by split, then by model


def with_votes(logits: dict[str, Tensor]) -> dict[str, Tensor]:
    """The logits of each experiment and, where there are several, of their votes: float [N,E] each."""
    models = list(logits.values())
    return {**logits, SUREST: surest_vote(models), MEAN: mean_vote(models)} if len(models) > 1 else logits


def make_report(predictions: Mapping[str, Predictions], tta: str) -> Report:
    """The figures of the experiments and of their votes by split; beside them those with test-time augmentation.

    All models of a split but the first are compared with the first.
    """
    report: Report = {}
    for split, found in predictions.items():
        augmented = {f"{name}, {tta}": logits for name, logits in with_votes(found.tta).items()}
        logits = {**with_votes(found.logits), **augmented}
        correct = [each.argmax(1) == found.labels for each in logits.values()]
        report[split] = {
            name: Row(score(logits[name], found.labels), None if hits is correct[0] else mcnemar(hits, correct[0]))
            for name, hits in zip(logits, correct, strict=True)
        }
    return report


def figures_table(report: Report) -> pd.DataFrame:
    """A row a split and model: the number of faces, FIGURES in [0,1], and p of McNemar's test, NaN for the first."""
    return pd.DataFrame(
        {"split": split, "model": model, "faces": row.scores.faces}
        | {figure: getattr(row.scores, figure) for figure in FIGURES}
        | {"p_value": row.mcnemar.p_value if row.mcnemar else float("nan")}
        for split, models in report.items()
        for model, row in models.items()
    )


def emotions_table(report: Report, emotions: Sequence[str] = EMOTIONS) -> pd.DataFrame:
    """A row a split, model and emotion: counts of faces, and recall, precision and F1 in [0,1], NaN for 0/0."""
    parts = []
    for split, models in report.items():
        for model, row in models.items():
            confusion = np.array(row.scores.confusion)
            counts = {"faces": confusion.sum(1), "predicted": confusion.sum(0), "correct": confusion.diagonal()}
            parts.append(pd.DataFrame({"split": split, "model": model, "emotion": emotions, **counts}))
    table = pd.concat(parts, ignore_index=True)
    recall, precision = table.correct / table.faces, table.correct / table.predicted
    return table.assign(recall=recall, precision=precision, f1=2 * table.correct / (table.faces + table.predicted))


def as_text(report: Report, models: Sequence[str], emotions: Sequence[str] = EMOTIONS) -> str:
    """A Markdown table for each split, shares in percent; and the confusion matrices of `models` on val and test."""
    parts = []
    for split, rows in figures_table(report).groupby("split", sort=False):
        first, faces = rows.model.iloc[0], rows.faces.iloc[0]
        percent = (100 * rows[[*FIGURES]]).rename(columns=FIGURES)
        shown = pd.DataFrame({f"{split} ({faces} faces)": rows.model, **percent})
        if len(rows) > 1:
            shown[f"p (McNemar, against {first})"] = [f"{p:.2g}" if pd.notna(p) else "" for p in rows.p_value]
        parts.append(as_markdown(shown, decimals=2))
    for split in ("val", "test"):
        for name in models:
            confusion = confusion_table(report[split][name].scores.confusion, emotions)
            parts.append(f"{name} on {split}: rows are the true emotions\n\n{as_markdown(confusion, decimals=1)}")
    return "\n\n".join(parts)


def as_json(report: Report, settings: EvaluationSettings, maps: Mapping[str, Any]) -> dict[str, Any]:
    """The figures as plain values, those of the t-SNE `maps` by experiment among them."""
    return {
        "net": settings.net_name,
        "experiments": settings.exp_names,
        "checkpoint": settings.checkpoint,
        "dataset": settings.dataset,
        "tta": settings.tta,
        "emotions": settings.emotions,
        "compared_with": settings.exp_names[0],
        "splits": {
            split: {name: {**row.scores._asdict(), "mcnemar": row.mcnemar and row.mcnemar._asdict()}
                    for name, row in rows.items()}
            for split, rows in report.items()
        },
        **({"tsne": {"on": settings.tsne_on, "experiments": maps}} if maps else {}),
    }  # fmt: skip


def write_figures(report: Report, settings: EvaluationSettings, maps: Mapping[str, Any]) -> list[Path]:
    """Write evaluation_<net>.json and .csv (a row a model) and evaluation_<net>_emotions.csv; returns their paths."""
    stem = f"evaluation_{settings.net_name}"
    paths = [settings.output(stem, "json"), settings.output(stem, "csv"), settings.output(f"{stem}_emotions", "csv")]
    write_json(paths[0], as_json(report, settings, maps))
    write_csv(paths[1], figures_table(report))
    write_csv(paths[2], emotions_table(report, settings.emotions))
    return paths


def draw_pictures(
    report: Report, predictions: Mapping[str, Predictions], settings: EvaluationSettings, votes: bool = True
) -> dict[str, list[Path]]:
    """All pictures without test-time augmentation: paths by kind (confusion, reliability, most_wrong).

    With `votes` also the confusion matrices of the votes of all.
    """
    names = predictions["val"].logits
    return {
        "confusion": [draw_confusion(report[split][model].scores, split, model, settings)
                      for split in ("val", "test") for model in (with_votes(names) if votes else names)],
        "reliability": [draw_reliability(predictions, name, settings) for name in names],
        # on val, so that test takes no part in improving a model
        "most_wrong": [draw_most_wrong(predictions["val"], name, settings) for name in names],
    }  # fmt: skip


def draw_confusion(scores: Scores, split: str, model: str, settings: EvaluationSettings) -> Path:
    """confusion_matrix_<net>_<exp>_<split>.png of an experiment or vote."""
    path = settings.picture("confusion_matrix", f"{FILE_NAMES.get(model, model)}_{split}")
    title = f"{settings.net_name}, {model}: {split}, {scores.faces} faces, top-1 {100 * scores.top1:.2f} %"
    return plot_confusion_matrix(scores.confusion, settings.emotions, path, title)


def draw_reliability(predictions: Mapping[str, Predictions], name: str, settings: EvaluationSettings) -> Path:
    """reliability_<net>_<exp>.png of an experiment, val beside test."""
    bins = {split: reliability(predictions[split].logits[name], predictions[split].labels) for split in ("val", "test")}
    title = f"{settings.net_name}, {name}: accuracy against confidence"
    return plot_reliability(bins, settings.picture("reliability", name), title)


def draw_most_wrong(val: Predictions, name: str, settings: EvaluationSettings) -> Path:
    """most_wrong_<net>_<exp>.png of an experiment: the errors of highest confidence."""
    worst = val.subset(most_wrong(val.logits[name], val.labels, settings.most_wrong))
    confidences, predicted = worst.logits[name].double().softmax(1).max(1)
    title = f"{settings.net_name}, {name}: most confident errors on val (above: the label, below: the prediction)"
    return plot_most_wrong(
        worst.faces.numpy(), worst.labels.numpy(), predicted.numpy(), confidences.numpy(), settings.emotions,
        settings.picture("most_wrong", name), title,
    )  # fmt: skip
