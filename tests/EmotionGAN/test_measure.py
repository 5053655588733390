"""Judging a generator: the figures against numpy, scipy, scikit-learn and plain loops."""

import json
from dataclasses import asdict

import numpy as np
import pytest
import torch
from measure_stand_ins import CENTRES, LEVELS, editor_of, fixed_editor, predicts_levels, random_faces
from scipy import linalg
from scipy.spatial.distance import cdist, cosine
from sklearn.metrics import balanced_accuracy_score, recall_score

from core_code.core_utils.emotions import EMOTIONS
from core_code.core_utils.errors import InputError
from EmotionGAN.measure import quality, sheets
from EmotionGAN.measure.diversity import diversity_figures, mean_cosine_distance, pixel_differences, same_emotion
from EmotionGAN.measure.dlib_faces import Detection
from EmotionGAN.measure.face_sets import Edits, FaceSet, around, augment, edits_to_others
from EmotionGAN.measure.identity import Identities, compare, identity_figures, mean_distance
from EmotionGAN.measure.judges import Judge, Judgement, judge, judge_of, target_figures, target_probability
from EmotionGAN.measure.quality import change_of_edits, frechet_figures, measure_lines, smoothness_figure
from EmotionGAN.measure.summary import mean_summary, summarise


def plain_ssim(x, y):
    """SSIM by its definition, one window at a time."""
    line = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    window = np.outer(line, line) / line.sum() ** 2
    values = []
    for top in range(x.shape[0] - 10):
        for left in range(x.shape[1] - 10):
            a, b = x[top : top + 11, left : left + 11], y[top : top + 11, left : left + 11]
            ma, mb = (window * a).sum(), (window * b).sum()
            va, vb = (window * (a - ma) ** 2).sum(), (window * (b - mb) ** 2).sum()
            cov = (window * (a - ma) * (b - mb)).sum()
            c1, c2 = 2.55**2, 7.65**2
            values.append((2 * ma * mb + c1) * (2 * cov + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2)))
    return np.mean(values)


def test_change_and_similarity_by_their_definitions():
    a = random_faces(2)
    b = (a.float() * 0.7 + random_faces(2, seed=1).float() * 0.3).to(torch.uint8)
    expected = np.abs(a.numpy().astype(float) - b.numpy().astype(float)).mean() / 255
    assert quality.mean_change(a, b) == pytest.approx(expected, rel=1e-5)
    expected = np.mean(
        [plain_ssim(x.astype(float), y.astype(float)) for x, y in zip(a.numpy(), b.numpy(), strict=True)]
    )
    assert quality.structural_similarity(a, b) == pytest.approx(expected, rel=1e-6)
    assert quality.structural_similarity(a, a) == pytest.approx(1)


def test_frechet_distance_against_scipys_matrix_root():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(200, 6)), rng.normal(size=(150, 6)) @ rng.normal(size=(6, 6)) + 0.5
    expected = plain_frechet(a, b)
    assert quality.frechet_distance(torch.tensor(a), torch.tensor(b)) == pytest.approx(expected, rel=1e-6)


def plain_frechet(a, b):
    ca, cb = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    return ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(ca + cb - 2 * linalg.sqrtm(ca @ cb).real)


def test_a_summary_has_the_means_of_each_emotion_in_each_group():
    rng = np.random.default_rng(0)
    values, emotions, frontal = rng.random(60), rng.integers(0, 6, 60), rng.random(60) < 0.5  # no Neutral
    faces = FaceSet(random_faces(60), torch.tensor(emotions), torch.tensor(frontal))
    summary = summarise(torch.tensor(values), faces.labels, faces.groups(), higher_is_better=False)
    for group, mask in (("all", np.ones(60, bool)), ("frontal", frontal), ("other", ~frontal)):
        means = [values[mask & (emotions == emotion)].mean() for emotion in range(6)]
        assert list(summary[group]["emotions"].values()) == pytest.approx([*means, None])
        assert summary[group]["mean"] == pytest.approx(np.mean(means))
        assert summary[group]["overall"] == pytest.approx(values[mask].mean())
        assert summary[group]["worst"] == pytest.approx(max(means))
        assert summary[group]["worst_emotion"] == EMOTIONS[int(np.argmax(means))]
    both = mean_summary([summary, summarise(torch.tensor(values) + 1, faces.labels, faces.groups())])
    assert both["frontal"]["overall"] == pytest.approx(summary["frontal"]["overall"] + 0.5)
    assert set(FaceSet(faces.faces, faces.labels).groups()) == {"all"}


