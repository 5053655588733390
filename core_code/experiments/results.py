"""The figures of a study: how well each model and vote predicts each split, and whether differences are significant."""

import dataclasses
import statistics
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, product
from typing import Any, NamedTuple

from torch import Tensor

from core_code.core_utils.checkpoints import BEST, FINAL, best_epoch
from core_code.core_utils.devices import pick_hardware
from core_code.core_utils.emotions import EMOTIONS
from core_code.core_utils.flags import NO_TTA
from core_code.core_utils.metrics.scores import mean_vote, score, surest_vote
from core_code.core_utils.metrics.significance import mcnemar
from core_code.evaluation.predictions import Predictions, predict_splits
from core_code.evaluation.report import FIGURES
from core_code.evaluation.settings import EvaluationSettings
from core_code.experiments.plan import Step, checkpoint_files
from core_code.experiments.presets import BEST_PUBLISHED, EXPERIMENTS, PUBLISHED, StudySettings
from core_code.experiments.runner import read_ledger
from core_code.training.byol import BYOLTask
from core_code.training.classifier import ClassifierTask
from core_code.training.inference import load_trained

FORMAT = 2
VOTERS = 3
VOTES = {"surest": surest_vote, "mean": mean_vote}
PROTOCOL = ("epochs", "image_size", "weights", "num_augments", "seeds", "byol_epochs", "byol_image_size", "equal_faces",
            "max_faces", "training_flags")  # fmt: skip
AllPredictions = Mapping[tuple[str, int], Mapping[str, Predictions]]  # by net and seed, then by split


class Model(NamedTuple):
    """A trained net, or a vote of several: `vote` is empty, surest or mean, `members` the experiments in it."""

    members: tuple[str, ...]
    vote: str = ""

    @property
    def name(self) -> str:
        return f"vote ({self.vote}) of {', '.join(self.members)}" if self.vote else self.members[0]

    def logits(self, of: dict[str, Tensor]) -> Tensor:
        """The model's logits, float [N,7], from those of the experiments."""
        several = [of[member] for member in self.members]
        return VOTES[self.vote](several) if self.vote else several[0]


def models_of(experiments: Sequence[str]) -> list[Model]:
    """Each experiment, and the votes of any three of them (of two, where there are but two)."""
    voters = min(VOTERS, len(experiments))
    votes = [Model(members, vote) for vote in VOTES for members in combinations(experiments, voters) if voters > 1]
    return [Model((experiment,)) for experiment in experiments] + votes


def trainings(steps: Sequence[Step], net: str, seed: int) -> list[Step]:
    """The complete trainings of a net's classifiers with a seed."""
    return [step for step in steps if step.complete and (step.kind, step.net, step.seed) == ("training", net, seed)]


def evaluation_settings(study: StudySettings, net: str) -> EvaluationSettings:
    """How a net is evaluated; the views are of the size that each run was trained on."""
    return EvaluationSettings(
        net, *pick_hardware(study.device, study.precision), data_root=study.data_root, dataset=study.dataset,
        max_faces=study.max_faces, output_root=study.output_root, tta=study.tta, seed=study.seed,
    )  # fmt: skip


def predict_all(steps: Sequence[Step], study: StudySettings) -> AllPredictions:
    """The predictions of every trained net on val and test; nets not trained yet are left out. Raises InputError."""
    predictions = {}
    for net, seed in product(study.nets, study.seeds):
        settings = evaluation_settings(study, net)
        nets = {
            step.experiment: load_trained(checkpoint_files(step, study.output_root), BEST, settings.device)
            for step in trainings(steps, net, seed)
        }
        if nets:
            predictions[net, seed] = predict_splits(settings, nets)
    return predictions


