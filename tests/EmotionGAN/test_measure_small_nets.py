"""What small nets learn from edits: they learn what is there to be learned, and only that."""

import numpy as np
import pytest
import torch
from measure_stand_ins import CENTRES, editor_of

from EmotionGAN.measure import small_net
from EmotionGAN.measure.face_sets import FaceSet
from EmotionGAN.measure.small_net import both_sides, cas_figures, detectability_figures, shuffled

CPU = torch.device("cpu")


def striped(labels, seed):
    """Noisy faces 16x16 on which the label is a bright row: uint8 [N,16,16]."""
    rng = torch.Generator().manual_seed(seed)
    faces = torch.randint(0, 60, (len(labels), 16, 16), generator=rng, dtype=torch.uint8)
    faces[torch.arange(len(labels)), 1 + 2 * labels] = 255
    return faces


@pytest.fixture(autouse=True)
def few_shifts(monkeypatch):
    monkeypatch.setattr(small_net, "SHIFT", 0)
    monkeypatch.setattr(small_net, "LAYERS", ((8, 5, 2), (16, 3, 2)))
    monkeypatch.setattr(small_net, "BATCH", 32)


def set_of(count, seed):
    labels = torch.arange(count) % 7
    return FaceSet(striped(labels, seed), labels)


def test_edits_that_show_their_emotion_are_worth_as_much_as_real_faces_and_others_nothing(monkeypatch):
    monkeypatch.setattr(small_net, "EPOCHS", 12)
    train, faces = set_of(420, 0), set_of(70, 1)

    def good(batch, codes):
        return striped(torch.cdist(codes, CENTRES).argmin(1), 2)

    figure = cas_figures(editor_of(good), train, faces, seed=1)["cas"]
    assert figure.real["all"]["overall"] > 0.8 and figure.edits["all"]["overall"] > 0.8
    figure = cas_figures(editor_of(lambda batch, codes: batch), train, faces, seed=1)["cas"]
    assert figure.edits["all"]["overall"] < 0.5  # the faces are those of before, with random labels


def test_each_emotion_has_as_many_edits_as_faces():
    labels = torch.tensor([0] * 30 + [3] * 20 + [6])
    targets = shuffled(labels, seed=1)
    assert np.bincount(targets).tolist() == np.bincount(labels).tolist() and not torch.equal(targets, labels)


def test_edits_with_a_mark_are_told_from_faces_and_copies_are_not(monkeypatch):
    monkeypatch.setattr(small_net, "EPOCHS", 6)
    train, faces = set_of(210, 0), set_of(70, 1)

    def marked(batch, codes):
        batch = batch.clone()
        batch[:, 6:10, 4:12] = 200
        return batch

    figures = detectability_figures(editor_of(marked), train, faces, seed=1)
    assert figures["detectability"].edits["all"]["overall"] > 0.95
    figures = detectability_figures(editor_of(lambda batch, codes: batch), train, faces, seed=1)
    assert figures["detectability"].edits["all"]["overall"] == 0.5  # each face gets one answer on both sides
    images, sides = both_sides(faces.faces, faces.faces)
    assert len(images) == 140 and sides.tolist() == [0] * 70 + [1] * 70


def test_views_are_the_faces_shifted_and_mirrored(monkeypatch):
    monkeypatch.setattr(small_net, "SHIFT", 2)
    face = torch.randint(0, 256, (1, 9, 9), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    views = small_net.random_view(face.expand(300, 9, 9), torch.Generator().manual_seed(1))
    padded = np.pad(face[0].numpy(), 2, mode="edge") / 127.5 - 1
    allowed = {
        np.round(crop, 4).tobytes()
        for y in range(5)
        for x in range(5)
        for crop in (padded[y : y + 9, x : x + 9], padded[y : y + 9, x : x + 9][:, ::-1])
    }
    found = {np.round(view.astype(float), 4).tobytes() for view in views[:, 0].numpy()}
    assert found <= allowed and len(found) > 45


def test_the_same_seed_gives_the_same_net():
    one, other = (small_net.make_small_net(7, seed=3) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    train = set_of(64, 0)
    nets = [small_net.train_small_net(train.faces, train.labels, 7, CPU, torch.float32, 1, "") for _ in range(2)]
    predicted = [small_net.predict_small_net(net, train.faces, CPU, torch.float32) for net in nets]
    assert torch.equal(*predicted)
