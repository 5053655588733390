"""The code of a face: predicted by the shipped encoder, whatever else is in the batch, or refused in one line."""

import json

import pytest
import torch

from core_code.core_utils.errors import InputError
from EmotionGAN.editor import Editor, save_generator
from EmotionGAN.networks.config import GeneratorConfig
from EmotionGAN.networks.discriminator import Discriminator
from EmotionGAN.networks.face_encoder import encode_images, load_face_encoder, save_face_encoder
from EmotionGAN.networks.generator import build_generator

CPU = torch.device("cpu")
CONFIG = GeneratorConfig(image_size=16, colours="grey", width=4, blocks=1, framing="fer2013")


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(3)
    save_generator(tmp_path / "made", build_generator(CONFIG))
    save_face_encoder(tmp_path / "made", Discriminator(16, 1, width=4, layers=2))
    return tmp_path / "made"


def test_a_code_is_the_mean_over_a_face_and_its_mirror_image(folder):
    faces = torch.randint(0, 256, (5, 16, 16), dtype=torch.uint8)
    encoder = load_face_encoder(folder)
    codes = Editor.load(folder, CPU).encode_faces(faces)
    for face, code in zip(faces, codes, strict=True):
        image = face[None, None].float() / 127.5 - 1
        expected = (encoder(image).codes + encoder(image.flip(-1)).codes)[0] / 2
        torch.testing.assert_close(code, expected.clamp(-1, 1))


def test_a_face_has_the_same_code_to_the_last_bit_however_many_are_encoded(folder):
    editor = Editor.load(folder, CPU)
    faces = torch.randint(0, 256, (300, 16, 16), dtype=torch.uint8)
    assert torch.equal(editor.encode_faces(faces)[:7], editor.encode_faces(faces[:7]))
    assert editor.encode_faces(faces[:0]).shape == (0, 2)


def test_codes_stay_in_the_square(folder):
    encoder = load_face_encoder(folder)
    codes = encode_images(encoder, 1e4 * torch.randn(4, 1, 16, 16))
    assert codes.abs().max() == 1


def test_a_generator_without_an_encoder_is_an_error_that_tells_what_to_do(tmp_path):
    save_generator(tmp_path / "made", build_generator(CONFIG))
    editor = Editor.load(tmp_path / "made", CPU)
    with pytest.raises(InputError, match=r"no face_encoder\.pth .* take --centre emotion"):
        editor.encode_faces(torch.zeros(1, 16, 16, dtype=torch.uint8))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"width": 0}, "width is 0"), ({"width": "4"}, 'width is "4"'), ({"layers": 9}, "layers is 9"),
        ({"width": 8}, "not the face encoder"), ({"width": 512, "layers": 8}, "do not fit"),
        ({"image_size": 2}, "do not fit"),
    ],
)  # fmt: skip
def test_a_config_that_does_not_fit_is_an_error(folder, change, named):
    settings = json.loads((folder / "face_encoder.json").read_text())
    (folder / "face_encoder.json").write_text(json.dumps(settings | change))
    with pytest.raises(InputError, match=named):
        load_face_encoder(folder)


def test_an_encoder_under_the_names_of_earlier_versions_is_read(folder):
    images, before = torch.rand(3, 1, 16, 16), Editor.load(folder, CPU)
    for ending in ("pth", "json"):
        (folder / f"face_encoder.{ending}").rename(folder / f"reader.{ending}")
    after = Editor.load(folder, CPU)
    assert torch.equal(encode_images(after.face_encoder, images), encode_images(before.face_encoder, images))
    assert after.fingerprint == before.fingerprint
    (folder / "reader.pth").unlink()
    with pytest.raises(InputError, match=r"reader\.pth: no such face encoder"):
        load_face_encoder(folder)


def test_a_damaged_or_missing_encoder_is_an_error(folder):
    whole = (folder / "face_encoder.pth").read_bytes()
    (folder / "face_encoder.pth").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="not a readable face encoder"):
        load_face_encoder(folder)
    state = torch.load(torch.serialization.io.BytesIO(whole), weights_only=True)
    state["main.0.weight"][0, 0, 0, 0] = float("nan")
    torch.save(state, folder / "face_encoder.pth")
    with pytest.raises(InputError, match="not finite"):
        load_face_encoder(folder)
    (folder / "face_encoder.pth").unlink()
    with pytest.raises(InputError, match=r"face_encoder\.pth: no such face encoder"):
        load_face_encoder(folder)
