"""The generator of the sample faces: its layers and augmentation against plain computations, and a short run."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from small_faces import Row, small_rows, smooth_faces, write_csv

from core_code.core_utils.errors import InputError
from core_code.core_utils.files import load_weights
from core_code.datasets import fit_sample_model, sample_learning
from core_code.datasets.sample_learning import SampleTrainer, augment
from core_code.datasets.sample_networks import FaceGenerator, StyledConv

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.fixture(scope="module")
def generator() -> FaceGenerator:
    torch.manual_seed(1)
    generator = FaceGenerator(channels=(8, 6, 4, 4), latent=4).requires_grad_(False)
    generator.measure_mean_latents()
    return generator


def test_a_styled_convolution_is_one_with_weights_of_its_own_for_each_face():
    """Equations 1 to 3 of the StyleGAN2 paper, a face at a time; times sqrt(2), for the leaky ReLU that follows."""
    layer, features, latents = StyledConv(5, 3, style=4), torch.randn(2, 5, 7, 7), torch.randn(2, 4)
    with torch.no_grad():
        layer.bias.copy_(torch.randn(3))
        found = layer(features, latents)
        for index in range(2):
            style = latents[index] @ layer.style.weight.T / 4**0.5 + layer.style.bias
            weights = layer.conv.weight / (9 * 5) ** 0.5 * style[None, :, None, None]
            weights = weights / (weights**2).sum(dim=(1, 2, 3), keepdim=True).sqrt()
            expected = F.conv2d(features[index : index + 1], 2**0.5 * weights, layer.bias, padding=1)
            torch.testing.assert_close(found[index : index + 1], expected, atol=1e-4, rtol=1e-4)


def test_truncation_goes_from_the_emotions_mean_face_to_where_the_noise_leads(generator):
    noise, labels = torch.randn(6, 4), torch.tensor([0, 0, 3, 3, 6, 6])
    mean = generator(noise, labels, truncation=0)
    assert mean.shape == (6, 1, 48, 48)
    torch.testing.assert_close(mean[::2], mean[1::2])
    assert (mean[0] - mean[2]).abs().max() > 1e-3
    latents = generator.map(noise, labels)
    half = generator.synthesize((latents + generator.mean_latents[labels]) / 2)
    torch.testing.assert_close(generator(noise, labels, truncation=0.5), half)
    torch.testing.assert_close(generator(noise, labels), generator.synthesize(latents))


def test_faces_do_not_depend_on_the_batch(generator):
    noise, labels = torch.randn(5, 4), torch.arange(5)
    alone = torch.cat([generator(noise[i : i + 1], labels[i : i + 1]) for i in range(5)])
    torch.testing.assert_close(generator(noise, labels), alone, atol=1e-5, rtol=1e-4)


def test_augmenting_against_plain_loops():
    faces, uniforms = torch.rand(6, 1, 48, 48) * 2 - 1, torch.rand(6, 7)
    found = augment(faces, uniforms, mirror=True)
    for index, (face, draw) in enumerate(zip(faces[:, 0].double().numpy(), uniforms.double().numpy(), strict=True)):
        brightness, contrast, right, down, x, y, side = 2 * draw - 1
        face = face + 0.3 * brightness
        face = (face - face.mean()) * (1 + 0.4 * contrast) + face.mean()
        face = face[:, ::-1] if side > 0 else face
        expected = np.zeros((48, 48))
        right, down = round(6.5 * right), round(6.5 * down)
        for row in range(48):
            for column in range(48):
                hidden = abs(row - 24 * (y + 1)) < 10 and abs(column - 24 * (x + 1)) < 10
                if 0 <= row + down < 48 and 0 <= column + right < 48 and not hidden:
                    expected[row, column] = face[row + down, column + right]
        np.testing.assert_allclose(found[index, 0].numpy(), expected, atol=1e-5)


def test_augmenting_passes_gradients():
    faces = torch.zeros(2, 1, 48, 48, requires_grad=True)
    augment(faces, torch.full((2, 7), 0.5)).sum().backward()
    assert faces.grad is not None and faces.grad.abs().sum() > 1000


@pytest.fixture
def trainer() -> SampleTrainer:
    return SampleTrainer(0.02, seed=0, device=CPU, dtype=torch.float32)


def batch(size: int = 8) -> tuple[torch.Tensor, ...]:
    faces = torch.from_numpy(smooth_faces(size))[:, None]
    labels = torch.arange(size) % 7
    return faces, labels, torch.randn(size, 64), labels, torch.rand(size, 7), torch.rand(size, 7)


class Linear(torch.nn.Module):
    """A discriminator whose slope is known: its weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(48, 48))

    def forward(self, faces: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return (faces[:, 0] * self.weight).sum(dim=(1, 2))


def test_the_penalty_is_r1(trainer):
    """Of a linear discriminator it is 0.3 / 2 |w|^2, on one batch in 16; its gradient is 0.3 w."""
    trainer.discriminator, inputs = Linear(), batch()
    weight = trainer.discriminator.weight
    trainer.discriminator_gradients(*inputs)
    usual, weight.grad = weight.grad.clone(), None
    trainer.penalized_gradients(*inputs)
    torch.testing.assert_close(weight.grad - usual, 16 * 0.3 * weight.detach(), atol=1e-3, rtol=1e-4)


def test_the_discriminator_compares_neighbours_and_no_others(trainer):
    faces, labels, *_ = batch()
    faces = sample_learning.as_floats(faces)
    with torch.no_grad():
        found = trainer.discriminator(faces, labels)
        changed = trainer.discriminator(torch.cat([faces[:4], faces[4:].flip(2)]), labels)
    assert found.shape == (8,)
    torch.testing.assert_close(found[:4], changed[:4])
    assert (found[4:] - changed[4:]).abs().max() > 1e-4


def test_emotions_are_drawn_by_the_square_roots_of_their_numbers():
    labels = torch.arange(7).repeat_interleave(torch.tensor([1, 4, 9, 16, 25, 36, 49]))
    faces = fit_sample_model.TrainingFaces(torch.zeros(140, 48, 48, dtype=torch.uint8), labels, CPU)
    drawn = faces.draw(28_000, torch.Generator().manual_seed(0))[1]
    np.testing.assert_allclose(torch.bincount(drawn) / 1000, range(1, 8), atol=0.3)


def even_rows() -> list[Row]:
    """Ten Training faces of each emotion."""
    return [(index % 7, usage, face) for index, (_, usage, face) in enumerate(small_rows(train=70))]


def fit(monkeypatch, folder: Path, *more: str) -> None:
    """The command, very small and short, on a CSV in `folder` whose Training faces are all frontal."""
    np.save(folder / "rows.npy", np.arange(70, dtype=np.uint16))
    words = ["--data_root", folder, "--rows", folder / "rows.npy", "--dest", folder / "run", "--device", "cpu",
             "--width", 0.02, "--batch_size", 4, *more]  # fmt: skip
    monkeypatch.setattr(sys, "argv", ["fit", *map(str, words)])
    fit_sample_model.main()


def test_a_short_run_writes_its_result_and_goes_on(monkeypatch, tmp_path, capsys):
    write_csv(tmp_path / "icml_face_data.csv", even_rows())
    fit(monkeypatch, tmp_path, "--minutes", "0.02")
    weights = load_weights(tmp_path / "run" / "sample_faces.pth", "generator")
    assert {value.dtype for value in weights.values()} == {torch.float16}
    with fit_sample_model.Image.open(tmp_path / "run" / "sheet.png") as sheet:
        assert sheet.size == (30 * 50, 7 * 50) and np.asarray(sheet).std() > 10
    steps = load_weights(tmp_path / "run" / "learning.pth", "run")["step"]
    fit(monkeypatch, tmp_path, "--minutes", "0.06")
    assert f"going on at step {steps}" in capsys.readouterr().out
    assert load_weights(tmp_path / "run" / "learning.pth", "run")["step"] > steps > 0


def test_a_run_of_other_networks_is_named(trainer, tmp_path):
    SampleTrainer(0.05, seed=0, device=CPU, dtype=torch.float32).save(tmp_path / "learning.pth")
    with pytest.raises(InputError, match="not a run that can go on here"):
        trainer.load(tmp_path / "learning.pth")


def test_an_emotion_without_faces_is_named(monkeypatch, tmp_path):
    rows = [(label if label != 5 else 4, usage, face) for label, usage, face in even_rows()]
    write_csv(tmp_path / "icml_face_data.csv", rows)
    with pytest.raises(InputError, match="no frontal Surprise face in train"):
        fit(monkeypatch, tmp_path, "--minutes", "0.02")


@pytest.mark.parametrize("rows", [np.zeros(0), np.array([70]), np.array([-1]), np.zeros((2, 2))])
def test_rows_that_do_not_fit_are_named(tmp_path, rows):
    np.save(tmp_path / "rows.npy", rows)
    with pytest.raises(InputError, match="no rows of 70 faces"):
        fit_sample_model.frontal_rows(tmp_path / "rows.npy", smooth_faces(70))


def test_without_dlib_the_command_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "dlib", None)
    with pytest.raises(InputError, match="pip install dlib-bin"):
        fit_sample_model.find_frontal(smooth_faces(1))
