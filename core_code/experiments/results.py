"""The figures of a study: what every model and vote reads right, on which faces, and whether by more than chance."""

import argparse
import statistics
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import torch
from torch import Tensor

from core_code.core_utils.checkpoints import BEST, FINAL, best_epoch
from core_code.core_utils.devices import pick_hardware
from core_code.core_utils.emotions import EMOTIONS
from core_code.core_utils.flags import NO_TTA
from core_code.core_utils.metrics.scores import mean_vote, score, surest_vote
from core_code.core_utils.metrics.significance import mcnemar
from core_code.evaluation.predictions import Predictions, predict_splits
from core_code.evaluation.settings import EvaluationSettings
from core_code.experiments.plan import Step, checkpoint_files
from core_code.experiments.presets import BEST_PUBLISHED, EXPERIMENTS, PRESETS, PUBLISHED, WHAT
from core_code.experiments.runner import read_ledger
from core_code.training.byol import BYOLTask
from core_code.training.classifier import ClassifierTask
from core_code.training.inference import load_trained

FORMAT = 1
VOTERS = 3
VOTES = {"surest": surest_vote, "mean": mean_vote}
FIGURES = ("top1", "top2", "mean_per_class", "macro_f1", "calibration_error")  # shares in [0,1]
AllPredictions = dict[tuple[str, int], dict[str, Predictions]]  # by net and seed, then by split


class Model(NamedTuple):
    """A trained net, or a vote of several: `vote` is empty, surest or mean, `members` the experiments in it."""

    members: tuple[str, ...]
    vote: str = ""

    @property
    def name(self) -> str:
        return f"vote ({self.vote}) of {', '.join(self.members)}" if self.vote else self.members[0]

    def logits(self, of: dict[str, Tensor]) -> Tensor:
        """What the model says, float [N,7], out of what the experiments say."""
        several = [of[member] for member in self.members]
        return VOTES[self.vote](several) if self.vote else several[0]


def models_of(experiments: Sequence[str]) -> list[Model]:
    """Each experiment, and the votes of any three of them (of two, where there are but two)."""
    voters = min(VOTERS, len(experiments))
    votes = [Model(members, vote) for vote in VOTES for members in combinations(experiments, voters) if voters > 1]
    return [Model((experiment,)) for experiment in experiments] + votes


def predict_all(steps: Sequence[Step], args: argparse.Namespace) -> AllPredictions:
    """What every trained net says of val and test; nets that are not trained yet are left out. Raises InputError."""
    device, dtype = pick_hardware(args.device, args.precision)
    readings = {}
    for net in args.nets:
        for seed in args.seeds:
            trained = {}
            for step in trainings(steps, net, seed):
                trained[step.experiment] = load_trained(checkpoint_files(step, args.output_root), BEST)
                trained[step.experiment].net.to(device)
            if trained:
                settings = evaluation_settings(net, args, device, dtype)
                readings[net, seed] = predict_splits(settings, trained)
    return readings


def evaluation_settings(
    net: str, args: argparse.Namespace, device: torch.device, dtype: torch.dtype
) -> EvaluationSettings:
    """How a net is evaluated; the views are of the size that each run was trained on."""
    return EvaluationSettings(
        net, device, dtype, data_root=args.data_root, dataset=args.dataset, max_faces=args.max_faces,
        output_root=args.output_root, tta=args.tta, seed=args.seed,
    )  # fmt: skip


def trainings(steps: Sequence[Step], net: str = "", seed: int | None = None) -> list[Step]:
    """The complete trainings of classifiers among the steps, of a net and a seed where they are given."""
    return [
        step for step in steps
        if step.kind == "training" and step.complete and net in ("", step.net) and seed in (None, step.seed)
    ]  # fmt: skip


