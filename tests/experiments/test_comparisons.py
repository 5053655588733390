"""Differences between arms, paired by seed and face: against plain loops, SciPy and statsmodels."""

import math
import random

import numpy as np
import pytest
import torch
from scipy.stats import ttest_1samp
from sklearn.metrics import balanced_accuracy_score, recall_score
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from core_code.core_utils.emotions import EMOTIONS
from core_code.datasets.labelled_faces import LabelledFaces
from core_code.evaluation.predictions import Predictions
from core_code.experiments.__main__ import parse_arguments, settings_of
from core_code.experiments.comparisons import LAST_EPOCH, NOVEL_FACES, SELECTED_EPOCH, compare_all
from core_code.experiments.predicted import AllPredictions, with_derived

SEEDS = (1, 2, 3)
NAMES = ("baseline", "expanded", "oversampled", "augmented_face", "own_code")
STUDY = settings_of(parse_arguments(["--preset", "two_cores", "--seeds", *map(str, SEEDS), "--experiments", *NAMES]))
COUNTS = [400, 40, 410, 720, 480, 320, 500]
NO_FACES = torch.empty(0, 1, 2, dtype=torch.uint8)


def predictions_of(seed: int, faces: int) -> Predictions:
    """The same faces and labels for every seed; logits of each arm that find the same faces hard."""
    labels = torch.arange(faces) % 7
    rng, common = torch.Generator().manual_seed(seed), torch.Generator().manual_seed(99)
    hard = torch.randn(faces, 7, generator=common) + 1.5 * torch.nn.functional.one_hot(labels, 7)
    logits = {name: hard + 0.8 * torch.randn(faces, 7, generator=rng) for name in NAMES}
    numbers = torch.arange(faces)
    pictures = torch.stack([numbers // 256, numbers % 256], dim=1)[:, None].to(torch.uint8)
    return Predictions(pictures, labels, logits, {})


@pytest.fixture(scope="module")
def given() -> tuple[dict, dict]:
    """Predictions at the best epoch, and at the last: other ones."""
    labels = torch.arange(7).repeat_interleave(torch.tensor(COUNTS))
    train = LabelledFaces(torch.zeros(len(labels), 1, 1, dtype=torch.uint8), labels)

    def predictions(shift: int) -> AllPredictions:
        faces = {"val": 211, "test": 300}
        of = {
            ("resnet18", 1.0, seed): {
                split: predictions_of(seed + shift + count, count) for split, count in faces.items()
            }
            for seed in SEEDS
        }
        return with_derived(of, train, STUDY)

    return predictions(0), predictions(10)


@pytest.fixture(scope="module")
def rows(given) -> list[dict]:
    return compare_all(*given, NO_FACES, STUDY)


def find(rows: list[dict], model: str, on: str = LAST_EPOCH, family: str = "baseline") -> dict:
    (row,) = [row for row in rows if (row["model"], row["on"], row["family"]) == (model, on, family)]
    return row


def correct(predictions: dict, name: str, splits: tuple[str, ...]) -> np.ndarray:
    """Which faces are predicted correctly, [S,N]."""
    return np.array([
        np.concatenate([(of[split].logits[name].argmax(1) == of[split].labels).numpy() for split in splits])
        for of in predictions.values()
    ])  # fmt: skip


@pytest.mark.parametrize(("on", "splits"), [(LAST_EPOCH, ("val", "test")), (SELECTED_EPOCH, ("test",))])
def test_both_sets_are_pooled_at_the_last_epoch_and_test_alone_is_taken_at_the_selected_one(given, rows, on, splits):
    predictions = given[on == LAST_EPOCH]
    mine, base = correct(predictions, "expanded", splits), correct(predictions, "baseline", splits)
    row = find(rows, "expanded", on)
    assert row["faces"] == mine.shape[1] and row["seeds"] == list(SEEDS)
    assert row["figures"]["top1"]["mean"] == pytest.approx((mine.mean(1) - base.mean(1)).mean())
    for place, seed in enumerate(SEEDS):
        b, c = (mine[place] & ~base[place]).sum(), (base[place] & ~mine[place]).sum()
        expected = mcnemar([[0, b], [c, 0]], exact=b + c < 25, correction=True).pvalue
        assert row["mcnemar"][seed]["p_value"] == pytest.approx(expected)


def test_faces_of_training_are_left_out_beside_all(given, rows):
    training = given[1]["resnet18", 1.0, 1]["test"].faces[[3, 5, 250]]  # val has the first two
    kept = np.ones(511, bool)
    kept[[3, 5, 211 + 3, 211 + 5, 211 + 250]] = False
    found = compare_all(*given, training, STUDY)
    mine, base = (correct(given[1], name, ("val", "test"))[:, kept] for name in ("expanded", "baseline"))
    row = find(found, "expanded", NOVEL_FACES)
    assert row["faces"] == 506 and row["figures"]["top1"]["mean"] == pytest.approx((mine.mean(1) - base.mean(1)).mean())
    assert [each for each in found if each["on"] != NOVEL_FACES] == rows
    assert {each["on"] for each in rows} == {LAST_EPOCH, SELECTED_EPOCH}


def test_the_mean_over_the_classes_and_single_emotions_are_scikit_learns(given, rows):
    _, last = given
    row, differences = find(rows, "oversampled"), {"mean_per_class": [], "Disgust": [], "Fear": []}
    for of in last.values():
        labels = torch.cat([of["val"].labels, of["test"].labels]).numpy()
        both = [
            torch.cat([of["val"].logits[name], of["test"].logits[name]]).argmax(1).numpy()
            for name in ("oversampled", "baseline")
        ]
        scores = [balanced_accuracy_score(labels, predicted) for predicted in both]
        recalls = [recall_score(labels, predicted, average=None) for predicted in both]
        differences["mean_per_class"].append(scores[0] - scores[1])
        for name in ("Disgust", "Fear"):
            differences[name].append(recalls[0][EMOTIONS.index(name)] - recalls[1][EMOTIONS.index(name)])
    for name, values in differences.items():
        found = row["figures"][name]
        assert found["mean"] == pytest.approx(np.mean(values))
        assert found["low"] < found["mean"] < found["high"]


def test_p_is_corrected_over_the_arms_of_a_family_alone(rows):
    for on in (LAST_EPOCH, SELECTED_EPOCH):
        for family, count in (("baseline", 6), ("control", 3)):
            found = [row for row in rows if (row["on"], row["family"]) == (on, family)]
            assert len(found) == count, [row["model"] for row in found]
            for figure in ("top1", "Fear"):
                ps = [row["figures"][figure]["p_value"] for row in found]
                expected = multipletests(ps, method="holm")[1]
                assert [row["figures"][figure]["p_holm"] for row in found] == pytest.approx(list(expected))


def test_arms_are_compared_with_their_controls_and_corrected_ones_with_corrected_ones(rows):
    pairs = {(row["model"], row["against"]) for row in rows if row["family"] == "control"}
    assert pairs == {
        ("expanded", "oversampled"), ("expanded_adjusted", "oversampled_adjusted"), ("augmented_face", "own_code"),
    }  # fmt: skip


def test_a_vote_is_compared_with_a_vote_of_as_many_baselines_of_other_seeds(given, rows):
    _, last = given
    row = find(rows, "vote (mean) of baseline, expanded", family="vote")
    assert row["against"] == "vote (mean) of baseline, baseline_other_seed"
    values = list(last.values())
    differences = []
    for place, of in enumerate(values):
        other = values[(place + 1) % 3]
        hits = []
        for pair in ((of, "expanded"), (other, "baseline")):
            found = []
            for split in ("val", "test"):
                first, second = of[split].logits["baseline"], pair[0][split].logits[pair[1]]
                mean = (first.double().softmax(1) + second.double().softmax(1)) / 2
                found.append(mean.argmax(1) == of[split].labels)
            hits.append(torch.cat(found).double().mean().item())
        differences.append(hits[0] - hits[1])
    assert row["figures"]["top1"]["mean"] == pytest.approx(np.mean(differences))
    three = [row for row in rows if row["family"] == "vote" and "third" in row["against"]]
    assert three and all(row["model"].count(",") == 2 for row in three)


def test_corrected_logits_lose_the_logarithm_of_the_expanded_shares_and_gain_the_real_ones(given):
    selected, _ = given
    total = sum(COUNTS)
    images = [(total - count) * (1 - count / total) for count in COUNTS]
    expanded = [count + more for count, more in zip(COUNTS, images, strict=True)]
    logits = selected["resnet18", 1.0, 2]["test"].logits
    for name in ("expanded", "oversampled"):
        shift = (logits[f"{name}_adjusted"] - logits[name]).mean(0).tolist()
        for k in range(7):
            expected = math.log(COUNTS[k] / total) - math.log(expanded[k] / sum(expanded))
            assert shift[k] == pytest.approx(expected, abs=1e-5)
    assert "baseline_adjusted" not in logits


def test_of_one_seed_the_interval_is_over_faces_and_there_is_no_vote_to_compare_with(given):
    one = {key: of for key, of in given[1].items() if key[2] == 1}
    bare = {key: {split: found._replace(logits={name: found.logits[name] for name in NAMES})
                  for split, found in of.items()} for key, of in one.items()}  # fmt: skip
    rows = compare_all(bare, bare, NO_FACES, STUDY)
    assert {row["family"] for row in rows} == {"baseline", "control"}
    expected = ttest_1samp(
        (correct(bare, "expanded", ("test",)) * 1.0 - correct(bare, "baseline", ("test",)))[0], 0
    ).confidence_interval()
    found = find(rows, "expanded", SELECTED_EPOCH)["figures"]["top1"]
    assert (found["low"], found["high"]) == pytest.approx(tuple(expected), rel=1e-3)


def test_a_plain_bootstrap_over_seeds_and_faces_agrees_about_the_width(given, rows):
    """Seeds and faces resampled independently (Owen's pigeonhole bootstrap), in plain loops: known to be wider."""
    mine, base = (correct(given[1], name, ("val", "test")) for name in ("expanded", "baseline"))
    values, draw = mine * 1.0 - base, random.Random(1)
    means = []
    for _ in range(300):
        seeds, faces = draw.choices(range(3), k=3), draw.choices(range(values.shape[1]), k=values.shape[1])
        means.append(values[seeds][:, faces].mean())
    low, high = np.quantile(means, [0.025, 0.975])
    found = find(rows, "expanded")["figures"]["top1"]
    assert 0.4 < (found["high"] - found["low"]) / (high - low) < 2.5