def test_codes_beside_a_centre_have_the_distance_in_all_directions_and_stay_in_the_square():
    codes = around(torch.zeros(4000, 2), 0.15, torch.Generator().manual_seed(0)).numpy()
    assert np.hypot(*codes.T) == pytest.approx(0.15, abs=1e-6)
    counts, _ = np.histogram(np.arctan2(*codes.T), 8, (-np.pi, np.pi))
    assert counts.min() > 400
    assert around(torch.full((50, 2), 0.95), 0.15, torch.Generator().manual_seed(0)).max() == 1


def test_every_face_is_edited_to_each_other_emotion_at_codes_of_the_distance():
    faces, seen = FaceSet(random_faces(9), torch.arange(9) % 7), []

    def edit(batch, codes):
        seen.append(codes)
        return batch

    edits = edits_to_others(editor_of(edit), faces, 0.15)
    pairs = {(row, target) for row in range(9) for target in range(7) if target != row % 7}
    assert set(zip(edits.rows.tolist(), edits.targets.tolist(), strict=True)) == pairs
    assert torch.equal(edits.images, faces.faces[edits.rows])
    assert (seen[0] - CENTRES[edits.targets]).norm(dim=1).numpy() == pytest.approx(0.15, abs=1e-6)
    augmentations = augment(editor_of(edit), faces.faces, faces.labels, 5)
    assert augmentations.shape == (9, 5, 24, 24) and torch.equal(augmentations[:, 3], faces.faces)
    assert ((seen[1].view(9, 5, 2) - CENTRES[faces.labels][:, None]).abs() <= 0.2 + 1e-6).all()


def test_targets_are_counted_as_scikit_learn_counts_recall():
    rng = torch.Generator().manual_seed(0)
    faces = FaceSet(random_faces(40), torch.arange(40) % 7, torch.arange(40) % 3 == 0)
    edits = edits_to_others(fixed_editor(lambda target: 0 * target), faces)

    def judge_of(count, name):
        return Judgement(name, torch.randn(count, 7, generator=rng), torch.zeros(count, 2))

    real, judged = ([judge_of(n, name) for name in "ab"] for n in (40, len(edits.rows)))
    figures = target_figures(faces, real, edits, judged, "at the centre")
    frontal = faces.frontal[edits.rows].numpy()
    for split, mask in (("all", frontal | True), ("frontal", frontal), ("other", ~frontal)):
        expected = [
            recall_score(edits.targets[mask], one.logits.argmax(1)[mask], average=None, labels=range(7))
            for one in judged
        ]
        found = figures["target_at_the_centre"].edits[split]
        assert list(found["emotions"].values()) == pytest.approx(np.mean(expected, axis=0))
        assert found["worst"] == pytest.approx(np.mean(expected, axis=0).min())
        alone = figures["target_at_the_centre:b"].edits[split]
        assert alone["mean"] == pytest.approx(np.mean(expected[1]))
    recall = recall_score(faces.labels, real[0].logits.argmax(1), average=None, labels=range(7))
    assert list(figures["target_at_the_centre:a"].real["all"]["emotions"].values()) == pytest.approx(recall)
    logits = np.stack([one.logits.numpy() for one in judged]).astype(float)
    softmax = np.exp(logits) / np.exp(logits).sum(2, keepdims=True)
    expected = softmax[:, np.arange(len(edits.rows)), edits.targets].mean(0)
    assert target_probability(edits, judged).numpy() == pytest.approx(expected, rel=1e-5)
    assert figures["probability_at_the_centre"].edits["all"]["overall"] == pytest.approx(expected.mean(), rel=1e-5)


def test_an_editor_that_hits_its_targets_is_recognised_and_one_that_misses_is_not():
    labels = torch.arange(70) % 7
    faces = FaceSet((10 * labels)[:, None, None].expand(-1, 12, 12).to(torch.uint8), labels)
    editors = {"good": fixed_editor(lambda target: 10 * target), "bad": fixed_editor(lambda target: 30 + 0 * target)}
    shares, frechet = {}, {}
    for name, editor in editors.items():
        edits = edits_to_others(editor, faces)
        real, judged = judge([LEVELS], faces.faces), judge([LEVELS], edits.images)
        figures = target_figures(faces, real, edits, judged, "at the centre")
        shares[name] = figures["target_at_the_centre"].edits["all"]
        assert figures["target_at_the_centre"].real["all"]["mean"] == 1
        frechet[name] = frechet_figures(faces, real[0], edits, judged[0])["frechet"].edits["all"]["emotions"]
    assert shares["good"]["mean"] == 1
    assert shares["bad"]["emotions"]["Happy"] == 1 and shares["bad"]["mean"] == pytest.approx(1 / 7)
    assert frechet["bad"]["Fear"] > frechet["good"]["Fear"]
    editor = editors["good"]
    change = change_of_edits(editor, faces, edits_to_others(editor, faces))
    expected = np.mean([10 * abs(int(a) - b) / 255 for a in labels for b in range(7) if a != b])
    assert change["change"] == pytest.approx(expected, rel=1e-5) and change["cycle_change"] == 0
    lines = measure_lines(editor, LEVELS, faces.faces)
    assert set(lines) == set(EMOTIONS) - {"Neutral"}
    assert len(lines["Angry"]) == 11 and lines["Angry"][0] < 0.01 and lines["Angry"][-1] > 0.9
    steps = smoothness_figure(lines)["smoothness"].edits["all"]["emotions"]
    assert steps["Angry"] == pytest.approx(np.abs(np.diff(lines["Angry"])).max()) and steps["Neutral"] is None


