"""python -m core_code.predict: predictions for cut-out faces and for photographs, and their files."""

import csv
import importlib
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image, ImageColor
from printed_tables import printed_tables
from small_faces import smooth_faces

from core_code import predict
from core_code.core_utils.checkpoints import CheckpointFiles
from core_code.core_utils.emotions import EMOTIONS
from core_code.core_utils.errors import InputError, run_command
from core_code.core_utils.photos.photographs import read_photograph
from core_code.core_utils.plots.palette import EMOTION_COLOURS
from core_code.core_utils.transforms import evaluation_view
from core_code.models.emotion_net import EmotionNet

SIZES = {"A": 32, "B": 40}
FACES = smooth_faces(3)


@pytest.fixture
def there(tmp_path, monkeypatch, small):
    """A working folder with two trained nets and three cut-out faces in `cut`; `there(...)` gives the JSON."""
    monkeypatch.chdir(tmp_path)
    for name, size in SIZES.items():
        save_net(name, size)
    Path("cut").mkdir()
    for name, face in zip("xyz", FACES, strict=True):
        Image.fromarray(face).save(f"cut/{name}.png")

    def run(*arguments: str, checkpoints: str = "A") -> dict:
        files = [f"checkpoints/ckpt_small_{name}_best_validation.pth" for name in checkpoints]
        predict.main(
            [*arguments, "--checkpoint", *files, "--json", "out.json", "--precision", "fp32", "--device", "cpu"]
        )
        return json.loads(Path("out.json").read_text())

    return run


@pytest.fixture
def scenes(monkeypatch) -> ModuleType:
    """photographs without people, for tests that find faces in them."""
    pytest.importorskip("dlib")
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "EmotionGAN")
    return importlib.import_module("scenes")


def save_net(experiment: str, size: int) -> None:
    """A checkpoint of a net whose answers differ from face to face."""
    torch.manual_seed(size)
    net = EmotionNet("small")
    torch.nn.init.normal_(net.head.weight, std=0.5)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    net.train()(evaluation_view(torch.from_numpy(smooth_faces(21, seed=5)), size))
    rest = {key: None for key in ("optimizer", "scheduler", "loss", "seed", "history")}
    state = {**rest, "net": net.state_dict(), "epoch": 1, "settings": {"image_size": size}}
    CheckpointFiles(Path("checkpoints"), "small", experiment).save("best_validation", state)


def logits_of(experiment: str, faces: np.ndarray) -> torch.Tensor:
    """The net's answers to faces uint8 [N,48,48], worked out here."""
    with torch.no_grad():
        return load_net(experiment)(evaluation_view(torch.from_numpy(faces), SIZES[experiment])).double()


def load_net(experiment: str) -> EmotionNet:
    """The net of a checkpoint, in evaluation mode."""
    net = EmotionNet("small").eval()
    net.load_state_dict(torch.load(f"checkpoints/ckpt_small_{experiment}_best_validation.pth")["net"])
    return net


def check(row: dict, chances: torch.Tensor) -> None:
    """A face's entry against its probabilities [7]."""
    assert list(row["probabilities"]) == list(EMOTIONS)
    assert list(row["probabilities"].values()) == pytest.approx(chances.tolist(), abs=1e-5)
    assert row["emotion"] == EMOTIONS[int(chances.argmax())]
    assert row["confidence"] == pytest.approx(chances.max().item(), abs=1e-5)


