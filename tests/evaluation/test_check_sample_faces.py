"""What the check of the sample faces measures, against plain computations."""

import numpy as np
import pytest
import torch
from small_faces import smooth_faces

from core_code.evaluation import check_sample_faces
from core_code.evaluation.check_sample_faces import TRAINING, find_nearest, measure, unit_contrast
from core_code.models.emotion_net import EmotionNet
from core_code.training.inference import Trained


def test_distances_are_root_mean_squares_of_faces_of_one_contrast():
    one, other = torch.from_numpy(smooth_faces(2))[:, None]
    found = torch.dist(unit_contrast(one)[0], unit_contrast(other)[0])
    a, b = ((face - face.mean()) / face.std() * 64 for face in (one.numpy().astype(float), other.numpy().astype(float)))
    assert found.item() == pytest.approx(np.sqrt(((a - b) ** 2).mean()), rel=1e-4)


def test_the_nearest_face_is_found_and_a_copy_is_one():
    rng = torch.Generator().manual_seed(0)
    points, others = torch.randn(100, 5, generator=rng), torch.randn(70, 5, generator=rng)
    others[3] = points[2]  # torch.cdist leaves the root of a rounding error between copies
    near, rows = find_nearest(points, others, of_them=False)
    for index, point in enumerate(points):
        distances = [((point - other) ** 2).sum().sqrt().item() for other in others]
        assert rows[index] == int(np.argmin(distances))
        assert near[index].item() == pytest.approx(min(distances), abs=5e-3)
    assert near[2] < 5e-3


def test_of_the_others_themselves_copies_do_not_count():
    others = torch.tensor([[1.0, 0], [1, 0], [4, 4], [0, 2]])
    near, rows = find_nearest(others, others, of_them=True)
    assert rows.tolist() == [3, 3, 3, 0]
    np.testing.assert_allclose(near, np.sqrt([5, 5, 20, 5]), rtol=1e-5)


def test_the_table_and_the_sheet(tmp_path, monkeypatch):
    """A mirrored copy among the sample faces is found in pixels; the judge's share is that of its predictions."""
    monkeypatch.setattr(check_sample_faces, "found_share", lambda faces: 0.5)
    torch.manual_seed(0)
    judge = Trained(EmotionNet("resnet18").eval(), 32)
    train = torch.from_numpy(smooth_faces(12, seed=1))
    sample = torch.from_numpy(smooth_faces(6, seed=2))
    sample[4] = train[7].flip(1)
    labels = check_sample_faces.logits_of(judge, sample).argmax(1)
    labels[:3] = (labels[:3] + 1) % 7
    table, nearest = measure({"sample": (sample, labels), TRAINING: (train, torch.zeros(12))}, train, judge)
    row = table.iloc[0]
    assert row["label predicted (%)"] == 50 and row["pixels, least"] < 0.1 < row["pixels, median"]
    assert nearest["sample"][1][4] == 7 and table.iloc[1]["pixels, least"] > 1
    path = check_sample_faces.draw_nearest(tmp_path / "nearest.png", sample, labels, train, nearest["sample"])
    assert path.stat().st_size > 0