def test_frechet_distances_of_edits_and_of_halves_and_how_many_times_it_is():
    rng = torch.Generator().manual_seed(1)
    faces = FaceSet(random_faces(80), torch.arange(80) % 7, torch.arange(80) < 70)
    rows, targets = torch.arange(80).repeat(2), torch.arange(160) % 7
    edits = Edits(faces.faces[rows], rows, targets)
    real, judged = (Judgement("a", torch.zeros(n, 7), torch.randn(n, 3, generator=rng)) for n in (80, 160))
    figures = frechet_figures(faces, real, edits, judged)
    shown = real.features[(faces.labels == 2) & faces.frontal].numpy().astype(float)
    edited = judged.features[(targets == 2) & faces.frontal[rows]].numpy().astype(float)
    distance, halves = plain_frechet(edited, shown), plain_frechet(shown[::2], shown[1::2])
    assert figures["frechet"].edits["frontal"]["emotions"]["Fear"] == pytest.approx(distance, rel=1e-5)
    assert figures["frechet"].real["frontal"]["emotions"]["Fear"] == pytest.approx(halves, rel=1e-5)
    assert figures["frechet_ratio"].edits["frontal"]["emotions"]["Fear"] == pytest.approx(distance / halves, rel=1e-5)
    assert figures["frechet"].edits["other"]["emotions"]["Fear"] is None  # too few faces for a covariance


def test_differences_of_augmentations_by_plain_loops():
    faces, others = random_faces(5), random_faces(20, seed=1).view(5, 4, 24, 24)
    to_face, between = pixel_differences(faces, others)
    a, b = faces.numpy().astype(float), others.numpy().astype(float)
    assert to_face.numpy() == pytest.approx([np.abs(b[i] - a[i]).mean() for i in range(5)], rel=1e-5)
    pairs = [[np.abs(b[i, j] - b[i, k]).mean() for j in range(4) for k in range(j)] for i in range(5)]
    assert between.numpy() == pytest.approx(np.mean(pairs, axis=1), rel=1e-5)
    features = torch.nn.functional.normalize(torch.randn(3, 5, 8, generator=torch.Generator().manual_seed(0)), dim=2)
    expected = [np.mean([cosine(f[j], f[k]) for j in range(5) for k in range(j)]) for f in features.numpy()]
    assert mean_cosine_distance(features).numpy() == pytest.approx(expected, rel=1e-4)


def test_diversity_in_pixels_and_features_beside_that_of_real_faces():
    labels = torch.tensor([0, 0, 1, 1, 1, 2])
    faces, augmentations = FaceSet(random_faces(6, 8), labels), random_faces(18, 8, 1).view(6, 3, 8, 8)
    partners = same_emotion(labels, seed=3)
    assert torch.equal(labels[partners], labels) and sorted(partners.tolist()) == list(range(6))
    assert [int(p) == i for i, p in enumerate(partners)] == [False] * 5 + [True]

    def predict(batch):
        return torch.zeros(len(batch), 7), batch.flatten(1).float() - 128

    figures = diversity_figures(faces, augmentations, [Judge(predict, "pixels")], seed=3)
    x, y = faces.faces.flatten(1).numpy() - 128.0, augmentations.flatten(2).numpy() - 128.0
    expected = [np.mean([cosine(x[i], y[i, k]) for k in range(3)]) for i in range(6)]
    assert figures["features_to_original"].edits["all"]["overall"] == pytest.approx(np.mean(expected), rel=1e-4)
    assert figures["features_to_original"].edits["all"]["emotions"]["Disgust"] == pytest.approx(np.mean(expected[2:5]))
    expected = np.mean([cosine(x[i], x[p]) for i, p in enumerate(partners)])
    assert figures["features_to_each_other"].real["all"]["overall"] == pytest.approx(expected, abs=1e-5)
    expected = np.mean([np.abs(x[i] - x[p]).mean() for i, p in enumerate(partners)])
    assert figures["l1_to_original"].real["all"]["overall"] == pytest.approx(expected, rel=1e-5)


