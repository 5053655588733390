"""What the nets of a study predict: at the best epoch and at the last, out of checkpoints on disk."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score

from core_code.core_utils.checkpoints import BEST, FINAL
from core_code.core_utils.files import save_weights
from core_code.core_utils.metrics.scores import score
from core_code.datasets.fer2013 import FER2013
from core_code.evaluation.predictions import load_nets, predict_net, predict_splits
from core_code.experiments import prediction_cache
from core_code.experiments.__main__ import parse_arguments, settings_of
from core_code.experiments.completed import with_completed
from core_code.experiments.plan import checkpoint_files, make_plan
from core_code.experiments.predicted import evaluation_settings, predict_all, predicted_emotions
from core_code.models.emotion_net import EmotionNet

BEST_EPOCHS = {"baseline": 1, "augmented": 2}  # of two


@pytest.fixture
def study(small, data_there: Path):
    flags = ["--preset", "quick", "--experiments", *BEST_EPOCHS, "--epochs", "2", "--device", "cpu", "--precision",
             "fp32", "--output_root", str(data_there), "--num_augments", "1"]  # fmt: skip
    return replace(settings_of(parse_arguments(flags)), nets=(small,))


def save(step, study, seed: int) -> None:
    """A run's two checkpoints: other weights at the best epoch than at the last, where it is not the last."""
    best = BEST_EPOCHS[step.experiment]
    history = [
        {"epoch": epoch, "loss": 1.0, "seconds": 1.0, "validation_accuracy": 0.5 if epoch == best else 0.4}
        for epoch in (1, 2)
    ]
    settings = {"image_size": step.image_size, "seed": step.seed, "weights": "none", "dataset": study.dataset}
    for kind, epoch in ((BEST, best), (FINAL, 2)):
        torch.manual_seed(10 * seed + epoch)
        state = {
            "net": EmotionNet(step.net).state_dict(), "epoch": epoch, "history": history[:epoch], "optimizer": {},
            "loss": 1.0, "scheduler": {}, "seed": 1, "settings": settings,
        }  # fmt: skip
        files = checkpoint_files(step, study.output_root)
        save_weights(files.path(kind), {**state, "name": files.name, "experiment": files.experiment})


def test_the_last_epoch_is_predicted_by_its_own_weights_and_the_best_one_by_its(study):
    steps, train = trained_steps(study)
    selected, last = predict_all(steps, train, study)
    (key,) = selected
    names = tuple(f"{name}_seed1" for name in BEST_EPOCHS)
    for found, kind in ((selected[key], BEST), (last[key], FINAL)):
        settings = replace(evaluation_settings(study, key[0]), exp_names=names, checkpoint=kind, tta="none")
        expected = predict_splits(settings, load_nets(settings))
        for split in ("val", "test"):
            for name in BEST_EPOCHS:
                assert torch.equal(found[split].logits[name], expected[split].logits[f"{name}_seed1"])
    best_is_last = {
        name: torch.equal(selected[key]["test"].logits[name], last[key]["test"].logits[name]) for name in BEST_EPOCHS
    }
    assert best_is_last == {"baseline": False, "augmented": True}
    assert selected[key]["val"].tta and not last[key]["val"].tta
    table = predicted_emotions(selected, last).set_index(["epoch", "split"])
    for epoch, found in (("best on val", selected[key]), ("last", last[key])):
        for split in ("val", "test"):
            rows, data = table.loc[(epoch, split)], FER2013(study.data_root, split, study.dataset)
            assert rows.face.tolist() == list(range(len(data)))
            for name in BEST_EPOCHS:
                predicted = rows[f"{key[0]}_{name}_seed1"]
                top1 = score(found[split].logits[name], data.labels).top1
                assert accuracy_score(data.labels, predicted) == pytest.approx(top1)


def trained_steps(study):
    """The study's steps, after its trainings have been written, and its training faces."""
    train = FER2013(study.data_root, "train", study.dataset)
    plan = make_plan(study, train.class_counts.tolist())
    for seed, step in enumerate([step for step in plan if step.kind == "training"]):
        save(step, study, seed)
    return with_completed(plan, study, train), train


def same(one, other) -> bool:
    """Whether all logits of all splits are the same."""
    (key,) = one
    return all(
        torch.equal(logits, getattr(other[key][split], kind)[name])
        for split, found in one[key].items() for kind in ("logits", "tta")
        for name, logits in getattr(found, kind).items()
    )  # fmt: skip


def test_a_second_report_takes_what_the_first_has_predicted_and_evaluates_no_net(study, monkeypatch):
    study = replace(study, tta="flip")
    steps, train = trained_steps(study)
    first = predict_all(steps, train, study)
    monkeypatch.setattr(prediction_cache, "predict_net", lambda *_: pytest.fail("a net was evaluated again"))
    second = predict_all(steps, train, study)
    assert all(map(same, first, second))
    assert set(next(iter(second[0].values()))["test"].tta) == {*BEST_EPOCHS}


@pytest.mark.parametrize("change", ["cut", "a copy", "of fewer faces", "another checkpoint", "another precision"])
def test_what_was_kept_is_not_taken_where_it_is_damaged_or_of_something_else(study, change, monkeypatch):
    steps, train = trained_steps(study)
    first = predict_all(steps, train, study)
    (path,) = (study.output_root / prediction_cache.FOLDER).glob("*baseline*best*.npz")
    (other,) = (study.output_root / prediction_cache.FOLDER).glob("*augmented*best*.npz")
    changed = {"baseline"}
    if change == "cut":
        path.write_bytes(path.read_bytes()[:1000])
    elif change == "a copy":
        path.write_bytes(other.read_bytes())
    elif change == "of fewer faces":
        np.savez(path, **{name: values[:-1] if name[:3] == "val" else values for name, values in np.load(path).items()})
    elif change == "another net":
        save(next(step for step in steps if step.experiment == "baseline"), study, 7)
    else:
        study, changed = replace(study, precision="bf16"), {*BEST_EPOCHS}
    evaluated = []

    def evaluate(settings, splits, name, net):
        evaluated.append(name)
        return predict_net(settings, splits, name, net)

    monkeypatch.setattr(prediction_cache, "predict_net", evaluate)
    second = predict_all(steps, train, study)
    assert {*evaluated} == changed
    assert same(first[0], second[0]) == (change in ("cut", "a copy", "of fewer faces"))
    evaluated.clear()
    assert same(predict_all(steps, train, study)[0], second[0])
    assert not evaluated  # written anew
