"""Which arms and shares stand in the pictures of a study."""

from pathlib import Path

import pytest

from core_code.experiments import pictures
from core_code.experiments.__main__ import parse_arguments, settings_of


def score(model: str, share: float, top1: float, **changed: str) -> dict:
    known = {"net": "resnet18", "split": "test", "tta": "none", "vote": ""} | changed
    return known | {"model": model, "share": share, "mean": {"top1": top1}, "interval": [top1 - 0.02, top1 + 0.02]}


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> dict:
    """The lines of the picture, and the names of the dashed ones, instead of the picture."""
    found: dict = {}

    def keep(lines: dict, path: Path, _title: str, dashed: list[str]) -> Path:
        found.update(lines=lines, dashed=dashed)
        return path

    monkeypatch.setattr(pictures, "plot_accuracy_by_share", keep)
    return found


def draw(scores: list[dict], tmp_path: Path, faces: int = 28_709) -> list[dict]:
    study = settings_of(parse_arguments(["--preset", "two_cores", "--output_root", str(tmp_path)]))
    results = {"protocol": {"training_faces": faces}, "scores": scores, "comparisons": []}
    return pictures.draw_arms(results, study)


def test_the_line_of_an_arm_has_a_point_for_each_share_and_arms_of_one_share_are_left_out(drawn, tmp_path):
    scores = [score("baseline", 1, 0.6), score("baseline", 0.1, 0.5), score("expanded", 0.1, 0.45),
              score("own_code_then_real", 0.1, 0.4), score("own_code_then_real", 1, 0.55)]  # fmt: skip
    (entry,) = draw(scores, tmp_path)
    assert entry["file"] == "accuracy_by_share_resnet18.png"
    assert list(drawn["lines"]) == ["baseline", "own_code_then_real"]
    assert drawn["lines"]["baseline"] == [
        pytest.approx((10, 50, 48, 52)), pytest.approx((100, 60, 58, 62))
    ]  # fmt: skip
    assert drawn["dashed"] == ["own_code_then_real"]  # a control


def test_where_all_arms_are_of_one_share_all_are_drawn_at_their_share_of_fer2013(drawn, tmp_path):
    draw([score("baseline", 1, 0.5), score("expanded", 1, 0.4)], tmp_path, faces=2871)
    assert {name: points[0][0] for name, points in drawn["lines"].items()} == {
        "baseline": pytest.approx(10, abs=0.01), "expanded": pytest.approx(10, abs=0.01)
    }  # fmt: skip


@pytest.mark.parametrize(
    ("experiments", "drawn"),
    [
        (["baseline", "augmented", "expanded"], True),
        (["baseline", "byol"], True),
        (["baseline", "augmented", "expanded", "byol"], False),
        (["baseline", "augmented", "oversampled"], False),
        (["baseline"], False),
    ],
)
def test_the_votes_that_have_confusion_matrices_are_among_those_of_the_tables(experiments, drawn):
    assert pictures.all_vote(experiments) is drawn


@pytest.mark.parametrize("changed", [{"vote": "mean"}, {"split": "val"}, {"tta": "flip"}])
def test_votes_val_and_other_views_are_not_drawn(drawn, tmp_path, changed):
    draw([score("baseline", 1, 0.5), score("another", 1, 0.9, **changed)], tmp_path)
    assert list(drawn["lines"]) == ["baseline"]
