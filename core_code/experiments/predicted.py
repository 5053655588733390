"""What the nets of a study predict for val and test, and what follows from that without another training."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product

import pandas as pd
import torch
from torch import Tensor

from core_code.core_utils.checkpoints import BEST, FINAL, best_epoch
from core_code.core_utils.choices import EXPANDED_SHARES, NO_TTA
from core_code.core_utils.devices import pick_hardware
from core_code.core_utils.metrics.scores import adjust_logits
from core_code.datasets.labelled_faces import LabelledFaces
from core_code.datasets.loader import class_shares
from core_code.evaluation.predictions import Predictions
from core_code.evaluation.settings import EvaluationSettings
from core_code.experiments.arms import ARMS
from core_code.experiments.plan import Step, checkpoint_files, run_name, seeds_of
from core_code.experiments.prediction_cache import predict_cached
from core_code.experiments.presets import StudySettings
from core_code.training.classifier import ClassifierTask

ADJUSTED = "_adjusted"  # ends the name of a net whose logits are corrected
OTHER_SEEDS = ("baseline_other_seed", "baseline_third_seed")  # who votes with a baseline in place of another arm
Key = tuple[str, float, int]  # net, share of the training faces, seed
AllPredictions = Mapping[Key, Mapping[str, Predictions]]  # then by split


def keys_of(study: StudySettings) -> list[Key]:
    """Each net, share of the faces and seed of a study."""
    return [(net, share, seed) for net, share in product(study.nets, study.shares) for seed in seeds_of(study, share)]


def trainings(steps: Sequence[Step], key: Key) -> list[Step]:
    """The complete trainings of a net's classifiers on a share of the faces with a seed."""
    return [step for step in steps
            if step.complete and step.kind == "training" and (step.net, step.share, step.seed) == key]  # fmt: skip


def evaluation_settings(study: StudySettings, net: str, max_faces: int | None = None) -> EvaluationSettings:
    """How a net of so many training faces is evaluated; the views are of the size that each run was trained on."""
    return EvaluationSettings(
        net, *pick_hardware(study.device, study.precision), data_root=study.data_root, dataset=study.dataset,
        max_faces=max_faces, output_root=study.output_root, tta=study.tta, seed=study.seed,
    )  # fmt: skip


def predict_all(
    steps: Sequence[Step], train: LabelledFaces, study: StudySettings
) -> tuple[AllPredictions, AllPredictions]:  # fmt: skip
    """What every trained net predicts on val and test: at its best epoch on val, and at its last one, which nothing
    was chosen for (without test-time augmentation). Nets not trained yet are left out. Raises InputError.
    """
    selected: dict[Key, Mapping[str, Predictions]] = {}
    last: dict[Key, Mapping[str, Predictions]] = {}
    for key in keys_of(study):
        done = {step.experiment: step for step in trainings(steps, key)}
        if not done:
            continue
        settings = evaluation_settings(study, key[0], next(iter(done.values())).faces)
        files = {name: checkpoint_files(step, study.output_root) for name, step in done.items()}
        selected[key] = found = predict_cached(settings, files, BEST)
        changed = {}
        for name, each in files.items():
            history = each.load(FINAL, "history")["history"]
            if best_epoch(history, ClassifierTask.best_by, ClassifierTask.higher_is_better) < len(history):
                changed[name] = each
        later = predict_cached(replace(settings, tta=NO_TTA), changed, FINAL) if changed else {}
        last[key] = {
            split: each._replace(logits=each.logits | (later[split].logits if later else {}), tta={})
            for split, each in found.items()
        }
    return with_derived(selected, train, study), with_derived(last, train, study)


def with_derived(predictions: AllPredictions, train: LabelledFaces, study: StudySettings) -> AllPredictions:
    """The predictions, and beside them those of corrected logits and the baselines of the next seeds, by name.

    `train` are all training faces of the study.
    """
    derived: dict[Key, dict[str, Predictions]] = {}
    for key, splits in predictions.items():
        net, share, seed = key
        counts = torch.bincount(train.labels[: round(share * len(train))], minlength=len(train.emotions))
        trained = class_shares(EXPANDED_SHARES, counts)
        assert trained is not None
        seeds = [other for other in seeds_of(study, share) if (net, share, other) in predictions]
        place = seeds.index(seed)
        turned = (seeds[place + 1 :] + seeds[:place])[: len(OTHER_SEEDS)]
        derived[key] = {}
        for split, found in splits.items():
            kinds = []
            for kind in ("logits", "tta"):
                logits: dict[str, Tensor] = dict(getattr(found, kind))
                for name in [name for name in logits if ARMS[name].rebalanced]:
                    logits[name + ADJUSTED] = adjust_logits(logits[name], trained, counts / counts.sum())
                for name, other in zip(OTHER_SEEDS, turned, strict=False):
                    others = getattr(predictions[net, share, other][split], kind)
                    logits |= {name: others["baseline"]} if "baseline" in others else {}
                kinds.append(logits)
            derived[key][split] = found._replace(logits=kinds[0], tta=kinds[1])
    return derived


def predicted_emotions(selected: AllPredictions, last: AllPredictions) -> pd.DataFrame:
    """Which emotion every trained net predicts for every face of val and test, so that others can count for themselves.

    A row for each epoch ("best on val", "last"), split and face (its number in the split); a column for each net, named
    as its checkpoints are, with the number of the emotion.
    """
    parts = []
    for epoch, predictions in (("best on val", selected), ("last", last)):
        for split in ("val", "test"):
            columns = {
                f"{net}_{run_name(name, seed, share)}": logits.argmax(1).numpy()
                for (net, share, seed), splits in predictions.items()
                for name, logits in splits[split].logits.items() if name in ARMS
            }  # fmt: skip
            table = pd.DataFrame(columns).rename_axis("face").reset_index()
            parts.append(table.assign(epoch=epoch, split=split))
    table = pd.concat(parts, ignore_index=True)
    return table[["epoch", "split", *table.columns.drop(["epoch", "split"])]]
