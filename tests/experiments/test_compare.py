"""Two studies beside each other: differences of what their nets predict, against an independent calculation."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core_code.core_utils.errors import InputError
from core_code.core_utils.metrics.significance import holm
from core_code.datasets.fer2013 import FER2013
from core_code.experiments import compare


@pytest.fixture
def labels() -> np.ndarray:
    return np.concatenate([FER2013(dataset="sample", split=split).labels.numpy() for split in ("val", "test")])


def write_study(folder: Path, labels: np.ndarray, right: dict[str, float], seeds=(1, 2, 3)) -> pd.DataFrame:
    """A file of predictions in which each net is right on about such a share of the faces at the last epoch."""
    counts = [len(FER2013(dataset="sample", split=split)) for split in ("val", "test")]
    rows = pd.DataFrame({
        "split": np.repeat(["val", "test"], counts), "face": np.concatenate([np.arange(count) for count in counts]),
    })  # fmt: skip
    for name, share in right.items():
        for seed in seeds:
            rng = np.random.default_rng([seed, round(100 * share)])
            wrong = rng.random(len(labels)) > share
            rows[f"resnet18_{name}_seed{seed}"] = np.where(wrong, (labels + 1) % 7, labels)
    other = rows.assign(**{name: 0 for name in rows.columns if name.startswith("resnet18")})
    folder.mkdir()
    table = pd.concat([other.assign(epoch="best on val"), rows.assign(epoch="last")])
    table.to_csv(folder / "results_predictions.csv", index=False)
    return rows


def run(capsys, *words: object) -> str:
    compare.main([*map(str, words), "--dataset", "sample"])
    return capsys.readouterr().out


def test_differences_are_those_of_the_last_epoch_paired_by_seed_and_face(tmp_path, labels, capsys):
    first = {"baseline": 0.5, "augmented": 0.8, "expanded_share0.1": 0.3}
    one = write_study(tmp_path / "one", labels, first)
    two = write_study(tmp_path / "two", labels, first | {"augmented": 0.6, "expanded_share0.1": 0.35})
    printed = run(capsys, tmp_path / "one", tmp_path / "two", "--csv", tmp_path / "table.csv")
    table = pd.read_csv(tmp_path / "table.csv")
    table = table[table.on == "val and test, last epoch"].set_index("model")
    assert table.index.tolist() == ["resnet18_augmented", "resnet18_expanded"]  # the baselines are the same
    assert table["share"].tolist() == [1, 0.1]
    assert table.seeds.tolist() == [3, 3]
    for model, name in (("resnet18_augmented", "augmented"), ("resnet18_expanded", "expanded_share0.1")):
        hits = [
            np.stack([rows[f"resnet18_{name}_seed{seed}"] == labels for seed in (1, 2, 3)]).astype(float)
            for rows in (one, two)
        ]
        difference = hits[0] - hits[1]
        assert table.top1_mean[model] == pytest.approx(100 * difference.mean())
        recalls = [difference[:, labels == emotion].mean() for emotion in range(7)]
        assert table.mean_per_class_mean[model] == pytest.approx(100 * np.mean(recalls))
        assert table.Fear_mean[model] == pytest.approx(100 * recalls[2])
        assert table.top1_low[model] < table.top1_mean[model] < table.top1_high[model]
        assert f"{table.top1_mean[model]:+.2f}".replace("-", "−") in printed
    assert table.top1_p_holm.to_dict() == pytest.approx(holm(table.top1_p_value.to_dict()))


def test_a_net_that_one_study_lacks_or_has_not_finished_is_left_out(tmp_path, labels, capsys):
    write_study(tmp_path / "one", labels, {"baseline": 0.5, "augmented": 0.8})
    write_study(tmp_path / "two", labels, {"baseline": 0.6, "expanded": 0.8}, seeds=(2, 3, 4))
    path = tmp_path / "two" / "results_predictions.csv"
    table = pd.read_csv(path)
    table.loc[table.index[-1], "resnet18_baseline_seed3"] = np.nan
    table.to_csv(path, index=False)
    printed = run(capsys, tmp_path / "one", tmp_path / "two", "--csv", tmp_path / "table.csv")
    table = pd.read_csv(tmp_path / "table.csv")
    assert set(table.model) == {"resnet18_baseline"}
    assert set(table.seeds) == {1}
    assert "augmented" not in printed


def test_a_table_never_replaces_what_is_compared(tmp_path, labels):
    for name, share in (("one", 0.5), ("two", 0.6)):
        write_study(tmp_path / name, labels, {"baseline": share}, seeds=(1,))
    path = tmp_path / "two" / "results_predictions.csv"
    before = path.read_bytes()
    with pytest.raises(InputError, match="would be written over, but it is an input"):
        compare.main([str(tmp_path / "one"), str(tmp_path / "two"), "--dataset", "sample", "--csv", str(path)])
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.unlink(), "no such file; python -m core_code.experiments writes it"),
        (lambda path: path.write_bytes(b"\x80\x02\n\0"), "not a study's predictions"),
        (lambda path: path.write_text("a,b\n1,2\n"), "not a study's predictions"),
        (lambda path: path.write_text("\n".join(path.read_text().splitlines()[:-1])), "those of other faces"),
        (lambda path: path.write_text(path.read_text().replace("seed1", "seed7")), "no net of the same name"),
    ],
)
def test_a_file_that_cannot_be_compared_is_an_error(tmp_path, labels, spoil, message):
    for name, share in (("one", 0.5), ("two", 0.6)):
        write_study(tmp_path / name, labels, {"baseline": share}, seeds=(1,))
    spoil(tmp_path / "two" / "results_predictions.csv")
    with pytest.raises(InputError, match=message):
        compare.main([str(tmp_path / "one"), str(tmp_path / "two"), "--dataset", "sample"])
