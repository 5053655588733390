"""What damaged files once got past the readers: each by name, with what is said of it now."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from image_mutants import GREY, chunk, png, rows_of, zeros_packed
from PIL import Image
from small_faces import smooth_faces

from core_code.core_utils.errors import InputError
from core_code.core_utils.pictures import open_picture
from core_code.datasets.fer2013_csv import read_csv
from core_code.datasets.image_folder import load_folder
from core_code.datasets.png_images import MOST_BYTES, BadImage, decode, encode
from EmotionGAN.code_reader import load_reader, save_reader
from EmotionGAN.discriminator import Discriminator
from EmotionGAN.editor import load_generator, save_generator
from EmotionGAN.generator import GeneratorConfig, build_generator


def csv_of(path: Path, *pixels: str) -> Path:
    lines = ["emotion,pixels,Usage", *(f"3,{text},Training" for text in pixels)]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_row_without_pixels_is_named_even_when_it_stands_alone(tmp_path):
    with pytest.raises(InputError, match=r"fer2013\.csv, line 2: 0 pixels, expected 2304"):
        read_csv(csv_of(tmp_path / "fer2013.csv", ""))


def test_leading_zeros_hide_no_number_beyond_255(tmp_path):
    face = smooth_faces(1)[0].ravel()
    zeros = [f"{value:020d}" for value in face]
    read = read_csv(csv_of(tmp_path / "fer2013.csv", " ".join(zeros)))
    assert read.faces.ravel().tolist() == face.tolist()
    zeros[6] = "0" * 20 + "999"
    with pytest.raises(InputError, match=r"line 2: pixel 7 is '0+\.\.\.', expected a whole number from 0 to 255"):
        read_csv(csv_of(tmp_path / "fer2013.csv", " ".join(zeros)))


def test_of_a_png_no_more_is_unpacked_than_its_pixels():
    with pytest.raises(BadImage, match="more or fewer pixels"):
        decode(png(GREY, (b"IDAT", zeros_packed(1 << 20))))
    with pytest.raises(BadImage, match=f"more than {MOST_BYTES} bytes"):
        decode(encode(smooth_faces(1)[0]) + bytes(MOST_BYTES))


def test_a_strange_colour_profile_is_a_damaged_image(tmp_path):
    (tmp_path / "train" / "happy").mkdir(parents=True)
    path = tmp_path / "train" / "happy" / "a.png"
    path.write_bytes(png((*GREY[:2], 8, 2, 0, 0, 0), (b"IDAT", b""), (b"iCCP", b"")))
    with pytest.raises(InputError, match=r"a\.png: not a readable image"):
        load_folder(tmp_path)


def test_names_with_line_breaks_are_escaped_in_errors(tmp_path):
    (tmp_path / "train" / "happy").mkdir(parents=True)
    (tmp_path / "train" / "happy" / "a\nb\x1b[2J.png").write_bytes(b"")
    with pytest.raises(InputError) as error:
        load_folder(tmp_path)
    assert r"a\nb\x1b[2J.png: not a readable image" in str(error.value) and str(error.value).isprintable()


def test_a_long_value_makes_no_long_error():
    assert len(str(InputError("file: " + "x" * 100_000))) < 1100


def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded(tmp_path):
    (tmp_path / "train" / "happy").mkdir(parents=True)
    path = tmp_path / "train" / "happy" / "large.png"
    path.write_bytes(png((9000, 9000, 8, 0, 0, 0, 0), (b"IDAT", b"")))
    with pytest.raises(InputError, match=r"large\.png: 9000x9000 pixels, expected one of at most"):
        load_folder(tmp_path)


def test_what_pillow_would_hand_to_another_program_is_no_picture(tmp_path):
    path = tmp_path / "face.png"
    Image.fromarray(smooth_faces(1)[0]).save(path, "EPS")
    with pytest.raises(InputError, match=r"face\.png: not a readable image"), open_picture(path, 1 << 20, "image"):
        pass


def test_a_config_that_asks_for_more_than_its_weights_hold_builds_nothing(tmp_path, monkeypatch):
    config = GeneratorConfig(image_size=16, colours="grey", width=4, blocks=1, framing="fer2013")
    save_generator(tmp_path, build_generator(config))
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"width": 512, "blocks": 64}))
    real = torch.empty(0).device
    made = []
    init = torch.nn.Conv2d.__init__

    def watched(self, *arguments, **options):
        init(self, *arguments, **options)
        made.append(self.weight.device)

    monkeypatch.setattr(torch.nn.Conv2d, "__init__", watched)
    with pytest.raises(InputError, match=r"generator\.pth: .*(keys differ|has shape)"):
        load_generator(tmp_path)
    assert made and real not in made


def test_a_code_readers_config_may_say_more_than_is_needed(tmp_path):
    save_reader(tmp_path, Discriminator(16, 1, 4, 2))
    path = tmp_path / "reader.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"more": 1, "": None}))
    assert load_reader(tmp_path).settings == {"image_size": 16, "channels": 1, "width": 4, "layers": 2}


def test_the_bomb_of_the_tests_is_one():
    import zlib

    assert zlib.decompress(zeros_packed(3 << 20)) == bytes(3 << 20)
    assert len(zeros_packed(1 << 29)) < 1 << 20
    assert decode(png(GREY, (b"IDAT", zlib.compress(rows_of(smooth_faces(1)[0]))))).shape == (48, 48)
    assert chunk(b"IEND", b"") == bytes.fromhex("0000000049454e44ae426082")
    assert np.array_equal(decode(encode(smooth_faces(1)[0])), smooth_faces(1)[0])