def test_cut_out_faces_get_the_probabilities_of_the_net(there, capsys):
    found = there("cut", "--face_detector", "none", "--csv", "out.csv")
    chances = logits_of("A", FACES).softmax(1)
    assert [row["picture"] for row in found["faces"]] == ["cut/x.png", "cut/y.png", "cut/z.png"]
    for row, wanted in zip(found["faces"], chances, strict=True):
        check(row, wanted)
        assert row["face"] == 1 and row["box"] == {"left": 0, "top": 0, "right": 48, "bottom": 48}
    (table,) = printed_tables(capsys.readouterr().out)
    for printed, entry in zip(table, found["faces"], strict=True):
        wanted = {emotion: f"{100 * chance:.1f}" for emotion, chance in entry["probabilities"].items()}
        where = {"picture": entry["picture"], "face": "1", "where": "48x48 at (0, 0)", "emotion": entry["emotion"]}
        assert printed == where | wanted
    with open("out.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    for row, entry in zip(rows, found["faces"], strict=True):
        assert (row["picture"], row["emotion"], row["right"]) == (entry["picture"], entry["emotion"], "48")
        assert [float(row[emotion]) for emotion in EMOTIONS] == list(entry["probabilities"].values())


def test_the_name_of_a_picture_is_no_formula_in_a_spreadsheet(there):
    Path("=1+1").mkdir()
    Image.fromarray(FACES[0]).save("=1+1/x.png")
    there("=1+1", "--face_detector", "none", "--csv", "out.csv")
    assert Path("out.csv").read_text().splitlines()[1].startswith("'=1+1/x.png,1,0,0,48,48,")


def test_several_checkpoints_vote(there):
    one, other = (logits_of(name, FACES) for name in SIZES)
    mean = there("cut", "--face_detector", "none", checkpoints="AB")
    assert mean["vote"] == "mean" and len(mean["checkpoints"]) == 2
    surest = there("cut", "--face_detector", "none", "--vote", "surest", checkpoints="AB")
    for i in range(3):
        check(mean["faces"][i], (one[i].softmax(0) + other[i].softmax(0)) / 2)
        check(surest["faces"][i], max((one[i], other[i]), key=lambda logits: logits.max()).softmax(0))


def test_flipped_views_are_averaged_as_logits(there):
    found = there("cut/x.png", "--face_detector", "none", "--tta", "flip")
    net = load_net("A")
    view = evaluation_view(torch.from_numpy(FACES[:1]), SIZES["A"])
    with torch.no_grad():
        logits = (net(view) + net(view.flip(-1)))[0].double() / 2
    check(found["faces"][0], logits.softmax(0))


def test_a_large_picture_in_colour_becomes_a_grey_face_of_48_pixels(there):
    colours = np.stack([np.kron(FACES[1], np.ones((4, 4)))] * 3, axis=-1).astype(np.uint8)
    colours[:, :, 1] //= 2
    Image.fromarray(colours).save("large.png")
    found = there("large.png", "--face_detector", "none")
    grey = Image.open("large.png").convert("L").resize((48, 48), Image.Resampling.BICUBIC)
    check(found["faces"][0], logits_of("A", np.array(grey)[None]).softmax(1)[0])


def test_faces_in_a_scene_are_found_from_left_to_right(there, scenes, capsys):
    Image.fromarray(scenes.scene(((480, 250), (160, 230)))).save("scene.png")
    Image.fromarray(scenes.background()).save("empty.png")
    found = there("scene.png", "empty.png", "--draw", "drawn")["faces"]
    assert [(row["picture"], row["face"]) for row in found] == [("scene.png", 1), ("scene.png", 2), ("empty.png", None)]
    assert found[2]["note"] == "no face found" and found[2]["probabilities"] is None
    assert "no face found" in capsys.readouterr().out
    pixels = Image.open("scene.png").convert("L")
    for row, (x, y) in zip(found, ((160, 230), (480, 250)), strict=False):
        edges = [row["box"][side] for side in ("left", "top", "right", "bottom")]
        assert abs((edges[0] + edges[2]) / 2 - x) < 25 and abs((edges[1] + edges[3]) / 2 - y) < 25
        assert 100 < edges[2] - edges[0] == edges[3] - edges[1] < 250
        face = np.array(pixels.crop(edges).resize((48, 48), Image.Resampling.BICUBIC))
        check(row, logits_of("A", face[None]).softmax(1)[0])
    drawn = np.array(Image.open("drawn/scene_predicted.png"))
    assert drawn.shape == (480, 640, 3)
    for row in found[:2]:
        colour = ImageColor.getrgb(EMOTION_COLOURS[EMOTIONS.index(row["emotion"])])
        assert (drawn[row["box"]["bottom"] - 1, row["box"]["left"] + 20] == colour).all()
    untouched = np.array(Image.open("scene.png"))
    assert (drawn[-40:] == untouched[-40:]).all()
    assert Path("drawn/empty_predicted.png").exists()


def test_the_only_picture_without_a_face_is_an_error(there, scenes):
    Image.fromarray(scenes.background()).save("empty.png")
    with pytest.raises(InputError, match=r"empty\.png: no face found"):
        there("empty.png", "--draw", "drawn")
    assert not Path("out.json").exists() and not Path("drawn").exists()


def test_without_dlib_the_error_says_how_to_get_it_even_for_several_pictures(there, monkeypatch):
    monkeypatch.setitem(sys.modules, "dlib", None)
    with pytest.raises(InputError, match="pip install dlib-bin"):
        there("cut")


def test_drawn_copies_are_enlarged_and_no_input_is_overwritten(there):
    Path("other").mkdir()
    Image.fromarray(FACES[2]).save("other/x.png")
    Image.fromarray(FACES[2]).save("cut/x_predicted.png")
    before = {path: path.read_bytes() for path in Path("cut").iterdir()}
    there("cut", "other", "--face_detector", "none", "--draw", "cut")
    assert {path: path.read_bytes() for path in before} == before
    new = {path.name for path in Path("cut").iterdir()} - {path.name for path in before}
    assert new == {
        "x_predicted_2.png",
        "x_predicted_3.png",
        "x_predicted_predicted.png",
        "y_predicted.png",
        "z_predicted.png",
    }
    copy = read_photograph(Path("cut/y_predicted.png"))
    assert copy.size == (336, 336)
    centre = copy.pixels[168 - 28 : 168 + 28, 168 - 28 : 168 + 28]
    assert (centre == np.kron(FACES[1][20:28, 20:28], np.ones((7, 7), np.uint8))[:, :, None]).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.png"], "none.png: no such picture or folder"),
        (["bad.png"], "bad.png: not a readable picture"),
        (["bare"], "bare: no picture in this folder"),
        (["cut", "--draw", "bad.png"], "bad.png: is a file, expected a folder"),
        (["cut", "--csv", "cut"], "cut: is a folder, expected a file"),
        (["cut/x.png", "--csv", "cut/x.png"], "cut/x.png: would be written over"),
        (["cut", "--csv", "out.json"], "out.json: --json and --csv are one file"),
    ],
)
def test_bad_input_is_an_error_of_one_line(there, capsys, arguments, message):
    Path("bad.png").write_bytes(Path("cut/x.png").read_bytes()[:100])
    Path("bare").mkdir()
    with pytest.raises(SystemExit) as ended:
        run_command(lambda: there(*arguments, "--face_detector", "none"))
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert ended.value.code == 2 and line.startswith(f"error: {message}")
    assert not Path("out.json").exists()