def test_identity_is_the_nearest_descriptor_by_scipys_distances():
    rng = np.random.default_rng(0)
    originals = rng.normal(size=(8, 128)).astype(np.float32)
    own_place = np.array([0, 0, 3, 5, 7])
    edits = (originals[own_place] + rng.normal(scale=[[0.1], [2], [0.1], [2], [0.1]], size=(5, 128))).astype(np.float32)
    distance, own = compare(torch.tensor(edits), torch.tensor(originals), torch.tensor(own_place))
    distances = cdist(edits, originals)
    assert distance.numpy() == pytest.approx(distances[np.arange(5), own_place], rel=1e-4)
    assert own.tolist() == (distances.argmin(1) == own_place).tolist()
    expected = [np.delete(row, i).mean() for i, row in enumerate(cdist(originals, originals))]
    assert mean_distance(torch.tensor(originals)).numpy() == pytest.approx(expected, rel=1e-4)


@pytest.fixture
def identities():
    """Of twelve edits of three faces: the first ten, by known values."""
    chosen = torch.arange(10)
    return Identities(chosen, chosen % 4 != 0, chosen / 10, chosen < 7, torch.tensor([0, 2]), torch.tensor([0.5, 0.7]))


def test_identity_figures_are_means_over_the_targets(identities):
    faces = FaceSet(random_faces(3), torch.tensor([0, 1, 0]))
    edits = Edits(random_faces(12), torch.arange(12) % 3, torch.arange(12) % 2 + 2)
    figures = identity_figures(
        faces,
        [Detection((0, 0, 9, 9), True), Detection(None, False), Detection((0, 0, 9, 9), False)],
        edits,
        identities,
    )
    assert figures["found"].edits["all"]["emotions"]["Fear"] == pytest.approx(np.mean([0, 1, 0, 1, 0]))
    assert figures["found"].real["all"]["emotions"] == {**dict.fromkeys(EMOTIONS), "Angry": 1, "Disgust": 0}
    assert figures["identity_own"].edits["all"]["overall"] == pytest.approx(0.7)
    assert figures["identity_distance"].edits["all"]["emotions"]["Happy"] == pytest.approx(0.5)
    assert figures["identity_distance"].real["all"]["overall"] == pytest.approx(0.6)
    json.dumps({name: asdict(figure) for name, figure in figures.items()})


def test_the_worst_edits_are_those_with_the_lowest_values(identities, tmp_path):
    faces = FaceSet(random_faces(3), torch.tensor([0, 1, 0]))
    edits = Edits(random_faces(12), torch.arange(12) % 3, torch.arange(12) % 2 + 2)
    probability = torch.tensor(np.random.default_rng(0).random(12))
    worst = dict(sheets.worst_edits(edits, probability, identities, seed=1))
    fear = np.arange(0, 12, 2)
    assert worst["target missed"][2] == list(fear[np.argsort(probability.numpy()[fear])][:3])
    assert worst["identity lost"][2] == [8, 6, 4]
    assert set(worst["no face found"][2]) == {0, 4, 8} and worst["no face found"][3] == []
    assert len(worst["random"][3]) == 3 and worst["random"][0] == []
    path = sheets.write_worst_sheet(tmp_path / "worst.png", faces, edits, list(worst.items()))
    assert path.stat().st_size > 1000


def test_balanced_accuracy_is_that_of_scikit_learn():
    """The mean over an emotion of each face's two answers, as detectability_figures has it."""
    rng = np.random.default_rng(0)
    answers = rng.integers(0, 2, 40)
    sides = np.repeat([0, 1], 20)
    values = torch.tensor(answers == sides).double().view(2, -1).mean(0)
    assert values.mean().item() == pytest.approx(balanced_accuracy_score(sides, answers))


def test_a_judge_is_asked_in_batches_and_gives_what_its_head_is_given():
    head = torch.nn.Linear(4, 7)
    one = judge_of(head, lambda batch: head(batch.float().mean(2)), "linear")
    batch = random_faces(600, 4)
    logits, features = one.predict(batch)
    assert features.numpy() == pytest.approx(batch.float().mean(2).numpy())
    assert torch.allclose(logits, head(features))
    assert one.probabilities(batch).sum(1).detach().numpy() == pytest.approx(1, abs=1e-5)
    assert predicts_levels(batch)[0].shape == (600, 7)
    diverged = judge_of(head, lambda batch: head(batch.float().mean(2)) / 0, "D")
    with pytest.raises(InputError, match="judge D: its outputs are not all finite numbers"):
        diverged.predict(batch)
