"""What damaged files once got past the readers: each by name, with what is said of it now."""

import json
import resource
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from image_mutants import GREY, chunk, png, rows_of, zeros_packed
from mutations import Calls
from PIL import Image
from small_faces import smooth_faces
from torch_files import Claims, archive_of, entries_of, packed

from core_code.core_utils.errors import InputError
from core_code.core_utils.files import load_weights
from core_code.core_utils.photos.pictures import open_picture
from core_code.core_utils.weights import load_optimizer, state_dict_mismatch
from core_code.datasets.augmentations.png import MOST_BYTES, BadImage, decode, encode
from core_code.datasets.fer2013_csv import read_csv
from core_code.datasets.image_folder import load_folder
from core_code.search.files import read_study
from EmotionGAN.editor import load_generator, save_generator
from EmotionGAN.networks.config import GeneratorConfig
from EmotionGAN.networks.discriminator import Discriminator
from EmotionGAN.networks.face_encoder import load_face_encoder, save_face_encoder
from EmotionGAN.networks.generator import build_generator


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
    with pytest.raises(InputError, match=r"large\.png: 9000x9000 pixels, expected at most"):
        load_folder(tmp_path)


def test_what_pillow_would_hand_to_another_program_is_no_picture(tmp_path):
    path = tmp_path / "face.png"
    Image.fromarray(smooth_faces(1)[0]).save(path, "EPS")
    with pytest.raises(InputError, match=r"face\.png: not a readable image"), open_picture(path, 1 << 20, "image"):
        pass


def test_a_config_that_asks_for_more_than_its_weights_hold_builds_nothing(tmp_path):
    """Its weights alone would take 20 GB; the generator is refused where 2 GB are all that there is."""
    config = GeneratorConfig(image_size=16, colours="grey", width=4, blocks=1, framing="fer2013")
    save_generator(tmp_path, build_generator(config))
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"width": 512, "blocks": 64}))
    refusal = r"generator\.pth: not a generator of this architecture: main\.0\.weight is \[4, 3, 7, 7\], expected"
    with limited_memory(2 << 30), pytest.raises(InputError, match=refusal):
        load_generator(tmp_path)


