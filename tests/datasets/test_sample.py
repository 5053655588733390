"""The sample faces: always the same, apart in each phase, and readable."""

from pathlib import Path

import numpy as np
import pytest
import torch

from core_code.datasets import sample
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