@pytest.mark.parametrize("damage", ["missing", "truncated", "weights alone", "unknown net", "of BYOL"])
def test_a_file_that_is_no_checkpoint_is_an_error_of_one_line(there, capsys, damage):
    path = Path("checkpoints/ckpt_small_A_best_validation.pth")
    state = torch.load(path, weights_only=True)
    if damage == "missing":
        path.unlink()
    elif damage == "truncated":
        path.write_bytes(path.read_bytes()[:5000])
    elif damage == "weights alone":
        torch.save(state["net"], path)
    elif damage == "unknown net":
        torch.save({**state, "name": "vgg"}, path)
    else:
        torch.save({**state, "net": {f"target.{key}": value for key, value in state["net"].items()}}, path)
    with pytest.raises(SystemExit) as ended:
        run_command(lambda: there("cut", "--face_detector", "none"))
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert ended.value.code == 2 and line.startswith(f"error: {path}: ")
    assert not Path("out.json").exists()


def test_damaged_pictures_are_rows_and_the_rest_is_predicted(there, capsys):
    whole = there("cut", "--face_detector", "none")["faces"]
    Path("cut/a.png").write_bytes(Path("cut/x.png").read_bytes()[:60])
    Path("cut/b\udcff.jpg").write_text("no picture")
    with pytest.raises(SystemExit) as ended:
        run_command(lambda: there("cut", "--face_detector", "none", "--csv", "out.csv", "--draw", "drawn"))
    said = capsys.readouterr()
    assert ended.value.code == 1 and said.err.count("passed over: cut/") == 2
    assert len([line for line in said.out.splitlines() if "cannot be read" in line]) == 2
    found = json.loads(Path("out.json").read_text())["faces"]
    assert found[2:] == whole and "a.png: not a readable picture" in found[0]["note"]
    rows = list(csv.DictReader(Path("out.csv").read_text().splitlines()))
    assert [row["emotion"] for row in rows[:2]] == ["cannot be read"] * 2 and len(rows) == 5
    assert len(list(Path("drawn").iterdir())) == 3
    with pytest.raises(InputError, match=r"a\.png: not a readable picture"):
        there("cut/a.png", "--face_detector", "none")


@pytest.mark.parametrize("output", ["--json", "--csv"])
@pytest.mark.parametrize("how", ["itself", "hard link", "link"])
def test_a_picture_of_a_folder_is_never_written_over(there, output, how):
    target = Path("cut/x.png") if how == "itself" else Path("other.png")
    if how == "hard link":
        target.hardlink_to("cut/x.png")
    elif how == "link":
        target.symlink_to("cut/x.png")
    before = Path("cut/x.png").read_bytes()
    with pytest.raises(InputError, match="would be written over, but it is an input"):
        checkpoint = "checkpoints/ckpt_small_A_best_validation.pth"
        predict.main(["cut", "--face_detector", "none", output, str(target), "--checkpoint", checkpoint])
    assert Path("cut/x.png").read_bytes() == before


def test_a_strip_is_not_drawn_larger_than_a_screen(there):
    Image.new("L", (2000, 1)).save("strip.png")
    there("strip.png", "--face_detector", "none", "--draw", "drawn")
    with Image.open("drawn/strip_predicted.png") as image:
        assert max(image.size) <= 4000
