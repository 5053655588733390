"""The comparison with other packages counts what a plain calculation counts."""

import json
import sys

import numpy as np
import torch
from torchvision.transforms.v2 import functional

from benchmarks import comparison
from core_code.datasets.fer2013 import FER2013
from core_code.training.inference import SHIPPED_CLASSIFIER, load_trained_file


class Strips:
    """In place of fer's detector: an emotion's score is the contrast of its strip of the rectangle, of seven."""

    def detect_emotions(self, picture, rectangles):
        names = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
        faces = [picture[top : top + height, left : left + width, 0] for left, top, width, height in rectangles]
        return [{"emotions": dict(zip(names, contrast_of_strips(face), strict=True))} for face in faces]


def contrast_of_strips(face):
    return [float(strip.std()) for strip in np.array_split(face, 7)]


def test_accuracy_is_the_share_of_faces_whose_highest_probability_is_the_label(
    fer2013_csv, tmp_path, monkeypatch, capsys
):
    data = fer2013_csv(tmp_path, seed=1)
    monkeypatch.setattr(sys, "argv", ["comparison.py", "--data_root", str(data), "--only", "ours", "fer"])
    monkeypatch.setattr(comparison, "load_fer", lambda keras: Strips())
    monkeypatch.setattr(comparison, "STEP", 5)
    comparison.main()
    printed = json.loads(capsys.readouterr().out)

    test = FER2013(data, "test")
    labels = test.labels.tolist()
    view = functional.center_crop(functional.resize(test.faces[:, None] / 255, [55], antialias=True), [48])
    with torch.no_grad():
        predicted = load_trained_file(SHIPPED_CLASSIFIER).net.eval()(view.expand(-1, 3, -1, -1)).argmax(1).tolist()
    ours = sum(one == label for one, label in zip(predicted, labels, strict=True))
    sharpest = [int(np.argmax(contrast_of_strips(face))) for face in test.faces.numpy()]
    fer = sum(one == label for one, label in zip(sharpest, labels, strict=True))
    assert (printed["faces"], printed["ours"], printed["fer"]) == (len(labels), ours, fer)
    assert (printed["ours_percent"], printed["fer_percent"]) == (
        round(100 * ours / len(labels), 2), round(100 * fer / len(labels), 2),
    )  # fmt: skip
    assert 0 < ours < len(labels) and 0 < fer < len(labels)