def collect(
    steps: Sequence[Step], readings: AllPredictions, failed: dict[str, str], faces: int, args: argparse.Namespace
) -> dict[str, Any]:
    """All that results.json holds, as plain values.

    `failed`: what went wrong, by the step's name; `faces`: the size of the training set.
    """
    preset = PRESETS[args.preset]
    splits = next(iter(readings.values()), {})
    return {
        "format": FORMAT,
        "dataset": args.dataset,
        "preset": args.preset,
        "protocol": {
            **{name: getattr(args, name) for name in ("epochs", "image_size", "weights", "num_augments", "seeds")},
            **{name: getattr(args, name) for name in ("byol_epochs", "byol_image_size")},
            "equal_faces": preset.equal_faces,
            "training_faces": faces,
        },
        "emotions": list(EMOTIONS),
        "experiments": {name: WHAT[name] for name in EXPERIMENTS if name in args.experiments},
        "splits": {name: len(read.labels) for name, read in splits.items()},
        "runs": [run_of(step, failed, args) for step in steps],
        "scores": list(all_scores(readings, args)),
        "published": {net: PUBLISHED[net] for net in args.nets if net in PUBLISHED and args.dataset != "sample"},
        "best_published": BEST_PUBLISHED,
    }


def run_of(step: Step, failed: dict[str, str], args: argparse.Namespace) -> dict[str, Any]:
    """A step as it went: command, state, and of a training its time, rate, best epoch and curves."""
    records = read_ledger(args.output_root).get(step.name, [])
    state = "complete" if step.complete else "failed" if step.name in failed else "missing"
    run: dict[str, Any] = {
        "name": step.name, "kind": step.kind, "net": step.net, "experiment": step.experiment, "seed": step.seed,
        "command": step.shown, "state": state, "error": failed.get(step.name, ""),
        "hardware": records[-1]["hardware"] if records else "",
        "seconds": round(sum(record["seconds"] for record in records), 1) if records else None,
    }  # fmt: skip
    if step.kind != "images" and step.complete:
        history = checkpoint_files(step, args.output_root).load(FINAL, "history")["history"]
        seconds = sum(record["seconds"] for record in history)
        run["seconds"] = round(seconds, 1)
        run["faces"] = step.amount
        run["faces_per_second"] = round(step.amount / seconds, 1)
        task = BYOLTask if step.kind == "byol" else ClassifierTask
        run["best_epoch"] = best_epoch(history, task.best_by, task.higher_is_better)
        run["history"] = history
    return run


def all_scores(readings: AllPredictions, args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The figures of every net, model, split and kind of view: of each seed, their mean and spread.

    The spread is the standard deviation over the seeds (n - 1), None for one. `mcnemar` compares a model with the
    baseline of the same net, seed and views on the same faces.
    """
    for net in args.nets:
        by_seed = {seed: readings[net, seed] for seed in args.seeds if (net, seed) in readings}
        everywhere = [name for name in args.experiments if any(name in r["val"].logits for r in by_seed.values())]
        for tta in dict.fromkeys((NO_TTA, args.tta)):
            for model in models_of(everywhere):
                for split in dict.fromkeys(split for read in by_seed.values() for split in read):
                    seeds = {
                        seed: found
                        for seed, read in by_seed.items()
                        if split in read and (found := scores_of(model, read[split], tta))
                    }
                    if seeds:
                        yield {
                            "net": net, "model": model.name, "members": list(model.members), "vote": model.vote,
                            "tta": tta, "split": split, "seeds": seeds, **over_seeds(list(seeds.values())),
                        }  # fmt: skip


def scores_of(model: Model, read: Predictions, tta: str) -> dict[str, Any] | None:
    """A model's figures on some faces; None where one of its members was not trained."""
    logits = read.logits if tta == NO_TTA else read.tta
    if not set(model.members) <= set(logits):
        return None
    said = model.logits(logits)
    found = score(said, read.labels)._asdict() | {"mcnemar": None}
    if "baseline" in logits and model.name != "baseline":
        right = [one.argmax(1) == read.labels for one in (said, logits["baseline"])]
        found["mcnemar"] = mcnemar(*right)._asdict()
    return found


def over_seeds(found: Sequence[dict[str, Any]]) -> dict[str, dict[str, float | None]]:
    """Mean and spread of each figure."""
    values = {figure: [one[figure] for one in found] for figure in FIGURES}
    return {
        "mean": {figure: statistics.fmean(each) for figure, each in values.items()},
        "spread": {figure: statistics.stdev(each) if len(each) > 1 else None for figure, each in values.items()},
    }
