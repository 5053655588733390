"""The figures of a study against scikit-learn and by hand: votes of three, seeds, McNemar, tables."""

import argparse
import statistics
from itertools import combinations

import numpy as np
import pytest
import torch
from scipy.stats import chi2
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, top_k_accuracy_score

from core_code.core_utils.emotions import EMOTIONS
from core_code.evaluation.predictions import Predictions
from core_code.experiments import tables
from core_code.experiments.results import all_scores, models_of

NAMES = ("baseline", "augmented", "expanded", "byol")


def reading(seed: int, faces: int = 400, names: tuple[str, ...] = NAMES) -> Predictions:
    """Logits that are right about half of the time, of each experiment; with test-time augmentation other ones."""
    random = torch.Generator().manual_seed(seed)
    labels = torch.arange(faces) % 7

    def logits() -> torch.Tensor:
        return torch.randn(faces, 7, generator=random) + 1.3 * torch.nn.functional.one_hot(labels, 7)

    pictures = torch.zeros(faces, 48, 48, dtype=torch.uint8)
    return Predictions(pictures, labels, {name: logits() for name in names}, {name: logits() for name in names})


@pytest.fixture
def study() -> tuple[argparse.Namespace, dict]:
    args = argparse.Namespace(nets=["resnet18"], seeds=[1, 2, 3], experiments=list(NAMES), tta="flip")
    return args, {("resnet18", seed): {"val": reading(seed), "test": reading(10 + seed)} for seed in (1, 2, 3)}


def find(scores: list[dict], model: str, split: str = "val", tta: str = "none") -> dict:
    (row,) = [row for row in scores if (row["model"], row["split"], row["tta"]) == (model, split, tta)]
    return row


def test_every_experiment_and_the_votes_of_any_three_are_scored_on_every_split_and_view(study):
    args, readings = study
    models = models_of(NAMES)
    assert [model.members for model in models if model.vote == "mean"] == list(combinations(NAMES, 3))
    assert len(list(all_scores(readings, args))) == len(models) * 2 * 2
    assert len(models) == 4 + 2 * 4
    assert [model.name for model in models_of(NAMES[:2])][2:] == [
        "vote (surest) of baseline, augmented", "vote (mean) of baseline, augmented",
    ]  # fmt: skip
    assert len(models_of(NAMES[:1])) == 1


def test_figures_are_scikit_learns(study):
    args, readings = study
    scores = list(all_scores(readings, args))
    read = readings["resnet18", 2]["test"]
    labels, logits = read.labels.numpy(), read.logits["expanded"].numpy()
    found = find(scores, "expanded", "test")["seeds"][2]
    said = logits.argmax(1)
    assert found["top1"] == pytest.approx(accuracy_score(labels, said))
    assert found["top2"] == pytest.approx(top_k_accuracy_score(labels, logits, k=2, labels=range(7)))
    assert found["mean_per_class"] == pytest.approx(balanced_accuracy_score(labels, said))
    assert found["macro_f1"] == pytest.approx(f1_score(labels, said, average="macro"))
    assert find(scores, "expanded", "test", "flip")["seeds"][2]["top1"] == pytest.approx(
        accuracy_score(labels, read.tta["expanded"].numpy().argmax(1))
    )


def test_votes_are_those_of_their_members(study):
    args, readings = study
    scores = list(all_scores(readings, args))
    members = ("baseline", "augmented", "byol")
    read = readings["resnet18", 1]["val"]
    stacked = np.stack([read.logits[name].numpy() for name in members])
    softmax = np.exp(stacked) / np.exp(stacked).sum(2, keepdims=True)
    mean = (softmax.mean(0).argmax(1) == read.labels.numpy()).mean()
    surest = [stacked[stacked[:, face].max(1).argmax(), face].argmax() for face in range(len(read.labels))]
    name = ", ".join(members)
    assert find(scores, f"vote (mean) of {name}")["seeds"][1]["top1"] == pytest.approx(mean)
    assert find(scores, f"vote (surest) of {name}")["seeds"][1]["top1"] == pytest.approx(
        (np.array(surest) == read.labels.numpy()).mean()
    )


def test_mean_and_spread_are_over_the_seeds_and_one_seed_has_no_spread(study):
    args, readings = study
    row = find(list(all_scores(readings, args)), "augmented")
    each = [(r["val"].logits["augmented"].argmax(1) == r["val"].labels).double().mean().item()
            for r in readings.values()]  # fmt: skip
    assert row["mean"]["top1"] == pytest.approx(sum(each) / 3)
    assert row["spread"]["top1"] == pytest.approx(statistics.stdev(each))
    args.seeds = [2]
    assert find(list(all_scores(readings, args)), "augmented")["spread"]["top1"] is None


