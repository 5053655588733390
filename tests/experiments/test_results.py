"""The figures of a study against scikit-learn and by hand: votes of three, seeds, McNemar, tables."""

import math
import statistics
from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import chi2
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, top_k_accuracy_score

from core_code.core_utils.emotions import EMOTIONS
from core_code.evaluation.predictions import Predictions
from core_code.experiments import tables
from core_code.experiments.__main__ import parse_arguments, settings_of
from core_code.experiments.comparisons import compare_all
from core_code.experiments.models import models_of
from core_code.experiments.page import as_text, write_report
from core_code.experiments.plan import Step
from core_code.experiments.presets import StudySettings
from core_code.experiments.results import all_scores, run_of

NAMES = ("baseline", "augmented", "expanded", "byol")


def predictions_of(seed: int, faces: int = 400, names: tuple[str, ...] = NAMES) -> Predictions:
    """Logits that are right about half of the time, of each experiment; with test-time augmentation other ones."""
    random = torch.Generator().manual_seed(seed)
    labels = torch.arange(faces) % 7

    def logits() -> torch.Tensor:
        return torch.randn(faces, 7, generator=random) + 1.3 * torch.nn.functional.one_hot(labels, 7)

    pictures = torch.zeros(faces, 48, 48, dtype=torch.uint8)
    return Predictions(pictures, labels, {name: logits() for name in names}, {name: logits() for name in names})


@pytest.fixture
def study() -> tuple[StudySettings, dict]:
    flags = ["--preset", "two_cores", "--nets", "resnet18", "--seeds", "1", "2", "3", "--experiments", *NAMES]
    return settings_of(parse_arguments(flags)), {
        ("resnet18", 1.0, seed): {"val": predictions_of(seed), "test": predictions_of(10 + seed)} for seed in (1, 2, 3)
    }


def find(scores: list[dict], model: str, split: str = "val", tta: str = "none") -> dict:
    (row,) = [row for row in scores if (row["model"], row["split"], row["tta"]) == (model, split, tta)]
    return row


def test_every_experiment_and_the_votes_of_any_three_are_scored_on_every_split_and_view(study):
    settings, predictions = study
    models = models_of(NAMES)
    pairs = [("baseline", name) for name in NAMES[1:]]
    assert [model.members for model in models if model.vote == "mean"] == [*combinations(NAMES, 3), *pairs]
    assert len(list(all_scores(predictions, settings))) == len(models) * 2 * 2
    assert len(models) == 4 + 2 * 4 + 3
    assert [model.name for model in models_of(NAMES[:2])][2:] == [
        "vote (surest) of baseline, augmented", "vote (mean) of baseline, augmented",
    ]  # fmt: skip
    with_others = [model.name for model in models_of(["baseline", "expanded", "baseline_other_seed"])]
    assert with_others[-1] == "vote (mean) of baseline, baseline_other_seed"
    assert "baseline_other_seed" not in with_others
    assert len(models_of(NAMES[:1])) == 1


def test_figures_are_scikit_learns(study):
    settings, predictions = study
    scores = list(all_scores(predictions, settings))
    split = predictions["resnet18", 1.0, 2]["test"]
    labels, logits = split.labels.numpy(), split.logits["expanded"].numpy()
    found = find(scores, "expanded", "test")["seeds"][2]
    predicted = logits.argmax(1)
    assert found["top1"] == pytest.approx(accuracy_score(labels, predicted))
    assert found["top2"] == pytest.approx(top_k_accuracy_score(labels, logits, k=2, labels=range(7)))
    assert found["mean_per_class"] == pytest.approx(balanced_accuracy_score(labels, predicted))
    assert found["macro_f1"] == pytest.approx(f1_score(labels, predicted, average="macro"))
    assert find(scores, "expanded", "test", "flip")["seeds"][2]["top1"] == pytest.approx(
        accuracy_score(labels, split.tta["expanded"].numpy().argmax(1))
    )


