"""python -m core_code.experiments from end to end on the sample faces: images, trainings, tables, pictures, page."""

import json
from pathlib import Path

import pytest

from core_code.core_utils.errors import InputError
from core_code.experiments import __main__ as command

QUICK = ["--preset", "quick", "--dataset", "sample", "--max_faces", "40", "--device", "cpu", "--precision", "fp32"]


@pytest.fixture
def there(tmp_path, monkeypatch, small_pictures):
    monkeypatch.chdir(tmp_path)

    def run(*flags: str) -> dict:
        command.main([*QUICK, *flags])
        return json.loads(Path("plots_output/results.json").read_text())

    return run


def check_page(results: dict) -> None:
    """All the files of a study are there and agree."""
    page, tables = (Path("plots_output", name).read_text() for name in ("report.html", "results.md"))
    for run in results["runs"]:
        assert run["state"] == "complete" and run["hardware"] and run["seconds"] > 0
        assert run["command"] in tables
    assert page.count("data:image/png;base64,") >= len(results["pictures"])
    assert all(Path("plots_output", picture["file"]).exists() for picture in results["pictures"])
    for row in results["scores"]:
        for seed in row["seeds"].values():
            assert sum(map(sum, seed["confusion"])) == results["splits"][row["split"]]


def test_a_study_runs_reports_and_is_not_run_again(there, capsys):
    results = there("--experiments", "baseline", "expanded", "--at_once", "2")
    check_page(results)
    assert {row["model"] for row in results["scores"]} == {
        "baseline", "expanded", "expanded_adjusted", "vote (surest) of baseline, expanded",
        "vote (mean) of baseline, expanded", "vote (mean) of baseline, expanded_adjusted",
    }  # fmt: skip
    assert {row["tta"] for row in results["scores"]} == {"none", "flip"}
    ledger = Path("logs/experiments.jsonl").read_text()
    assert "about" in capsys.readouterr().out
    assert {row["model"] for row in results["comparisons"]} == {"expanded", "expanded_adjusted"}
    assert {picture["kind"] for picture in results["pictures"]} >= {"shares", "differences"}
    again = there("--experiments", "baseline", "expanded")
    assert again["scores"] == results["scores"]
    assert Path("logs/experiments.jsonl").read_text() == ledger, "nothing was run"
    assert capsys.readouterr().out.count("complete, skipped") == 3


def test_a_dry_run_prints_the_plan_and_leaves_nothing(there, capsys):
    command.main([*QUICK, "--dry_run", "--experiments", "baseline"])
    printed = capsys.readouterr().out
    assert "resnet18_baseline_seed1" in printed and "to do" in printed and "in all about" in printed
    command.main([*QUICK, "--dry_run", "--experiments", "baseline", "--budget_minutes", "0.01"])
    assert "1 step does not fit into the budget and is left" in capsys.readouterr().out
    assert not list(Path().iterdir())


def test_a_folder_that_cannot_be_made_is_said_before_any_work(there):
    Path("one").symlink_to("other")
    Path("other").symlink_to("one")
    Path("file").touch()
    with pytest.raises(InputError, match=r"one: .*Too many levels of symbolic links|one: is a file"):
        command.main([*QUICK, "--output_root", "one"])
    with pytest.raises(InputError, match="file: is a file, expected a folder"):
        command.main([*QUICK, "--data_root", "nowhere", "--dataset", "fer2013", "--output_root", "file"])


@pytest.mark.slow
def test_two_parts_of_the_faces_make_one_report(there):
    results = there("--experiments", "baseline", "--shares", "0.5", "1", "--epochs", "1")
    check_page(results)
    assert {(row["share"], row["model"]) for row in results["scores"]} == {(0.5, "baseline"), (1, "baseline")}
    assert Path("checkpoints/ckpt_resnet18_baseline_share0.5_seed1_best_validation.pth").exists()
    assert "resnet18, 50 % of the faces" in Path("plots_output/report.html").read_text()


@pytest.mark.slow
def test_a_whole_study_with_all_experiments_and_two_seeds(there):
    results = there("--seeds", "1", "2")
    check_page(results)
    trained = {run["experiment"] for run in results["runs"] if run["kind"] == "training"}
    assert trained == set(results["experiments"]) - {"expanded_adjusted"}  # that is the expanded net with other logits
    assert {picture["kind"] for picture in results["pictures"]} == {
        "distribution", "augmentations", "expansion", "curves", "byol", "confusion", "reliability", "most_wrong",
        "tsne", "shares", "differences",
    }  # fmt: skip
    assert all(row["std"]["top1"] is not None for row in results["scores"])