def test_a_method_is_compared_with_the_baseline_of_its_seed_and_views_face_by_face(study):
    args, readings = study
    scores = list(all_scores(readings, args))
    for tta in ("none", "flip"):
        read = readings["resnet18", 3]["test"]
        logits = read.logits if tta == "none" else read.tta
        right = {name: logits[name].argmax(1) == read.labels for name in ("byol", "baseline")}
        b, c = (int((right[one] & ~right[other]).sum()) for one, other in (("byol", "baseline"), ("baseline", "byol")))
        found = find(scores, "byol", "test", tta)["seeds"][3]["mcnemar"]
        assert (found["only_this"], found["only_other"]) == (b, c)
        assert found["p_value"] == pytest.approx(chi2.sf((abs(b - c) - 1) ** 2 / (b + c), 1))
    assert find(scores, "baseline")["seeds"][1]["mcnemar"] is None


def test_a_net_that_was_not_trained_leaves_a_gap_and_no_row_of_its_own(study):
    args, readings = study
    readings = {("resnet18", 1): {"val": reading(1, names=NAMES[:2])}, ("resnet18", 2): {"val": reading(2)}}
    scores = list(all_scores(readings, args))
    assert set(find(scores, "expanded")["seeds"]) == {2}
    assert set(find(scores, "augmented")["seeds"]) == {1, 2}
    assert not list(all_scores({}, args))


def results_of(args: argparse.Namespace, readings: dict) -> dict:
    return {
        "dataset": "fer2013", "preset": "two_cores", "emotions": list(EMOTIONS), "experiments": {"baseline": "real"},
        "protocol": {"training_faces": 28709,
                     "epochs": 30, "image_size": 64, "weights": "none", "num_augments": 4, "seeds": args.seeds,
                     "byol_epochs": 15, "byol_image_size": 48, "equal_faces": True},
        "splits": {"val": 400, "test": 400}, "scores": list(all_scores(readings, args)),
        "published": {"resnet18": {"baseline": (70.16, 84.93), "vote": (71.69, None)}},
        "best_published": {"VGG": 73.28},
        "runs": [{"name": "a", "state": "failed", "error": "no | space", "seconds": 3.0, "command": "python a.py",
                  "hardware": "2 cores"}],
    }  # fmt: skip


def test_the_tables_show_the_figures_the_best_votes_and_what_is_not_significant(study):
    args, readings = study
    results = results_of(args, readings)
    text = tables.results_as_markdown(results)
    row = find(results["scores"], "augmented", "test")
    assert f"{100 * row['mean']['top1']:.2f} ± {100 * row['spread']['top1']:.2f}" in text
    votes = [row for row in tables.shown_scores(results, "test") if row["vote"]]
    assert [(row["vote"], row["tta"]) for row in votes] == [
        ("surest", "none"), ("mean", "none"), ("surest", "flip"), ("mean", "flip"),
    ]  # fmt: skip
    on_val = [r for r in results["scores"] if r["split"] == "val" and r["vote"] == "mean" and r["tta"] == "none"]
    best = max(on_val, key=lambda row: row["mean"]["top1"])
    assert votes[1]["model"] == best["model"], "chosen on val, never on test"
    same_three = find(results["scores"], "vote (surest) of baseline, augmented, expanded")
    assert (
        f"| resnet18 | vote | {tables.share(same_three['mean']['top1'], same_three['spread']['top1'])} | 71.69" in text
    )
    assert "no / space" in text and "python a.py" in text
    assert tables.p_values(row) == " / ".join(f"{seed['mcnemar']['p_value']:.2g}" for seed in row["seeds"].values()) + (
        "" if max(seed["mcnemar"]["p_value"] for seed in row["seeds"].values()) < 0.05 else " (not significant)"
    )


def test_what_is_right_per_emotion_counts_faces_over_all_seeds():
    one = [[3, 1] + [0] * 5] + [[0] * 7 for _ in range(6)]
    other = [[0, 4] + [0] * 5] + [[0, 2] + [0] * 5] + [[0] * 7 for _ in range(5)]
    row = {"seeds": {1: {"confusion": one}, 2: {"confusion": other}}}
    assert tables.right_per_emotion(row) == [3 / 8, 1.0, 0, 0, 0, 0, 0]
