"""The benchmarks: the table shows what the scripts measured, and the scripts run. Speed itself is not tested."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks import run
from benchmarks.measuring import Speed, figures, take_turns
from benchmarks.run import read_results
from benchmarks.strong import random_views, strong_steps
from benchmarks.synthetic_data import ManyFaces, write_csv, write_folder
from benchmarks.table import as_markdown
from core_code.core_utils.errors import InputError
from core_code.core_utils.transforms import train_view
from core_code.datasets.augmentations.store import Augmentations
from core_code.datasets.fer2013 import FER2013

ROOT = Path(__file__).parents[2]


def test_implementations_take_turns_and_the_first_round_does_not_count():
    done = []

    def steps(name, items):
        while True:
            done.append(name)
            yield items

    speeds = take_turns({"ours": lambda: steps("ours", 3), "baseline": lambda: steps("baseline", 1)}, 2, 2)
    assert done == ["ours", "baseline"] + ["ours", "ours", "baseline", "baseline"] * 2
    assert set(speeds) == {"ours", "baseline"} and min(map(min, speeds.values())) > 0


def test_ratios_are_of_the_first_implementation_to_each_other():
    named = figures({"ours": Speed(30, 40), "baseline": Speed(10, 16)}, "faces")
    assert (named["ours_faces_per_s"], named["baseline_faces_per_cpu_s"]) == (30, 16)
    assert (named["ours_to_baseline"], named["ours_to_baseline_by_cpu_time"]) == (3, 2.5)


def test_the_table_quotes_the_figures_and_their_ratios():
    load = {"seconds": 2.0, "peak_megabytes": 800.4, "megabytes_above_imports": 90.6}
    results = {
        "hardware": "2 cores of a processor", "dataset": "fer2013",
        "rows": {
            "load": {
                "ours": {"first_load": load, "later_load": load | {"seconds": 0.5}, "cache_bytes": 80_000_000},
                "baseline": {"first_load": load | {"seconds": 31.0}, "later_load": load, "cache_bytes": 660_000_000},
            },
            "resnet18_224": {
                "batch_size": 128, "dtype": "bfloat16", "ours_faces_per_s": 60.04, "baseline_faces_per_s": 12.0,
                "strong_faces_per_s": 40.0,
                "fixed_faces_per_s": 61.0, "ours_to_fixed": 0.984, "ours_to_fixed_by_cpu_time": 0.99,
                "ours_alone_peak_megabytes": 5000, "baseline_alone_peak_megabytes": 9000,
            },
            "growth": {
                "sizes": [
                    {"faces": 10, "load_s": 1.0, "peak_megabytes": 9},
                    {"faces": 20, "load_s": 3.0, "peak_megabytes": 12},
                ],
                "per_face": {"load_s": [1.0, 1.5]},
            },
        },
    }  # fmt: skip
    text = as_markdown(results)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert lines[0] == "2 cores of a processor, fer2013"
    memory = "800 (91 beside imports) / 800 MB"
    assert f"| first load of the CSV | 5 s, 1,200 MB, 90 MB | 2.00 s | | | 31.00 s | 15.5 | {memory} |" in lines
    assert "| cache | 90 MB | 80.0 MB | | | 660.0 MB | 8.2 | |" in lines
    trained = "training ResNet18, 224 px, batch 128"
    assert (
        f"| {trained}, bfloat16 | 45 | 60.0 faces/s | 40.0 faces/s | 1.50 | 12.0 faces/s | 5.0 | 5,000 / 9,000 MB |"
        in lines
    )
    assert f"| {trained} | 98.4 % | 99.0 % |" in lines
    assert "| load | 1.00 (1.00) | 3.00 (1.50) |" in lines and "| peak memory, MB | 9 | 12 |" in lines


def test_the_synthetic_data_are_read_as_real_ones(tmp_path):
    faces = ManyFaces(21, tmp_path, "sample")
    assert len(faces.faces) == len(faces.labels) == 21
    (tmp_path / "full").mkdir()
    write_folder(tmp_path / "full", faces, 2)
    store = Augmentations.open(tmp_path / "full", faces)
    assert (store.images[::2] == faces.faces).all() and (store.images[1::2] == faces.faces).all()
    write_csv(tmp_path / "fer2013.csv", faces)
    train = FER2013(tmp_path, "train")
    assert (train.faces == faces.faces[2:]).all() and (train.labels == faces.labels[2:]).all()


def test_figures_of_before_the_baseline_was_named_so_are_read(tmp_path):
    path = tmp_path / "benchmarks.json"
    path.write_text('{"rows": {"load": {"plain": {}}, "byol_64": {"plain_faces_per_s": 2, "ours_to_plain": 3}}}')
    rows = read_results(path)["rows"]
    assert rows == {"load": {"baseline": {}}, "byol_64": {"baseline_faces_per_s": 2, "ours_to_baseline": 3}}


def test_rows_are_of_one_data_set_and_the_one_of_the_csv_is_left_out_of_others(tmp_path, monkeypatch, capsys):
    measured = {"dtype": "float32", "ours_faces_per_s": 8.0, "baseline_faces_per_s": 4.0}
    monkeypatch.setattr(run, "measure", lambda name, args, folder: measured)

    def start(*given):
        monkeypatch.setattr(sys, "argv", ["run.py", "--output_root", str(tmp_path), *given])
        run.main()
        return capsys.readouterr()

    ended = start("--dataset", "sample", "--only", "load")
    assert "load is left out" in ended.err and "sample" in ended.out
    assert "8.0 faces/s" in start("--dataset", "sample", "--only", "evaluate_64").out
    with pytest.raises(InputError, match=r"benchmarks.json: its dataset is sample, here it is fer2013; give another"):
        start("--only", "evaluate_64")


def test_the_strong_baselines_views_are_distributed_as_the_programs():
    faces = FER2013(Path("."), "val", "sample").faces[:500]
    torch.manual_seed(1)
    strong, ours = (
        random_views(faces, 32)[:, 0],
        train_view(faces, 32, torch.Generator().manual_seed(1), channels=1)[:, 0],
    )
    assert strong.shape == ours.shape and strong.min() >= 0 and strong.max() <= 1
    for measured in (
        lambda views: views.mean(),
        lambda views: views.mean(dim=(1, 2)).std(),
        lambda views: views.std(dim=(1, 2)).mean(),
    ):
        assert measured(strong) == pytest.approx(measured(ours).item(), rel=0.05)
    sides = [(views[:, :, :16].mean(dim=(1, 2)) - views[:, :, 16:].mean(dim=(1, 2))).mean() for views in (strong, ours)]
    assert max(map(abs, sides)) < 0.02  # as many are flipped as are not


def test_the_strong_baseline_learns():
    faces = FER2013(Path("."), "train", "sample")
    torch.manual_seed(1)
    steps = strong_steps(faces.faces[:64], faces.labels[:64], "resnet18", 32, 32, torch.float32,
                         augmentations=faces.faces[:128].unflatten(0, (64, 2)), probability=0.8)  # fmt: skip
    assert [next(steps) for _ in range(3)] == [32, 32, 32]


@pytest.mark.slow
@pytest.mark.parametrize("row", ["evaluate_64", "byol_64", "shipped_48"])
def test_each_script_prints_what_the_table_needs(row, tmp_path):
    command = [sys.executable, str(ROOT / "benchmarks/run.py"), "--only", row, "--dataset", "sample"]
    ended = subprocess.run([*command, "--output_root", str(tmp_path)], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    results = json.loads((tmp_path / "plots_output/benchmarks.json").read_text())
    assert list(results["rows"]) == [row]
    assert as_markdown(results) == (tmp_path / "plots_output/benchmarks.md").read_text()
    assert len(as_markdown(results).splitlines()) > 4