def test_votes_are_those_of_their_members(study):
    settings, predictions = study
    scores = list(all_scores(predictions, settings))
    members = ("baseline", "augmented", "byol")
    split = predictions["resnet18", 1.0, 1]["val"]
    stacked = np.stack([split.logits[name].numpy() for name in members])
    softmax = np.exp(stacked) / np.exp(stacked).sum(2, keepdims=True)
    mean = (softmax.mean(0).argmax(1) == split.labels.numpy()).mean()
    surest = [stacked[stacked[:, face].max(1).argmax(), face].argmax() for face in range(len(split.labels))]
    name = ", ".join(members)
    assert find(scores, f"vote (mean) of {name}")["seeds"][1]["top1"] == pytest.approx(mean)
    assert find(scores, f"vote (surest) of {name}")["seeds"][1]["top1"] == pytest.approx(
        (np.array(surest) == split.labels.numpy()).mean()
    )


def test_mean_and_standard_deviation_are_over_the_seeds_and_one_seed_has_none(study):
    settings, predictions = study
    row = find(list(all_scores(predictions, settings)), "augmented")
    each = [(r["val"].logits["augmented"].argmax(1) == r["val"].labels).double().mean().item()
            for r in predictions.values()]  # fmt: skip
    assert row["mean"]["top1"] == pytest.approx(sum(each) / 3)
    assert row["std"]["top1"] == pytest.approx(statistics.stdev(each))
    settings = replace(settings, seeds=(2,))
    assert find(list(all_scores(predictions, settings)), "augmented")["std"]["top1"] is None


def test_a_method_is_compared_with_the_baseline_of_its_seed_and_views_face_by_face(study):
    settings, predictions = study
    scores = list(all_scores(predictions, settings))
    for tta in ("none", "flip"):
        split = predictions["resnet18", 1.0, 3]["test"]
        logits = split.logits if tta == "none" else split.tta
        right = {name: logits[name].argmax(1) == split.labels for name in ("byol", "baseline")}
        b, c = (int((right[one] & ~right[other]).sum()) for one, other in (("byol", "baseline"), ("baseline", "byol")))
        found = find(scores, "byol", "test", tta)["seeds"][3]["mcnemar"]
        assert (found["only_this"], found["only_other"]) == (b, c)
        assert found["p_value"] == pytest.approx(chi2.sf((abs(b - c) - 1) ** 2 / (b + c), 1))
    assert find(scores, "baseline")["seeds"][1]["mcnemar"] is None


def test_a_net_that_was_not_trained_leaves_a_gap_and_no_row_of_its_own(study):
    settings, predictions = study
    predictions = {
        ("resnet18", 1.0, 1): {"val": predictions_of(1, names=NAMES[:2])},
        ("resnet18", 1.0, 2): {"val": predictions_of(2)},
    }
    scores = list(all_scores(predictions, settings))
    assert set(find(scores, "expanded")["seeds"]) == {2}
    assert set(find(scores, "augmented")["seeds"]) == {1, 2}
    assert not list(all_scores({}, settings))


def results_of(settings: StudySettings, predictions: dict) -> dict:
    return {
        "dataset": "fer2013", "preset": "two_cores", "emotions": list(EMOTIONS), "experiments": {"baseline": "real"},
        "protocol": {"training_faces": 28709, "epochs": 30, "image_size": 64, "weights": "none", "num_augments": 4,
                     "seeds": list(settings.seeds), "whole_epochs": None,
                     "byol_epochs": 15, "byol_image_size": 48, "equal_faces": True,
                     "max_faces": 28709, "training_flags": ["--lr", "0.05"], "recipe": "scratch"},
        "generator": "It has seen all.",
        "splits": {"val": 400, "test": 400}, "scores": list(all_scores(predictions, settings)),
        "comparisons": compare_all(predictions, predictions, torch.empty(0, 1, 1, dtype=torch.uint8), settings),
        "published": {"resnet18": {"baseline": (70.16, 84.93), "vote": (71.69, None)}},
        "best_published": {"VGG": 73.28},
        "runs": [{"name": "a", "net": "resnet18", "kind": "training", "experiment": "baseline", "seed": 1,
                  "state": "failed", "error": "no | space", "seconds": 3.0, "command": "python a.py",
                  "hardware": "2 cores"}],
    }  # fmt: skip


