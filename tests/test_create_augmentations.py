"""create_augmentations.py as a user runs it: flags, files, pictures, errors of one line."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_faces import small_rows, write_csv

import create_augmentations
from core_code.core_utils.emotions import EMOTIONS
from core_code.core_utils.errors import InputError, run_command
from core_code.datasets.augmentations import detection
from core_code.datasets.augmentations.plan import Settings, make_plan
from core_code.datasets.augmentations.store import Augmentations
from core_code.datasets.fer2013 import FER2013
from EmotionGAN.editor import Editor, save_generator
from EmotionGAN.networks.config import GeneratorConfig
from EmotionGAN.networks.discriminator import Discriminator
from EmotionGAN.networks.face_encoder import save_face_encoder
from EmotionGAN.networks.generator import build_generator

SCRIPT = Path(create_augmentations.__file__)


@pytest.fixture
def there(tmp_path, monkeypatch, fer2013_csv):
    """A working folder with data/fer2013 and a tiny random generator; `there(...)` runs the command in it."""
    monkeypatch.chdir(tmp_path)
    fer2013_csv(tmp_path / "data" / "fer2013")
    torch.manual_seed(0)
    config = GeneratorConfig(image_size=16, colours="grey", width=4, blocks=1, framing="fer2013")
    save_generator(tmp_path / "tiny", build_generator(config))

    def run(*arguments: str) -> None:
        create_augmentations.main(["--generator", "tiny", "--batch_size", "32", "--precision", "fp32", *arguments])

    return run


def test_augmentations_with_the_default_places_and_pictures(there, tmp_path, capsys):
    there("--num_augments", "2", "--max_faces", "20")
    images = {str(path.relative_to(tmp_path)) for path in tmp_path.glob("data/fer2013_augmentations/*/*.png")}
    assert images == {f"data/fer2013_augmentations/{face}/{face}_{k}.png" for face in range(20) for k in (0, 1)}
    output = capsys.readouterr().out
    assert "40 images in data/fer2013_augmentations: 40 generated now" in output
    counts = FER2013(split="train").class_counts.tolist()
    for emotion, count in zip(EMOTIONS, counts, strict=True):
        assert any(line.split()[1:4] == [emotion, "|", str(count)] for line in output.splitlines())
    for name in ("label_distribution_fer2013_augmentations", "augmentation_examples_fer2013_augmentations"):
        with Image.open(f"plots_output/{name}.png") as image:
            assert image.width > 300


def test_expansion_with_the_default_places_and_pictures(there, tmp_path, capsys):
    there("--expand_dataset", "True")
    labels = FER2013(split="train").labels.tolist()
    files = [path.relative_to(tmp_path / "data/expanded_fer_2013") for path in tmp_path.glob("data/exp*/*/*.png")]
    assert 150 < len(files) < 240
    for file in files:
        label, face = int(file.parent.name), int(file.stem)
        assert 0 <= label < 7 and 0 <= face < 40 and labels[face] != label
    rows = [line.split("|") for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    table = {cells[1].strip(): [int(cells[2]), int(cells[4])] for cells in rows[2:]}
    for label, emotion in enumerate(EMOTIONS):
        added = sum(int(file.parent.name) == label for file in files)
        assert table[emotion] == [labels.count(label), labels.count(label) + added]
    assert Path("plots_output/label_distribution_expanded_fer_2013.png").is_file()
    assert Path("plots_output/expansion_examples_expanded_fer_2013.png").is_file()


def test_no_validation_or_test_face_reaches_the_generator(there, tmp_path):
    """With all other PublicTest and PrivateTest faces the images stay the same; with all other Training faces none."""
    pairs = list(zip(small_rows(seed=0), small_rows(seed=5), strict=True))
    write_csv(tmp_path / "fer2013.csv", [one if one[1] == "Training" else other for one, other in pairs])
    same_training = images_of(there, "same", "--data_root", ".")
    write_csv(tmp_path / "fer2013.csv", [other if one[1] == "Training" else one for one, other in pairs])
    other_training = images_of(there, "other", "--data_root", ".")
    images = images_of(there, "images")
    assert same_training == images and len(images) > 150
    assert other_training.keys() == images.keys()
    assert all(other_training[name] != content for name, content in images.items())


def images_of(there, folder: str, *flags: str) -> dict[str, bytes]:
    """One augmentation of each face and the expansion, by their names."""
    there("--num_augments", "1", "--dest_folder", f"{folder}/near", *flags)
    there("--expand_dataset", "--dest_folder", f"{folder}/expanded", *flags)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in Path(folder).glob("*/*/*.png")}


def test_the_manifests_command_makes_the_same_images_elsewhere(there, tmp_path):
    there("--num_augments", "2", "--max_faces", "9", "--seed", "5", "--folder_batch_size", "4")
    made = Path("data/fer2013_augmentations")
    before = {path.name: path.read_bytes() for path in made.glob("*/*.png")}
    command = json.loads((made / "manifest.json").read_text())["command"].split()
    made.rename("before")
    create_augmentations.main(command[2:])
    assert {path.name: path.read_bytes() for path in made.glob("*/*.png")} == before


def test_pytorchs_own_layers_generate_the_same_within_rounding(there):
    shared = ("--num_augments", "1", "--max_faces", "6", "--precision", "bf16")
    for accelerate in ("True", "False"):
        there(*shared, "--accelerate", accelerate, "--dest_folder", accelerate)
    fast, plain = (
        np.stack([np.asarray(Image.open(path)) for path in sorted(Path(folder).glob("*/*.png"))]).astype(int)
        for folder in ("True", "False")
    )
    assert len(fast) == 6 and np.abs(fast - plain).max() <= 6
    commands = [json.loads(Path(name, "manifest.json").read_text())["command"] for name in ("True", "False")]
    assert "--accelerate" not in commands[0] and "--accelerate False" in commands[1]
    with pytest.raises(InputError, match="generated with --accelerate True, this run has False"):
        there(*shared, "--accelerate", "False", "--dest_folder", "True")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--num_augments", "0"],
        ["--num_augments", "two"],
        ["--folder_batch_size", "0"],
        ["--max_faces", "-1"],
        ["--batch_size", "0"],
        ["--expand_dataset", "maybe"],
        ["--dataset", "affectnet"],
        ["--precision", "fp8"],
        ["--no_such_flag"],
    ],
)
def test_bad_flags_end_with_status_2(there, arguments, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        there(*arguments)
    assert ended.value.code == 2 and arguments[0] in capsys.readouterr().err
    assert not (tmp_path / "data" / "fer2013_augmentations").exists()


def status_and_error(capsys, there, *arguments: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as ended:
        run_command(lambda: there(*arguments))
    return ended.value.code, capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--data_root", "nowhere"], "nowhere"),
        (["--generator", "missing.pth"], "missing.pth: no such generator"),
        (["--generator", "data/fer2013/icml_face_data.csv"], "icml_face_data.csv: not a readable generator"),
        (["--dest_folder", "tiny/config.json"], "tiny/config.json: is a file, expected a folder"),
        (["--dest_folder", "tiny/config.json/below"], "is a file"),
    ],
)
def test_wrong_input_is_one_line_and_status_2(there, capsys, arguments, named):
    status, error = status_and_error(capsys, there, *arguments)
    assert status == 2 and error.startswith("error: ") and named in error and error.count("\n") == 1
    assert not Path("data/fer2013_augmentations").exists() and not Path("plots_output").exists()


def test_other_settings_for_the_same_folder_are_refused(there, capsys):
    there("--num_augments", "1")
    status, error = status_and_error(capsys, there, "--num_augments", "1", "--seed", "2")
    assert status == 2 and "--seed 1, this run has 2; use another --dest_folder" in error


@pytest.mark.parametrize("bars", ["shown", "off"])
def test_terminated_while_it_works_it_says_what_is_saved_and_ends_with_143(there, tmp_path, monkeypatch, bars):
    if bars == "off":
        monkeypatch.setenv("TQDM_DISABLE", "1")
    flags = ["--generator", "tiny", "--batch_size", "1", "--num_augments", "2000", "--precision", "fp32"]
    process = subprocess.Popen([sys.executable, SCRIPT, *flags], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 600
    while not list(tmp_path.glob("data/fer2013_augmentations/*/*.png")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    error = process.communicate(timeout=60)[1]
    saved = len(list(tmp_path.glob("data/fer2013_augmentations/*/*.png")))
    assert process.returncode == 143 and f"{saved} of 80000 images are saved" in error and "Traceback" not in error
    assert not list(tmp_path.rglob("*.part"))


def test_around_the_faces_own_points(there, tmp_path, capsys):
    save_face_encoder(tmp_path / "tiny", Discriminator(16, 1, width=4, layers=2))
    there("--num_augments", "3", "--max_faces", "10", "--centre", "face", "--neighborhood", "0.1")
    manifest = json.loads((tmp_path / "data/fer2013_augmentations/manifest.json").read_text())
    assert manifest["centre"] == "face" and manifest["half_width"] == 0.1
    editor = Editor.load(tmp_path / "tiny", torch.device("cpu"))
    train = FER2013(split="train")
    points = editor.encode_faces(train.faces[:10])
    plan = make_plan(Settings(num_augments=3, centre="face", neighborhood=0.1), train.labels[:10],
                     train.class_counts, editor.space, points)  # fmt: skip
    offsets = torch.from_numpy(plan.codes).view(10, 3, 2) - points[:, None]
    assert (offsets.abs() <= 0.1 + 1e-6).all() and offsets.abs().max() > 0.05
    with Image.open(tmp_path / "data/fer2013_augmentations/4/4_1.png") as image:
        made = torch.from_numpy(np.array(image)).int()
    expected = editor.edit(train.faces[4:5], torch.from_numpy(plan.codes[13:14]))[0]
    assert (made - expected.int()).abs().max() <= 1
    with pytest.raises(InputError, match="generated with --centre face, this run has emotion"):
        there("--num_augments", "3", "--max_faces", "10", "--neighborhood", "0.1")
    with pytest.raises(InputError, match=r"generated with --neighborhood 0\.1, this run has 0\.2"):
        there("--num_augments", "3", "--max_faces", "10", "--centre", "face")


def test_a_generator_without_a_reader_cannot_centre_on_the_face(there, tmp_path):
    with pytest.raises(InputError, match="take --centre emotion"):
        there("--centre", "face")
    assert not list(tmp_path.glob("data/fer2013_augmentations/*/*.png"))


@pytest.fixture
def even_faces_alone(monkeypatch):
    """dlib finds the faces of even rows, each in the same square."""

    def find_boxes(faces):
        boxes = torch.tensor([[8.0, 8.0, 40.0, 40.0]]).repeat(len(faces), 1)
        boxes[1::2] = torch.nan
        return boxes

    monkeypatch.setattr(detection, "find_boxes", find_boxes)


@pytest.fixture
def of_cut_outs(there, tmp_path):
    """`there` with a generator whose config says that dlib has cut out its training faces."""
    config = GeneratorConfig(image_size=16, colours="grey", width=4, blocks=1, framing="dlib")
    save_generator(tmp_path / "tiny", build_generator(config))
    return there


def manifest_of(folder: Path) -> dict:
    return json.loads((folder / "manifest.json").read_text())


def test_faces_that_the_detector_does_not_find_get_no_image_and_are_listed(of_cut_outs, even_faces_alone, capsys):
    made = Path("data/fer2013_augmentations")
    of_cut_outs("--num_augments", "2", "--max_faces", "10")
    assert {path.name for path in made.glob("*/*.png")} == {
        f"{face}_{k}.png" for face in range(0, 10, 2) for k in (0, 1)
    }
    output = capsys.readouterr().out
    assert "dlib finds 5 of 10 faces" in output and str(made / "faces_not_found.csv") in output
    train = FER2013(split="train")
    listed = [f"{face},{EMOTIONS[train.labels[face]]}" for face in range(1, 10, 2)]
    assert (made / "faces_not_found.csv").read_text().splitlines() == ["face,emotion", *listed]
    manifest = manifest_of(made)
    assert manifest["face_detector"] == "dlib" and manifest["faces_without_images"] == [1, 3, 5, 7, 9]
    assert (manifest["complete"], manifest["images"]) == (True, 10)
    face = train.faces[4].numpy()
    with Image.open(made / "4" / "4_1.png") as image:
        made_of_it = np.asarray(image)
    assert np.array_equal(made_of_it[:8], face[:8]) and not np.array_equal(made_of_it, face)
    store = Augmentations.open(made, train)
    assert store.first.diff().tolist()[:10] == [2, 0] * 5


def test_a_run_without_the_faces_that_are_not_found_is_gone_on_with(of_cut_outs, even_faces_alone, monkeypatch):
    made = Path("data/fer2013_augmentations")
    of_cut_outs("--num_augments", "2", "--max_faces", "10")
    before = {path.name: path.read_bytes() for path in made.rglob("*") if path.is_file()}
    for image in made.glob("4/*.png"):
        image.unlink()
    with monkeypatch.context() as no_second_search:
        no_second_search.setattr(detection, "find_boxes", lambda faces: pytest.fail("searched again"))
        of_cut_outs("--num_augments", "2", "--max_faces", "10")
        create_augmentations.main(manifest_of(made)["command"].split()[2:])
    assert {path.name: path.read_bytes() for path in made.rglob("*") if path.is_file()} == before
    of_cut_outs("--num_augments", "2", "--max_faces", "20")
    assert manifest_of(made)["images"] == 20 == len(list(made.glob("*/*.png")))


def test_a_folder_of_other_images_is_refused_before_faces_are_looked_for(
    of_cut_outs, even_faces_alone, fer2013_csv, capsys
):
    of_cut_outs("--num_augments", "1", "--max_faces", "4", "--dest_folder", "made")
    capsys.readouterr()
    Path("made/face_boxes.cache").unlink()
    status, error = status_and_error(capsys, of_cut_outs, "--expand_dataset", "True", "--dest_folder", "made")
    assert status == 2 and "the folder holds augmentations, not expansion" in error
    fer2013_csv(Path("data/others"), seed=1)
    status, error = status_and_error(capsys, of_cut_outs, "--data_root", "data/others", "--dest_folder", "made")
    assert status == 2 and "the images are of other faces" in error
    assert not Path("made/face_boxes.cache").exists()


def test_the_expansion_leaves_out_the_faces_that_are_not_found(of_cut_outs, even_faces_alone):
    of_cut_outs("--expand_dataset", "True", "--max_faces", "10")
    made = Path("data/expanded_fer_2013")
    assert {int(path.stem) for path in made.glob("*/*.png")} == {0, 2, 4, 6, 8}
    assert len((made / "faces_not_found.csv").read_text().splitlines()) == 6


def test_whole_faces_are_edited_where_no_detector_is_wanted_or_needed(there, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "dlib", None)
    there("--num_augments", "1", "--max_faces", "5")
    config = GeneratorConfig(image_size=16, colours="grey", width=4, blocks=1, framing="dlib")
    save_generator(tmp_path / "tiny", build_generator(config))
    there("--num_augments", "1", "--max_faces", "5", "--face_detector", "none", "--dest_folder", "whole")
    for made in (Path("data/fer2013_augmentations"), Path("whole")):
        assert manifest_of(made)["face_detector"] == "none" and len(list(made.glob("*/*.png"))) == 5
        assert not (made / "faces_not_found.csv").exists()


def test_a_published_checkpoint_is_given_what_dlib_finds(there, even_faces_alone, tmp_path):
    torch.save(build_generator(GeneratorConfig()).state_dict(), tmp_path / "1800000-G.ckpt")
    editor = Editor.load(tmp_path / "1800000-G.ckpt", torch.device("cpu"))
    boxes = detection.detect_faces("auto", FER2013(split="train"), 40, editor, tmp_path / "made", "augmentations")
    assert boxes.isfinite().all(dim=1).tolist() == [True, False] * 20


def test_without_dlib_one_line_says_how_to_install_it(of_cut_outs, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "dlib", None)
    status, error = status_and_error(capsys, of_cut_outs, "--num_augments", "1")
    assert status == 2 and "pip install dlib-bin" in error and error.count("\n") == 1
    assert not Path("data/fer2013_augmentations").exists()


def test_no_face_found_at_all_is_an_error(of_cut_outs, capsys):
    pytest.importorskip("dlib")
    status, error = status_and_error(capsys, of_cut_outs, "--num_augments", "1", "--max_faces", "3")
    assert status == 2 and "no face found in any of the training faces" in error


def test_a_generator_of_whole_faces_needs_no_detector(there):
    with pytest.raises(InputError, match="was trained on whole fer2013 faces"):
        there("--face_detector", "dlib")
