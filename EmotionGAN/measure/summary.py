"""A figure of edits beside the same figure of real faces: per emotion, in each group of the faces."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from core_code.core_utils.emotions import EMOTIONS

Summary = dict[str, Any]


@dataclass(frozen=True)
class Metric:
    """edits and real: a summary for each group. percent: values are shares in 0..1. higher_is_better: which emotion
    is the worst."""

    title: str
    edits: dict[str, Summary]
    real: dict[str, Summary] | None = None
    percent: bool = True
    higher_is_better: bool = True


def summarise(
    values: Tensor, emotions: Tensor, groups: Mapping[str, Tensor], higher_is_better: bool = True
) -> dict[str, Summary]:
    """The mean of values [M] for each of their emotions int64 [M], in each group bool [M]."""
    values, summaries = values.double(), {}
    for name, mask in groups.items():
        means = {
            emotion: mean(values[mask & (emotions == index)]) for index, emotion in enumerate(EMOTIONS)
        }  # fmt: skip
        summaries[name] = summary_of(means, mean(values[mask]), higher_is_better)
    return summaries


def mean(values: Tensor) -> float | None:
    """None of no values."""
    return values.mean().item() if len(values) else None


def summary_of(means: Mapping[str, float | None], overall: float | None, higher_is_better: bool = True) -> Summary:
    """A value for each emotion (None where there are no faces), their mean, the worst one, and the one over all
    faces."""
    known = {emotion: value for emotion, value in means.items() if value is not None}
    worst = (min if higher_is_better else max)(known, key=lambda emotion: known[emotion], default=None)
    return {
        "emotions": dict(means),
        "mean": sum(known.values()) / len(known) if known else None,
        "worst": known[worst] if worst else None,
        "worst_emotion": worst,
        "overall": overall,
    }


def mean_summary(several: list[dict[str, Summary]]) -> dict[str, Summary]:
    """The mean of several summaries of the same faces, as of several judges; the lowest value is the worst."""
    summaries = {}
    for group in several[0]:
        parts = [one[group] for one in several]
        means = {emotion: plain_mean([part["emotions"][emotion] for part in parts]) for emotion in EMOTIONS}
        summaries[group] = summary_of(means, plain_mean([part["overall"] for part in parts]))
    return summaries


def plain_mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