def test_the_report_shows_the_figures_the_best_votes_and_what_is_not_significant(study):
    settings, predictions = study
    results = results_of(settings, predictions)
    text = as_text(results)
    figures = tables.figures(results)
    row = find(results["scores"], "augmented", "test")
    assert f"{100 * row['mean']['top1']:.2f} ± {100 * row['std']['top1']:.2f}" in text
    shown = tables.shown_models(figures)
    assert shown[:4] == list(NAMES)
    for vote in ("surest", "mean"):
        on_val = [r for r in results["scores"] if (r["split"], r["vote"], r["tta"]) == ("val", vote, "none")]
        assert max(on_val, key=lambda row: row["mean"]["top1"])["model"] in shown, "chosen on val, never on test"
    three = "vote (surest) of baseline, augmented, expanded"
    assert three in shown, "the vote that was published"
    rows = [[cell.strip() for cell in line.split("|")] for line in text.splitlines() if line.startswith("| vote")]
    cells = next(row for row in rows if row[1] == three)
    same_three = find(results["scores"], three)
    assert cells[2] == f"{100 * same_three['mean']['top1']:.2f} ± {100 * same_three['std']['top1']:.2f}"
    assert cells[3] == "71.69"
    assert "no \\| space" in text and "python a.py" in text and "--lr 0.05" in text and "--max_faces 28709" in text
    ps = [seed["mcnemar"]["p_value"] for seed in row["seeds"].values()]
    ps_in_words, conclusion = tables.significance(row)
    assert ps_in_words == " / ".join("< 0.001" if p < 0.001 else f"{p:.2g}" for p in ps)
    assert ("not significant" in conclusion) == (max(ps) >= 0.05)
    assert f"{ps_in_words} ({conclusion})" in text


def test_a_report_on_other_faces_than_fer2013s_has_no_published_figures(study):
    results = results_of(*study)
    assert "PublicTest" in as_text(results) and "PrivateTest" in as_text(results)
    for dataset in ("sample", "folder"):
        other = as_text({**results, "dataset": dataset, "best_published": {}})
        assert not any(word in other for word in ("Public", "Private", "ublished"))


def test_steps_that_train_no_net_of_the_study_have_no_history(study):
    settings, _ = study
    for kind in ("generator", "images", "labels"):
        run = run_of(Step("a", ("b",), (), kind, 1, faces=10, share=0.1, complete=True), [], {}, settings)
        assert run["state"] == "complete" and "history" not in run and run["share"] == 0.1


def test_the_csv_files_hold_every_figure_of_every_model(study, tmp_path):
    results = results_of(*study)
    write_report(results, tmp_path)
    table = pd.read_csv(tmp_path / "results.csv", keep_default_na=False)
    assert len(table) == len(results["scores"])
    for row, (_, line) in zip(results["scores"], table.iterrows(), strict=True):
        assert [line[name] for name in ("net", "model", "split", "tta")] == [
            row[name] for name in ("net", "model", "split", "tta")
        ]  # fmt: skip
        for figure in ("top1", "top2", "mean_per_class", "macro_f1", "calibration_error"):
            assert float(line[f"{figure}_mean"]) == pytest.approx(100 * row["mean"][figure])
            assert float(line[f"{figure}_std"]) == pytest.approx(100 * row["std"][figure])
    emotions = pd.read_csv(tmp_path / "results_per_emotion.csv", keep_default_na=False)
    assert len(emotions) == len(table) and set(EMOTIONS) <= set(emotions.columns)


def test_the_accuracy_per_emotion_counts_faces_over_all_seeds():
    one = [[3, 1] + [0] * 5] + [[0] * 7 for _ in range(6)]
    other = [[0, 4] + [0] * 5] + [[0, 2] + [0] * 5] + [[0] * 7 for _ in range(5)]
    row = {"net": "a", "share": 1, "model": "b", "vote": "", "tta": "none", "split": "val",
           "seeds": {1: {"confusion": one}, 2: {"confusion": other}}}  # fmt: skip
    table = tables.per_emotion({"emotions": EMOTIONS, "scores": [row]})
    found = table.iloc[0][list(EMOTIONS)].tolist()
    assert found[:2] == [100 * 3 / 8, 100.0] and all(map(math.isnan, found[2:]))
