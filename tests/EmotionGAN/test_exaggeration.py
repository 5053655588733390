"""How exaggerated augmentations are, measured on editors and classifiers whose answers are known."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from measure_stand_ins import CENTRES, editor_of
from PIL import Image

from EmotionGAN.conditional_space import ConditionalSpace
from EmotionGAN.measure.exaggeration import (
    measure_exaggeration,
    plot_confidences,
    sample_codes,
    write_comparison_sheet,
)
from EmotionGAN.measure.judges import Judge

EMOTIONS = ConditionalSpace(CENTRES).emotions


def distances(codes):
    return torch.cdist(codes, CENTRES) ** 2


@pytest.fixture
def editor():
    """Its edits have the grey level 100 + 100 x; the code of a face is (0, 0) for dark faces, (0.9, 0) for others."""

    def edit(faces, codes, batch_size=None):
        return (
            (100 + 100 * codes[:, 0])[:, None, None].expand(-1, *faces.shape[1:]).round().clamp(0, 255).to(torch.uint8)
        )

    def encode_faces(faces):
        return torch.stack([0.9 * (faces.float().mean(dim=(1, 2)) > 100), torch.zeros(len(faces))], dim=1)

    generator = SimpleNamespace(config=SimpleNamespace(emotions=EMOTIONS), distances=distances)
    return editor_of(edit, encode_faces=encode_faces, generator=generator, face_encoder=object())


def test_codes_lie_in_the_boxes_around_the_centre_and_the_code_of_the_face(editor):
    faces, labels = torch.full((9, 24, 24), 50, dtype=torch.uint8), torch.arange(9) % 7
    codes = sample_codes(editor, faces, labels, 3, seed=1)
    assert codes["centre=emotion"].shape == (9, 3, 2)
    assert ((codes["centre=emotion"] - CENTRES[labels][:, None]).abs() <= 0.2 + 1e-6).all()
    assert (codes["centre=face"].abs() <= 0.2).all() and codes["centre=face"].abs().max() > 0.1
    again, other = (sample_codes(editor, faces, labels, 3, seed)["centre=face"] for seed in (1, 2))
    assert torch.equal(again, codes["centre=face"]) and not torch.equal(other, again)


def test_confidences_are_the_classifiers_own(editor, tmp_path):
    rng = torch.Generator().manual_seed(0)
    faces = torch.randint(0, 256, (30, 1, 1), generator=rng).expand(-1, 24, 24).to(torch.uint8).contiguous()
    labels = torch.arange(30) % 7

    def predict(batch):
        logits = torch.eye(7)[0] * batch.float().mean(dim=(1, 2))[:, None] / 50
        return logits, logits

    result = measure_exaggeration(editor, Judge(predict, "levels"), faces, labels, seed=1)
    level = faces[:, 0, 0].numpy() / 50
    expected = np.where(labels == 0, np.exp(level), 1) / (np.exp(level) + 6)
    assert result["real"]["mean"] == pytest.approx(expected.mean(), rel=1e-4)
    assert result["real"]["quartiles"] == pytest.approx(np.quantile(expected, [0.25, 0.5, 0.75]), rel=1e-4)
    assert result["real"]["histogram"] == pytest.approx(np.histogram(expected, 20, (0, 1))[0] / 30)
    assert result["real"]["change"] == 0 < result["centre=face"]["change"]
    nearest = np.where(faces[:, 0, 0].numpy() > 100, 6, 3)
    assert result["code_nearest_label"] == pytest.approx((nearest == labels.numpy()).mean())
    for path in (
        plot_confidences(tmp_path / "confidence.png", result, "fixed"),
        write_comparison_sheet(tmp_path / "sheet.png", editor, faces, labels, seed=1),
    ):
        with Image.open(path) as picture:
            assert picture.width > 500 and np.asarray(picture).std() > 0
