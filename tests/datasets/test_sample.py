"""The sample faces: always the same, apart in each phase, readable, and fitted on Training faces alone."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from small_faces import small_rows, smooth_faces, write_csv

from core_code.core_utils.errors import InputError
from core_code.datasets import fit_sample_model, sample
from core_code.datasets.fer2013 import FER2013, PHASES


@pytest.fixture(scope="module")
def phases() -> dict[str, FER2013]:
    return {phase: FER2013(Path("nowhere"), phase, "sample") for phase in PHASES}


def test_sizes_and_labels(phases):
    assert [len(phases[phase]) for phase in PHASES] == [2100, 700, 700]
    assert phases["train"].class_counts.min() >= 100
    assert phases["train"].class_counts.argmax() == 3 and phases["train"].class_counts.argmin() == 1  # as in FER2013
    assert phases["val"].class_counts.tolist() == phases["test"].class_counts.tolist() == [100] * 7
    for faces in phases.values():
        assert faces.faces.shape[1:] == (48, 48) and faces.faces.dtype == torch.uint8


def test_the_same_faces_every_time(phases):
    for phase in PHASES:
        assert FER2013(Path("elsewhere"), phase, "sample").fingerprint() == phases[phase].fingerprint()
    part = FER2013(Path("nowhere"), "train", "sample", max_faces=50)
    assert part.fingerprint() == phases["train"].fingerprint(50)


def test_no_face_stands_twice(phases):
    faces = torch.cat([phases[phase].faces for phase in PHASES])
    assert len({face.numpy().tobytes() for face in faces}) == 3500


def test_a_linear_classifier_predicts_fresh_samples(phases):
    """One-vs-rest ridge regression, written out: far above chance (14 %), so the expressions are there to be read."""
    train, test = ((phases[p].faces.flatten(1).double() / 255 - 0.5) for p in ("train", "test"))
    targets = torch.nn.functional.one_hot(phases["train"].labels, 7).double()
    weights = torch.linalg.solve(train.T @ train + 300 * torch.eye(train.shape[1]), train.T @ targets)
    accuracy = ((test @ weights).argmax(1) == phases["test"].labels).double().mean()
    assert accuracy > 0.6


def test_the_samples_follow_the_model(monkeypatch):
    """Without the last step, samples have the moved means and the narrowed covariance that the model states."""
    monkeypatch.setattr(sample, "equalize", lambda images: images)
    random = np.random.default_rng(0)
    basis = np.linalg.qr(random.normal(size=(sample.PIXELS, 3)))[0].T
    model = {
        "mean_face": random.normal(size=sample.PIXELS),
        "components": basis,
        "emotion_means": random.normal(size=(7, 3)),
        "factors": np.tril(random.normal(size=(7, 3, 3))),
    }
    samples = sample.sample_faces(model, np.full(20_000, 4), np.random.RandomState(1))
    coefficients = (samples - model["mean_face"]) @ basis.T
    common = model["emotion_means"].mean(axis=0)
    moved = common + sample.STRENGTH * (model["emotion_means"][4] - common)
    np.testing.assert_allclose(coefficients.mean(axis=0), moved, atol=0.06)
    covariance = sample.COVARIANCE_SCALE * model["factors"][4] @ model["factors"][4].T
    np.testing.assert_allclose(np.cov(coefficients.T), covariance, atol=0.15)


def test_grey_levels_are_evenly_distributed_and_keep_their_order():
    images = np.random.default_rng(0).normal(size=(3, 48 * 48))
    faces = sample.equalize(images).reshape(3, -1)
    for image, face in zip(images, faces, strict=True):
        assert np.bincount(face, minlength=256).tolist() == [9] * 256
        assert (np.diff(face[np.argsort(image)].astype(int)) >= 0).all()


def test_the_committed_model_is_small_and_plain_arrays():
    assert sample.MODEL.stat().st_size < 1_100_000
    with np.load(sample.MODEL, allow_pickle=False) as model:
        assert all(model[name].dtype.kind in "fi" for name in model.files)


def test_the_fit_finds_means_covariances_and_components():
    """Against numpy's own on the same faces: three directions of known size, the mean of each emotion."""
    random = np.random.default_rng(0)
    labels = np.arange(700) % 7
    coefficients = random.normal(size=(700, 5)) * [3, 2.5, 2, 1.5, 1]
    means, factors = fit_sample_model.fit_emotions(coefficients, labels)
    np.testing.assert_allclose(means, [coefficients[labels == label].mean(axis=0) for label in range(7)])
    own = [np.cov(coefficients[labels == label].T, bias=True) for label in range(7)]
    weight = 100 / (100 + fit_sample_model.SHRINKAGE)
    for factor, covariance in zip(factors, own, strict=True):
        expected = weight * covariance + (1 - weight) * np.mean(own, axis=0)
        np.testing.assert_allclose(factor @ factor.T, expected, atol=1e-3)


def test_aligning_puts_moved_faces_back():
    face = smooth_faces(1)[0].astype(np.float32)
    face += face[:, ::-1]
    shifts = [(0, 0)] * 20 + [(2, -1), (-2, 2), (1, 2)]
    faces = np.stack([np.roll(face, shift, axis=(0, 1)) for shift in shifts])
    aligned, likeness = fit_sample_model.align(fit_sample_model.standardize(faces))
    inner = aligned[:, 8:-8, 8:-8]
    assert np.abs(inner - inner[0]).max() < 0.05 and len(likeness) == len(faces)


def fitted(folder: Path, rows) -> dict[str, np.ndarray]:
    folder.mkdir()
    write_csv(folder / "icml_face_data.csv", rows)
    return fit_sample_model.fit_from(folder, components=6, find=lambda faces: np.ones(len(faces), dtype=bool))


def test_val_and_test_rows_do_not_reach_the_model(tmp_path):
    rows = small_rows(train=70)
    poisoned = [
        row if row[1] == "Training" else (6 - row[0], row[1], np.full((48, 48), 255 * (index % 2)))
        for index, row in enumerate(rows)
    ]
    assert any(not np.array_equal(a[2], b[2]) for a, b in zip(rows, poisoned, strict=True))
    model, same = fitted(tmp_path / "a", rows), fitted(tmp_path / "b", poisoned[::-1][:28] + poisoned[:70])
    assert model.keys() == same.keys()
    for name in model:
        np.testing.assert_array_equal(model[name], same[name])


def test_a_fitted_model_can_be_sampled_from(tmp_path, monkeypatch):
    model = fitted(tmp_path / "a", small_rows(train=140))
    np.savez_compressed(tmp_path / "model.npz", **model)
    labels = np.arange(7).repeat(3)
    faces = sample.sample_faces(sample.read_model(tmp_path / "model.npz"), labels, np.random.RandomState(0))
    assert faces.shape == (21, 48, 48) and faces.dtype == np.uint8


def test_without_dlib_the_command_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "dlib", None)
    with pytest.raises(InputError, match="pip install dlib-bin"):
        fit_sample_model.find_frontal(smooth_faces(1))


def test_an_emotion_without_faces_is_named(tmp_path):
    with pytest.raises(InputError, match="no frontal Surprise face in train"):
        fitted(tmp_path / "a", [row for row in small_rows(train=70) if row[0] != 5])