@contextmanager
def limited_memory(more: int) -> Iterator[None]:
    """No more than so many bytes beyond those that this process has; what asks for more fails."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    has = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (has + more, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def test_a_code_readers_config_may_say_more_than_is_needed(tmp_path):
    save_face_encoder(tmp_path, Discriminator(16, 1, 4, 2))
    path = tmp_path / "face_encoder.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"more": 1, "": None}))
    assert load_face_encoder(tmp_path).settings == {"image_size": 16, "channels": 1, "width": 4, "layers": 2}


def test_a_number_that_changed_on_the_disk_is_noticed(tmp_path):
    path = tmp_path / "weights.pth"
    torch.save({"a": torch.arange(1000.0)}, path)
    assert load_weights(path, "weights file")["a"].tolist() == list(range(1000))
    content, number = path.read_bytes(), np.float32(500).tobytes()
    assert content.count(number) == 1
    path.write_bytes(content.replace(number, np.float32(501).tobytes()))
    assert torch.load(path, weights_only=True)["a"][500] == 501  # torch itself looks at no checksum
    with pytest.raises(InputError, match=r"weights\.pth: not a readable weights file"):
        load_weights(path, "weights file")


@pytest.mark.parametrize("old", [False, True], ids=["an archive", "the old format"])
def test_weights_cannot_ask_for_memory_with_a_call(tmp_path, old):
    path = tmp_path / "weights.pth"
    path.write_bytes(packed({"a": torch.zeros(2), "more": Calls(bytearray, 10)}, old))
    assert torch.load(path, weights_only=True)["more"] == bytearray(10)  # which torch takes for harmless
    with pytest.raises(InputError, match="holding more than tensors"):
        load_weights(path, "weights file")


def test_compressed_weights_are_not_unpacked(tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(archive_of(entries_of(packed({"a": torch.zeros(9)})), compression=zipfile.ZIP_DEFLATED))
    assert torch.load(path, weights_only=True)["a"].shape == (9,)
    with pytest.raises(InputError, match="not a readable weights file"):
        load_weights(path, "weights file")


def test_a_tensor_that_claims_terabytes_is_refused_before_it_is_touched(tmp_path):
    path = tmp_path / "weights.pth"
    torch.save({"a": Claims((10**6, 10**6), (0, 0))}, path)
    held = load_weights(path, "weights file")
    assert held["a"].numel() == 10**12
    assert state_dict_mismatch(held, {"a": torch.zeros(2, 2)}) == "a is [1000000, 1000000], expected [2, 2]"


ADAM = {"step": torch.tensor(2.0), "exp_avg": torch.zeros(3), "exp_avg_sq": torch.ones(3)}


@pytest.mark.parametrize(
    ("state", "group", "said"),
    [
        ({0: ADAM | {"exp_avg": torch.zeros(4)}}, {}, r"exp_avg is \[4\], expected \[3\]"),
        ({0: ADAM | {"exp_avg_sq": 1}}, {}, "exp_avg_sq is of type int"),
        ({0: {"exp_avg": torch.zeros(3)}}, {}, "step is missing"),
        ({7: ADAM}, {}, "other parameters"),
        ([], {}, "no dict"),
        ({0: ADAM}, {"lr": float("nan")}, "a learning rate"),
        ({0: ADAM}, {"lr": None}, "a learning rate"),
        ({0: ADAM}, {"params": [0, 1]}, "other parameters"),
        ({0: ADAM}, {"params": Claims((10**6, 10**6), (0, 0))}, "other parameters"),
    ],
)
def test_an_optimizers_state_that_does_not_fit_is_refused(tmp_path, state, group, said):
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(3))], lr=0.1)
    (own,) = optimizer.state_dict()["param_groups"]
    torch.save({"optimizer": {"state": state, "param_groups": [own | group]}}, tmp_path / "a.pth")
    saved = load_weights(tmp_path / "a.pth", "checkpoint")["optimizer"]
    with pytest.raises(ValueError, match=said):
        load_optimizer(optimizer, saved)
    assert optimizer.state_dict() == {"state": {}, "param_groups": [own]}


def test_an_optimizer_goes_on_with_rate_and_state_alone(tmp_path):
    parameter = torch.nn.Parameter(torch.zeros(3))
    optimizer = torch.optim.Adam([parameter], lr=0.1)
    (own,) = optimizer.state_dict()["param_groups"]
    load_optimizer(optimizer, {"state": {0: ADAM}, "param_groups": [own | {"lr": 0.02, "betas": None}]})
    (group,) = optimizer.param_groups
    assert group["lr"] == 0.02 and group["betas"] == own["betas"]
    parameter.grad = torch.ones(3)
    optimizer.step()
    mean, square = 0.1 * 1, 0.999 * 1 + 0.001 * 1  # by Adam's formulas, in step 3
    change = 0.02 * mean / (1 - 0.9**3) / ((square / (1 - 0.999**3)) ** 0.5 + 1e-8)
    assert parameter.detach().numpy() == pytest.approx(-change)
    assert ADAM["exp_avg"].tolist() == [0, 0, 0]  # what was given is not changed


def test_a_pickle_of_nine_bytes_takes_no_gigabytes(tmp_path):
    path = tmp_path / "study.pkl"
    path.write_bytes(b"\x80\x04Nr" + (1 << 27).to_bytes(4, "little") + b".")
    with pytest.raises(InputError, match=r"study\.pkl: not a study .*object 134217728 in 9 bytes"):
        read_study(path)


def test_the_bomb_of_the_tests_is_one():
    import zlib

    assert zlib.decompress(zeros_packed(3 << 20)) == bytes(3 << 20)
    assert len(zeros_packed(1 << 29)) < 1 << 20
    assert decode(png(GREY, (b"IDAT", zlib.compress(rows_of(smooth_faces(1)[0]))))).shape == (48, 48)
    assert chunk(b"IEND", b"") == bytes.fromhex("0000000049454e44ae426082")
    assert np.array_equal(decode(encode(smooth_faces(1)[0])), smooth_faces(1)[0])