def collect(
    steps: Sequence[Step], predictions: AllPredictions, failed: dict[str, str], faces: int, study: StudySettings
) -> dict[str, Any]:
    """The content of results.json, as plain values. `failed`: errors by step; `faces`: the size of the training set."""
    settings = dataclasses.asdict(study)
    splits = next(iter(predictions.values()), {})
    return {
        "format": FORMAT, "dataset": study.dataset, "preset": study.preset,
        "protocol": {**{name: settings[name] for name in PROTOCOL}, "training_faces": faces},
        "emotions": list(EMOTIONS),
        "experiments": {name: what for name, what in EXPERIMENTS.items() if name in study.experiments},
        "splits": {name: len(found.labels) for name, found in splits.items()},
        "runs": [run_of(step, failed, study) for step in steps],
        "scores": list(all_scores(predictions, study)),
        "published": {net: PUBLISHED[net] for net in study.nets if net in PUBLISHED and study.dataset == "fer2013"},
        "best_published": BEST_PUBLISHED if study.dataset == "fer2013" else {},
    }  # fmt: skip


def run_of(step: Step, failed: dict[str, str], study: StudySettings) -> dict[str, Any]:
    """A step: command, state, and of a training its time, rate, best epoch and history."""
    records = read_ledger(study.output_root).get(step.name, [])
    run: dict[str, Any] = {
        "name": step.name, "kind": step.kind, "net": step.net, "experiment": step.experiment, "seed": step.seed,
        "command": step.shown, "error": failed.get(step.name, ""),
        "state": "complete" if step.complete else "failed" if step.name in failed else "missing",
        "hardware": records[-1]["hardware"] if records else "",
        "seconds": round(sum(record["seconds"] for record in records), 1) if records else None,
    }  # fmt: skip
    if step.kind != "images" and step.complete:
        history = checkpoint_files(step, study.output_root).load(FINAL, "history")["history"]
        seconds = sum(record["seconds"] for record in history)
        task = BYOLTask if step.kind == "byol" else ClassifierTask
        run |= {
            "seconds": round(seconds, 1), "faces": step.amount, "faces_per_second": round(step.amount / seconds, 1),
            "best_epoch": best_epoch(history, task.best_by, task.higher_is_better), "history": history,
        }  # fmt: skip
    return run


def all_scores(predictions: AllPredictions, study: StudySettings) -> Iterator[dict[str, Any]]:
    """The figures of every net, model, split and kind of view: of each seed, their mean and standard deviation.

    The standard deviation over the seeds (n - 1) is None for one seed. `mcnemar` compares a model with the baseline of
    the same net, seed and views on the same faces.
    """
    for net in study.nets:
        by_seed = {seed: predictions[net, seed] for seed in study.seeds if (net, seed) in predictions}
        splits = dict.fromkeys(split for found in by_seed.values() for split in found)
        trained = [name for name in study.experiments if any(name in found["val"].logits for found in by_seed.values())]
        for tta, model, split in product(dict.fromkeys((NO_TTA, study.tta)), models_of(trained), splits):
            seeds = {
                seed: scores_of(model, found[split], tta) for seed, found in by_seed.items()
                if split in found and set(model.members) <= set(found[split].logits)
            }  # fmt: skip
            if seeds:
                figures = {name: [scores[name] for scores in seeds.values()] for name in FIGURES}
                yield {
                    "net": net, "model": model.name, "members": list(model.members), "vote": model.vote, "tta": tta,
                    "split": split, "seeds": seeds,
                    "mean": {name: statistics.fmean(each) for name, each in figures.items()},
                    "std": {name: statistics.stdev(each) if len(each) > 1 else None for name, each in figures.items()},
                }  # fmt: skip


def scores_of(model: Model, predictions: Predictions, tta: str) -> dict[str, Any]:
    """A model's figures on some faces."""
    every = predictions.logits if tta == NO_TTA else predictions.tta
    logits, labels = model.logits(every), predictions.labels
    scores = score(logits, labels)._asdict() | {"mcnemar": None}
    if "baseline" in every and model.name != "baseline":
        correct = [one.argmax(1) == labels for one in (logits, every["baseline"])]
        scores["mcnemar"] = mcnemar(*correct)._asdict()
    return scores
