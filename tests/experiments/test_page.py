"""The study's page, read back with an HTML parser: figures, commands, errors, pictures, and nothing from elsewhere."""

import base64
import json
import math
import re
import statistics
from copy import deepcopy
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from synthetic_study import ERROR, FAILED, KINDS, MISSING, SEEDS, SPLITS, synthetic_pictures, synthetic_results

from core_code.core_utils.plots.palette import EMOTION_COLOURS
from core_code.experiments.comparisons import LAST_EPOCH, NOVEL_FACES
from core_code.experiments.page import as_page, as_text, differences

EMPTY = {"meta", "link", "img", "br", "line", "circle", "path"}
FIGURES = ("top1", "top2", "mean_per_class", "macro_f1", "calibration_error")


class Classifier(HTMLParser):
    """Every element with its attributes; the text of the whole, of each table's cells, of codes and of errors."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[tuple[str, dict[str, Any]]] = []
        self.elements: list[tuple[str, dict[str, Any]]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.codes: list[str] = []
        self.texts: list[tuple[str, str]] = []  # class of the element, text
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        named = dict(attributes)
        self.elements.append((tag, named))
        if tag == "table":
            label = self.open[-1][1]["aria-label"]
            assert label not in self.tables
            self.tables[label] = []
        if tag == "tr":
            list(self.tables.values())[-1].append([])
        if tag in ("td", "th"):
            list(self.tables.values())[-1][-1].append("")
        if tag == "code":
            self.codes.append("")
        if tag not in EMPTY:
            self.open.append((tag, named))

    def handle_endtag(self, tag: str) -> None:
        if tag not in EMPTY:
            assert self.open and self.open[-1][0] == tag, f"</{tag}> closes {self.open[-1:]}"
            self.open.pop()

    def handle_data(self, data: str) -> None:
        inside = [tag for tag, _ in self.open]
        if "td" in inside or "th" in inside:
            cells = list(self.tables.values())[-1][-1]
            cells[-1] = cells[-1].rstrip() + "\n" + data if inside[-1] == "small" else cells[-1] + data
        if "code" in inside:
            self.codes[-1] += data
        if self.open and inside[-1] not in ("style", "script"):
            self.texts.append((self.open[-1][1].get("class", ""), data))

    @property
    def text(self) -> str:
        return " ".join(text for _, text in self.texts)


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    return synthetic_results()


@pytest.fixture(scope="module")
def plots(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("study") / "plots_output"


@pytest.fixture(scope="module")
def page(results, plots) -> str:
    return as_page({**results, "pictures": synthetic_pictures(plots)}, plots)


@pytest.fixture(scope="module")
def reader(page) -> Classifier:
    return Classifier(page)


def row_of(results: dict[str, Any], net: str, model: str, tta: str, split: str) -> dict[str, Any]:
    wanted = (net, model, tta, split)
    (row,) = [row for row in results["scores"] if (row["net"], row["model"], row["tta"], row["split"]) == wanted]
    return row


def columns(reader: Classifier, table: str) -> dict[str, dict[str, str]]:
    """A table by its row's name, then by its column's title."""
    titles, *lines = reader.tables[table]
    return {line[0]: dict(zip(titles[1:], line[1:], strict=True)) for line in lines}


def chart_of(page: str) -> str:
    """The first chart of the page."""
    start = page.index('<div class="chart">')
    return page[start : page.index("</div>", start)]


def test_every_element_is_closed_and_nothing_is_fetched(page, reader):
    assert reader.open == []
    assert page.startswith("<!doctype html>")
    for tag, named in reader.elements:
        for name in ("src", "href", "action", "srcset", "data"):
            assert named.get(name, "#").startswith(("#", "data:")), (tag, named)
    assert not re.search(r"https?://|@import|url\(|fetch\(|XMLHttp", page)
    (policy,) = [named["content"] for _, named in reader.elements if "Content-Security-Policy" in named.values()]
    assert "default-src 'none'" in policy


def test_the_page_is_the_same_from_the_results_file(results, plots, page):
    read_back = json.loads(json.dumps({**results, "pictures": synthetic_pictures(plots)}))
    assert set(read_back["scores"][0]["seeds"]) == {str(seed) for seed in SEEDS}
    assert as_page(read_back, plots) == page


@pytest.mark.parametrize("split", SPLITS)
def test_figures_are_the_results_in_percent_with_their_standard_deviation_over_the_seeds(reader, results, split):
    for net in ("resnet18", "densenet201"):
        lines = columns(reader, f"Figures: {net} on {split}")
        for name in results["experiments"]:
            for tta, shown in (("none", name), ("flip", f"{name} with flip")):
                seeds = list(row_of(results, net, name, tta, split)["seeds"].values())
                for figure, title in zip(FIGURES, ("top-1", "top-2", "mean per class", "macro F1", "calibration error"),
                                         strict=True):  # fmt: skip
                    values = [100 * seed[figure] for seed in seeds]
                    mean, std = statistics.fmean(values), statistics.stdev(values)
                    cell = re.fullmatch(r"(\d+\.\d\d)\n± (\d+\.\d\d)", lines[shown][title])
                    assert [float(number) for number in cell.groups()] == pytest.approx([mean, std], abs=0.0051)


def test_the_difference_is_to_the_baseline_of_the_same_seeds_and_views(reader, results):
    lines = columns(reader, "Figures: densenet201 on test")
    assert lines["baseline"]["difference"] == lines["baseline with flip"]["difference"] == ""
    assert lines["baseline"]["p (McNemar)"] == ""
    for tta, shown in (("none", "byol"), ("flip", "byol with flip")):
        ours, base = (row_of(results, "densenet201", name, tta, "test")["seeds"] for name in ("byol", "baseline"))
        assert list(ours) == [1, 2] and list(base) == [1, 2, 3], "its third training failed"
        expected = 100 * statistics.fmean(ours[seed]["top1"] - base[seed]["top1"] for seed in (1, 2))
        assert float(lines[shown]["difference"].replace("−", "-")) == pytest.approx(expected, abs=0.0051)


def test_half_a_point_is_not_called_progress(results, plots):
    changed = deepcopy(results)
    ps = {"augmented": (0.05, 0.3, 1.0), "augmented_face": (0.04999, 0.001, 2e-9), "expanded": (0.2, 0.01, 0.02)}
    for model, each in ps.items():
        tests = [seed["mcnemar"] for seed in row_of(changed, "resnet18", model, "none", "val")["seeds"].values()]
        for test, p in zip(tests, each, strict=True):
            test.update(p_value=p, only_this=60, only_other=90 if model == "expanded" else 30)
    lines = columns(Classifier(as_page(changed, plots)), "Figures: resnet18 on val")
    cells = {model: lines[model]["p (McNemar)"].split("\n") for model in ps}
    assert cells["augmented"] == ["0.05 / 0.3 / 1", "not significant"]
    assert cells["augmented_face"] == ["0.05 / 0.001 / < 0.001", "better"]
    assert cells["expanded"] == ["0.2 / 0.01 / 0.02", "not significant: 1, worse: 2"]


def test_published_figures_stand_beside_ours_on_val_alone(reader, results, plots):
    lines = columns(reader, "Figures: resnet18 on val")
    assert {name: (line["published top-1"], line["published top-2"]) for name, line in lines.items()
            if line["published top-1"]} == {
        "baseline": ("70.16", "84.93"), "augmented": ("69.60", "84.95"), "expanded": ("69.55", "84.48"),
        "vote (surest)\nof baseline, augmented, expanded": ("71.69", ""),
    }  # fmt: skip
    for split in ("test", "test_not_in_training"):
        assert not [title for title in reader.tables[f"Figures: resnet18 on {split}"][0] if "published" in title]
    assert "the protocol is a different one" in reader.text
    for other in ("sample", "folder"):
        page = Classifier(as_page({**results, "dataset": other}, plots))
        assert not re.search("published|PublicTest|PrivateTest", page.text, re.IGNORECASE)
    sample = Classifier(as_page({**results, "dataset": "sample"}, plots))
    assert "show nobody" in sample.text


def test_one_epoch_is_no_epochs(results, plots):
    protocol = results["protocol"] | {"epochs": 1, "byol_epochs": 1, "equal_faces": True}
    once = {**results, "protocol": protocol, "experiments": results["experiments"] | {"byol": "pre-trained"}}
    page, text = Classifier(as_page(once, plots)).text, as_text(once)
    assert "1 epoch at" in page and "1 epoch of the real training set has" in text and "BYOL: 1 epoch at" in text
    assert "1 epochs" not in page + text


def test_a_published_vote_that_is_not_here_is_named(results, plots):
    without = {**results, "scores": [row for row in results["scores"] if "expanded" not in row["members"]]}
    assert "Published, but not here: expanded 69.55, vote 71.69." in Classifier(as_page(without, plots)).text


def test_votes_are_chosen_on_val_for_every_split_and_all_of_them_are_there(reader, results):
    def best(vote: str, split: str) -> str:
        rows = [row for row in results["scores"] if (row["net"], row["tta"]) == ("resnet18", "none")]
        rows = [row for row in rows if (row["vote"], row["split"]) == (vote, split)]
        return max(rows, key=lambda row: row["mean"]["top1"])["model"].split(" of ")[1]

    for split in SPLITS:
        names = [line[0] for line in reader.tables[f"Figures: resnet18 on {split}"]]
        for vote in ("surest", "mean"):
            assert f"vote ({vote})\nof {best(vote, 'val')}" in names
        everything = [line[0] for line in reader.tables[f"Figures: resnet18 on {split}, votes"][1:]]
        votes = 2 * math.comb(5, 3) + 5 + 3  # any three; the baseline and each other; baselines of other seeds
        assert sum(not name.endswith("with flip") for name in everything) == votes
        assert len(everything) == len(set(everything)) == 2 * votes
        assert "vote (mean)\nof baseline, baseline_other_seed, baseline_third_seed" in names


def test_emotions_are_in_their_order_and_colours_and_the_shares_are_the_confusions(reader, results):
    titles, *lines = reader.tables["Accuracy per emotion: resnet18 on test"]
    assert [title.split("\n")[0] for title in titles[1:]] == [
        "Angry", "Disgust", "Fear", "Happy", "Sad", "Surprise", "Neutral",
    ]  # fmt: skip
    dots = [named["style"] for _, named in reader.elements if named.get("class") == "dot"]
    assert dots[:7] == [f"background:{colour}" for colour in EMOTION_COLOURS]
    right = {}
    for name in ("baseline", "expanded"):
        confusions = [seed["confusion"] for seed in row_of(results, "resnet18", name, "none", "test")["seeds"].values()]
        right[name] = [100 * sum(c[k][k] for c in confusions) / sum(sum(c[k]) for c in confusions) for k in range(7)]
    cells = {line[0]: [cell.split("\n") for cell in line[1:]] for line in lines}
    assert [float(cell[0]) for cell in cells["baseline"]] == pytest.approx(right["baseline"], abs=0.051)
    assert [float(cell[0]) for cell in cells["expanded"]] == pytest.approx(right["expanded"], abs=0.051)
    expected = [ours - base for ours, base in zip(right["expanded"], right["baseline"], strict=True)]
    assert [float(cell[1].replace("−", "-")) for cell in cells["expanded"]] == pytest.approx(expected, abs=0.051)


def test_every_command_and_every_error_is_there_as_text(page, reader, results):
    assert reader.codes == [run["command"] for run in results["runs"]]
    assert [text for kind, text in reader.texts if kind == "error"] == [ERROR]
    assert page.count("<script") == 1 and "alert(1)" in page
    summaries = " ".join(text for _, text in reader.texts)
    assert (summaries.count("235.2 faces/s"), summaries.count("61 min")) == (29, 30), "the failed one took time too"
    assert FAILED in summaries and "29 of 31 steps are complete, 1 missing and 1 failed" in summaries


def test_pictures_lie_within_the_page_and_a_missing_one_is_said_to_be_so(reader, plots):
    shown = [named["src"] for tag, named in reader.elements if tag == "img"]
    files = {(plots / f"{kind}_resnet18_<baseline>_seed1.png").read_bytes() for kind in KINDS}
    assert len(shown) == len(files) == len(KINDS)
    assert {base64.b64decode(source.removeprefix("data:image/png;base64,"), validate=True) for source in shown} == files
    assert [text for kind, text in reader.texts if kind == "absent"] == [f"{MISSING}: no such picture"]
    assert any(text == "resnet18 <baseline>_seed1" for _, text in reader.texts)


def test_a_study_of_which_nothing_has_run_has_a_page(results, plots):
    runs = [run | {"state": "missing", "seconds": None, "hardware": ""} for run in results["runs"][:3]]
    page = Classifier(as_page({**results, "splits": {}, "scores": [], "runs": runs, "pictures": []}, plots))
    assert "No net is trained yet." in page.text and "There are no pictures yet." in page.text
    assert page.codes == [run["command"] for run in runs]


def test_a_damaged_picture_and_figures_of_no_faces_are_told_in_words(results, plots, tmp_path):
    (tmp_path / "torn.png").write_bytes(b"\x00")
    changed = deepcopy(results)
    for row in changed["scores"]:
        if row["split"] == "test_not_in_training":
            row["mean"] = dict.fromkeys(FIGURES, math.nan)
            for seed in row["seeds"].values():
                seed.update(top1=math.nan, confusion=[[0] * 7] * 7)
    changed["pictures"] = [{"file": "torn.png", "kind": "curves", "net": "", "experiment": ""}]
    page = Classifier(as_page(changed, tmp_path))
    assert "torn.png: not a PNG" in page.text and "nan" not in page.text
    assert columns(page, "Accuracy per emotion: resnet18 on test_not_in_training")["baseline"]["Angry\n0 faces"] == "–"


def test_dots_lie_along_the_axis_as_their_figures_do(results, plots):
    changed = deepcopy(results)
    row = row_of(changed, "resnet18", "baseline", "none", "val")
    row["seeds"] = {1: row["seeds"][1] | {"top1": 0.60}, 2: row["seeds"][2] | {"top1": 0.64}}
    row["mean"]["top1"] = 0.62
    drawn = chart_of(as_page(changed, plots))

    def places(pattern: str) -> list[float]:
        return [float(found) for found in re.findall(pattern, drawn)]

    low, high = places(r'<circle class="seed" cx="([\d.]+)%"')[:2]
    mean, mark = places(r'class="mean" x1="([\d.]+)%"')[0], places(r'class="published" x="([\d.]+)%"')[0]
    assert 0 < low < high < mark < 100
    assert [mean - low, mark - low] == pytest.approx([(high - low) / 2, (high - low) * 2.54], abs=0.02)
    axis = {float(text): float(x) for x, text in re.findall(r'<text x="([\d.]+)%" y="12">([\d.]+)</text>', drawn)}
    assert axis[60] == pytest.approx(low, abs=0.011) and 3 < len(axis) < 10
    slope = (high - low) / 4
    assert all(x == pytest.approx(low + slope * (value - 60), abs=0.02) for value, x in axis.items())


def test_a_net_of_other_logits_is_no_other_way_of_training(tmp_path):
    results = synthetic_results()
    names = [name for name in results["experiments"] if not name.endswith("_adjusted")]
    results["experiments"] = {**results["experiments"], "expanded_adjusted": "its logits corrected"}
    assert f"in {len(names)} ways (" in as_page(results, tmp_path)


def test_top1_without_faces_of_training_stands_beside_top1_where_there_are_such_faces(results):
    assert all("not in training" not in " ".join(table.columns) for table in differences(results)["resnet18"].values())
    changed = deepcopy(results)
    for row in results["comparisons"]:
        if row["on"] == LAST_EPOCH:
            novel = deepcopy(row) | {"on": NOVEL_FACES}
            novel["figures"]["top1"] |= {"mean": row["figures"]["top1"]["mean"] - 0.01}
            changed["comparisons"].append(novel)
    for name, table in differences(changed)["resnet18"].items():
        assert table.columns.get_loc("top-1, not in training") == table.columns.get_loc("top-1") + 2
        for all_faces, novel in zip(table["top-1"], table["top-1, not in training"], strict=True):
            first, second = (float(cell.split("\n")[0].replace("−", "-")) for cell in (all_faces, novel))
            assert first - second == pytest.approx(1, abs=0.011), name
