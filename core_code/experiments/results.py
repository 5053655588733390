"""The figures of a study: how well each model and vote predicts each split."""

import dataclasses
import statistics
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import torch
from torch import Tensor

from core_code.core_utils.checkpoints import FINAL, best_epoch
from core_code.core_utils.choices import NO_TTA
from core_code.core_utils.emotions import EMOTIONS
from core_code.core_utils.metrics.scores import score
from core_code.core_utils.metrics.significance import crossed_mean, mcnemar
from core_code.evaluation.predictions import Predictions
from core_code.evaluation.report import FIGURES
from core_code.experiments.arms import ARMS
from core_code.experiments.comparisons import compare_all
from core_code.experiments.models import Model, described, models_of
from core_code.experiments.plan import Step, checkpoint_files
from core_code.experiments.predicted import AllPredictions, keys_of
from core_code.experiments.presets import BEST_PUBLISHED, PUBLISHED, StudySettings
from core_code.experiments.runner import read_ledger
from core_code.training.byol import BYOLTask
from core_code.training.classifier import ClassifierTask

FORMAT = 3
PROTOCOL = ("epochs", "image_size", "weights", "num_augments", "seeds", "byol_epochs", "byol_image_size", "equal_faces",
            "max_faces", "training_flags", "recipe", "shares", "whole_seeds", "whole_epochs",
            "learn_generators")  # fmt: skip


def collect(
    steps: Sequence[Step], selected: AllPredictions, last: AllPredictions, failed: dict[str, str], faces: int,
    training_faces: Tensor, study: StudySettings,
) -> dict[str, Any]:  # fmt: skip
    """The content of results.json, as plain values.

    `selected` and `last`: the predictions at the best epoch and at the last; `failed`: errors by step; `faces`: the
    size of the study's training set; `training_faces`: see compare_all.
    """
    settings, records = dataclasses.asdict(study), read_ledger(study.output_root)
    splits = next(iter(selected.values()), {})
    return {
        "format": FORMAT, "dataset": study.dataset, "preset": study.preset,
        "protocol": {**{name: settings[name] for name in PROTOCOL}, "training_faces": faces},
        "generator": generator_of(study), "emotions": list(EMOTIONS), "experiments": described(study.experiments),
        "splits": {name: len(found.labels) for name, found in splits.items()},
        "runs": [run_of(step, records.get(step.name, []), failed, study) for step in steps],
        "scores": list(all_scores(selected, study)), "comparisons": compare_all(selected, last, training_faces, study),
        "published": {net: PUBLISHED[net] for net in study.nets if net in PUBLISHED and study.dataset == "fer2013"},
        "best_published": BEST_PUBLISHED if study.dataset == "fer2013" else {},
    }  # fmt: skip


def generator_of(study: StudySettings) -> str:
    """Which faces the generator of the images has seen, in words."""
    if not any(ARMS[name].images for name in study.experiments):
        return ""
    if study.learn_generators and min(study.shares) < 1:
        return "The images of a part of the training faces come from a generator that was learned from that part alone."
    if study.generator:
        return f"The images come from the generator {study.generator}; which faces it has seen is not checked."
    if study.dataset != "fer2013":
        return "The images come from the generator that is included, which has seen FER2013's training faces."
    return ("The images come from the generator that is included, which has seen all 28,709 training faces of FER2013: "
            "nets that are trained on a part of them learn something of the others through it.")  # fmt: skip


def run_of(step: Step, records: list[dict], failed: dict[str, str], study: StudySettings) -> dict[str, Any]:
    """A step: command, state, and of a training its time, rate, best epoch and history. `records`: its ledger's."""
    run: dict[str, Any] = {
        "name": step.name, "kind": step.kind, "net": step.net, "experiment": step.experiment, "seed": step.seed,
        "share": step.share, "command": step.shown, "error": failed.get(step.name, ""),
        "state": "complete" if step.complete else "failed" if step.name in failed else "missing",
        "hardware": records[-1]["hardware"] if records else "",
        "seconds": round(sum(record["seconds"] for record in records), 1) if records else None,
    }  # fmt: skip
    if step.kind in ("training", "byol") and step.complete:
        history = checkpoint_files(step, study.output_root).load(FINAL, "history")["history"]
        seconds = sum(record["seconds"] for record in history)
        task = BYOLTask if step.kind == "byol" else ClassifierTask
        run |= {
            "seconds": round(seconds, 1), "faces": step.amount, "faces_per_second": round(step.amount / seconds, 1),
            "best_epoch": best_epoch(history, task.best_by, task.higher_is_better), "history": history,
        }  # fmt: skip
    return run


def all_scores(predictions: AllPredictions, study: StudySettings) -> Iterator[dict[str, Any]]:
    """The figures of every net, part of the faces, model, split and kind of view: of each seed, their mean and spread.

    The standard deviation over the seeds (n - 1) is None for one seed; `interval` is that of mean top-1, over seeds and
    faces. `mcnemar` compares a model with the baseline of the same net, seed and views on the same faces.
    """
    keys = [key for key in keys_of(study) if key in predictions]
    for net, share in dict.fromkeys(key[:2] for key in keys):
        by_seed = {key[2]: predictions[key] for key in keys if key[:2] == (net, share)}
        splits = dict.fromkeys(split for found in by_seed.values() for split in found)
        trained = list(dict.fromkeys(name for found in by_seed.values() for name in found["val"].logits))
        for tta, model, split in product(dict.fromkeys((NO_TTA, study.tta)), models_of(trained), splits):
            chosen = {
                seed: found[split] for seed, found in by_seed.items()
                if split in found and set(model.members) <= set(found[split].logits)
            }  # fmt: skip
            if chosen:
                seeds = {seed: scores_of(model, found, tta) for seed, found in chosen.items()}
                hits = torch.stack([correct(model, found, tta) for found in chosen.values()])
                figures = {name: [scores[name] for scores in seeds.values()] for name in FIGURES}
                yield {
                    "net": net, "share": share, "model": model.name, "members": list(model.members), "vote": model.vote,
                    "tta": tta, "split": split, "seeds": seeds, "interval": crossed_mean(hits)[1:3],
                    "mean": {name: statistics.fmean(each) for name, each in figures.items()},
                    "std": {name: statistics.stdev(each) if len(each) > 1 else None for name, each in figures.items()},
                }  # fmt: skip


def correct(model: Model, predictions: Predictions, tta: str) -> torch.Tensor:
    """Which faces a model predicts correctly, bool [N]."""
    every = predictions.logits if tta == NO_TTA else predictions.tta
    return model.logits(every).argmax(1) == predictions.labels


def scores_of(model: Model, predictions: Predictions, tta: str) -> dict[str, Any]:
    """A model's figures on some faces."""
    every = predictions.logits if tta == NO_TTA else predictions.tta
    logits, labels = model.logits(every), predictions.labels
    scores = score(logits, labels)._asdict() | {"mcnemar": None}
    if "baseline" in every and model.name != "baseline":
        both = [correct(one, predictions, tta) for one in (model, Model(("baseline",)))]
        scores["mcnemar"] = mcnemar(*both)._asdict()
    return scores
