"""Nets in 8 bits, and the classifier that is included so."""

from pathlib import Path

import numpy as np
import pytest
import torch
from small_faces import smooth_faces

from core_code.core_utils.emotions import EMOTIONS
from core_code.core_utils.errors import InputError
from core_code.core_utils.weights import dequantised, quantised
from core_code.models.emotion_net import EmotionNet
from core_code.models.quantise import quantise_checkpoint
from core_code.prediction.classifier import Classifier
from core_code.training.inference import SHIPPED_CLASSIFIER, load_trained_file


def by_hand(weight: np.ndarray) -> np.ndarray:
    """What 8 bits leave of a weight, channel by channel and number by number."""
    result = np.zeros_like(weight)
    for channel, values in enumerate(weight):
        step = max(abs(value) for value in values.ravel()) / 127
        for place, value in np.ndenumerate(values):
            result[channel][place] = round(value / step) * step if step else 0
    return result


def test_8_bits_are_a_plain_calculation_for_each_output_channel():
    rng = np.random.default_rng(1)
    convolution, linear = rng.normal(size=(5, 3, 2, 2)), rng.normal(size=(4, 6))
    convolution[2] = 0  # a channel that has died
    linear[1] *= 1e-3
    state = {"c.weight": torch.tensor(convolution), "l.weight": torch.tensor(linear), "l.bias": torch.ones(4).half(),
             "n.num_batches_tracked": torch.tensor(7)}  # fmt: skip
    stored = quantised(state)
    assert stored["c.weight"].dtype == stored["l.weight"].dtype == torch.int8
    assert stored["l.bias"] is state["l.bias"] and stored["n.num_batches_tracked"] is state["n.num_batches_tracked"]
    found = dequantised(stored, state)
    assert found.keys() == state.keys()
    np.testing.assert_allclose(found["c.weight"], by_hand(convolution), atol=1e-6)
    np.testing.assert_allclose(found["l.weight"], by_hand(linear), atol=1e-6)


@pytest.fixture
def stored(tmp_path, small) -> tuple[Path, EmotionNet]:
    """A net's checkpoint in 8 bits, and the net."""
    torch.manual_seed(0)
    net = EmotionNet(small)
    state = {"name": small, "experiment": "A", "net": net.state_dict(), "epoch": 1, "optimizer": {}, "loss": 0.5,
             "scheduler": None, "seed": 1, "history": [{"epoch": 1}], "settings": {"image_size": 32}}  # fmt: skip
    torch.save(state, tmp_path / "whole.pth")
    quantise_checkpoint(tmp_path / "whole.pth", tmp_path / "stored.pth")
    return tmp_path / "stored.pth", net


def test_a_checkpoint_in_8_bits_is_read_as_any_other(stored, small):
    path, net = stored
    found, size = load_trained_file(path)
    assert size == 32
    for name, value in net.state_dict().items():
        expected = by_hand(value.numpy()) if value.dim() > 1 else value
        np.testing.assert_allclose(found.state_dict()[name], expected, atol=1e-6)
    started = EmotionNet(small)
    started.load_backbone(str(path))
    name = next(name for name, value in net.state_dict().items() if value.dim() > 1)
    assert torch.equal(started.state_dict()[name], found.state_dict()[name])


@pytest.mark.parametrize("damage", ["no scale", "scale of another shape", "infinite scale", "other shape", "truncated"])
def test_a_damaged_file_is_one_line_that_names_it(stored, damage):
    path = stored[0]
    state = torch.load(path)
    scale = next(name for name in state["net"] if name.endswith(".scale"))
    if damage == "no scale":
        del state["net"][scale]
    elif damage == "scale of another shape":
        state["net"][scale] = torch.ones(1)
    elif damage == "infinite scale":
        state["net"][scale].fill_(torch.inf)
    elif damage == "other shape":  # larger than any memory, were it multiplied
        state["net"][scale.removesuffix(".scale")] = torch.zeros(1, dtype=torch.int8).expand(1 << 20, 1 << 20)
    torch.save(state, path)
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(InputError) as error:
        load_trained_file(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_the_classifier_that_is_included():
    assert SHIPPED_CLASSIFIER.stat().st_size <= 12e6
    classifier = Classifier.load(device="cpu")
    assert classifier.emotions == EMOTIONS
    found = classifier.probabilities(smooth_faces(2))
    assert found.shape == (2, 7) and found.sum(1) == pytest.approx(1)
