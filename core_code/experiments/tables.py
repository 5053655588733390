"""The tables of a study as DataFrames, shared by the page, the Markdown and the CSV files; and its plan as text.

In cells to show, what follows a line break is an addition: a standard deviation, the members of a vote, a conclusion.
"""

import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

import numpy as np
import pandas as pd

from core_code.core_utils.choices import NO_TTA
from core_code.core_utils.tables import as_markdown
from core_code.evaluation.report import FIGURES
from core_code.experiments.comparisons import COMPARED
from core_code.experiments.plan import Step
from core_code.experiments.predicted import OTHER_SEEDS
from core_code.experiments.presets import StudySettings

SIGNIFICANT = 0.05
IDENTIFYING = ("net", "share", "model", "vote", "tta", "split")
PUBLISHED_VOTERS = {"baseline", "augmented", "expanded"}
MODEL, P_VALUE = "model", "p (McNemar)"
FER2013_NAMES = {"val": "PublicTest", "test": "PrivateTest", "test_not_in_training": "part of PrivateTest"}


def split_name(split: str, fer2013: bool = False) -> str:
    """A split's name as shown, and FER2013's own name for it."""
    name = "test, not in training" if split == "test_not_in_training" else split
    return f"{name} ({FER2013_NAMES[split]})" if fer2013 and split in FER2013_NAMES else name


def part_title(net: str, share: float) -> str:
    """A net, and the share of the training faces that it was trained on, where that is not the whole."""
    return net if share == 1 else f"{net}, {100 * share:g} % of the faces"


def figures(results: dict[str, Any]) -> pd.DataFrame:
    """A row for each net, share of the training faces, model, kind of view and split, in percent.

    Columns: net, share, model, vote, tta, split, seeds (their number), mean and std over the seeds of each figure
    (`top1_mean`, `top1_std`, ...), the interval of top-1 over seeds and faces (`top1_low`, `top1_high`), the difference
    of top-1 to the baseline of the same seeds and views, p of McNemar's test against it by seed, its conclusion, and
    the published top-1 and top-2 on the same faces.
    """
    rows = []
    where = itemgetter("net", "share", "tta", "split")
    baselines = {where(row): row for row in results["scores"] if row["model"] == "baseline"}
    for row in results["scores"]:
        line = {name: row[name] for name in IDENTIFYING} | {"seeds": len(row["seeds"])}
        for figure in FIGURES:
            line[f"{figure}_mean"] = 100 * row["mean"][figure]
            line[f"{figure}_std"] = math.nan if row["std"][figure] is None else 100 * row["std"][figure]
        line |= {f"top1_{end}": 100 * value for end, value in zip(("low", "high"), row["interval"], strict=True)}
        baseline = baselines.get(where(row), row)
        both = [seed for seed in row["seeds"] if baseline is not row and seed in baseline["seeds"]]
        differences = [row["seeds"][seed]["top1"] - baseline["seeds"][seed]["top1"] for seed in both]
        line["difference"] = 100 * statistics.fmean(differences) if both else math.nan
        line["p_values"], line["conclusion"] = significance(row)
        same_faces = (results["dataset"], row["split"], row["tta"], row["share"]) == ("fer2013", "val", NO_TTA, 1)
        published = results["published"].get(row["net"], {}) if same_faces else {}
        line["published_top1"], line["published_top2"] = published.get(published_name(row)) or (None, None)
        rows.append(line)
    table = pd.DataFrame(rows)
    return table.astype({"published_top1": float, "published_top2": float}) if rows else table


def significance(row: dict[str, Any]) -> tuple[str, str]:
    """p of each seed, and in words what they mean; empty where nothing is compared."""
    tests = [seed["mcnemar"] for seed in row["seeds"].values() if seed["mcnemar"]]
    conclusions = Counter(
        "not significant" if test["p_value"] >= SIGNIFICANT
        else "better" if test["only_this"] > test["only_other"] else "worse"
        for test in tests
    )  # fmt: skip
    words = [name if len(conclusions) == 1 else f"{name}: {count}" for name, count in conclusions.items()]
    ps = [p_text(test["p_value"]) for test in tests]
    return f"each {ps[0]}" if len(ps) > 1 and len(set(ps)) == 1 else " / ".join(ps), ", ".join(words)


def published_name(row: Mapping[str, Any]) -> str:
    """The name of the same model in the published study, where the surest of its three had the vote."""
    if not row["vote"]:
        return row["model"]
    return "vote" if row["vote"] == "surest" and set(row["members"]) == PUBLISHED_VOTERS else ""


def ordered_votes(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of the votes on val, the best first: nothing is chosen on test. `table` is of one net and share."""
    votes = table[(table.split == "val") & (table.tta == NO_TTA) & (table.vote != "")]
    return votes.sort_values("top1_mean", ascending=False, kind="stable")


def shown_models(table: pd.DataFrame) -> list[str]:
    """The models to show first: the experiments, the best vote of each kind on val, the published vote, and the votes
    of baselines alone. `table` is of one net and share."""
    votes = ordered_votes(table)
    baselines = np.array([name.endswith(OTHER_SEEDS) for name in votes.model], dtype=bool)
    shown = votes[~votes.duplicated("vote") | votes.published_top1.notna() | baselines]
    return [*table[table.vote == ""].model.unique(), *shown.model]


def figures_table(rows: pd.DataFrame, models: Sequence[str]) -> pd.DataFrame:
    """The rows of a net's models on a split as cells to show, those with test-time augmentation below the plain ones.

    Published figures stand beside ours where there are any.
    """
    rows = rows[rows.model.isin(models)]
    rows = rows.sort_values("model", key=lambda names: names.map(list(models).index), kind="stable")
    views = np.where(rows.tta == NO_TTA, "", " with " + rows.tta)
    cells = pd.DataFrame({MODEL: rows.model.str.replace(") of ", ")\nof ") + views})
    for figure, title in FIGURES.items():
        std = [f"\n± {value:.2f}" if pd.notna(value) else "" for value in rows[f"{figure}_std"]]
        cells[title] = [percent(mean) + more for mean, more in zip(rows[f"{figure}_mean"], std, strict=True)]
        published = rows.get(f"published_{figure}")
        if published is not None and rows.published_top1.notna().any():
            cells[f"published {title}"] = [percent(value, "") for value in published]
    cells["difference"] = [signed(value) for value in rows.difference]
    cells[P_VALUE] = rows.p_values + np.where(rows.p_values == "", "", "\n" + rows.conclusion)
    return cells


def percent(value: float, missing: str = "–") -> str:
    """A number of percent with two decimals."""
    return missing if pd.isna(value) else f"{value:.2f}"


def signed(points: float, digits: int = 2) -> str:
    """Points with their sign, empty for none."""
    return "" if pd.isna(points) else f"{round(points, digits) + 0.0:+.{digits}f}".replace("-", "−")  # never "−0.00"


def comparisons(results: dict[str, Any]) -> pd.DataFrame:
    """A row for each comparison: what with what, where, and in percentage points each figure's difference, its interval
    over seeds and faces, p, and p corrected for the rows of its family; McNemar's p of each seed."""
    rows = []
    for row in results["comparisons"]:
        line = {name: row[name] for name in ("net", "share", "on", "family", "model", "against")} | in_points(row)
        line["calibration_error"] = 100 * row["calibration_error"]
        line["mcnemar_p"] = " / ".join(p_text(test["p_value"]) for test in row["mcnemar"].values())
        rows.append(line)
    return pd.DataFrame(rows)


def in_points(row: Mapping[str, Any]) -> dict[str, Any]:
    """How many faces and seeds a difference is of, and each figure's part in columns: points of percent, and p."""
    line = {"faces": row["faces"], "seeds": len(row["seeds"])}
    for figure in COMPARED:
        found = row["figures"][figure]
        line |= {f"{figure}_{part}": 100 * found[part] for part in ("mean", "low", "high")}
        line |= {f"{figure}_{part}": found[part] for part in ("p_value", "p_holm")}
    return line


def comparison_cells(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of `comparisons` as cells to show."""
    cells = pd.DataFrame({"model": table.model.str.replace(") of ", ")\nof "), "against": table.against})
    cells = pd.concat([cells, difference_cells(table)], axis=1)
    cells[FIGURES["calibration_error"]] = [signed(value) for value in table.calibration_error]
    cells["p (McNemar) of each seed"] = table.mcnemar_p
    return cells


def difference_cells(table: pd.DataFrame) -> pd.DataFrame:
    """The columns of in_points as cells to show, each figure with its interval; * where it is significant."""
    cells: dict[str, Any] = {}
    for figure in COMPARED:
        title = FIGURES.get(figure, figure)
        parts = table[[f"{figure}_{part}" for part in ("mean", "low", "high", "p_holm")]].itertuples(index=False)
        cells[title] = [
            f"{signed(mean)}\n({signed(low)} to {signed(high)})" + ("*" if p < SIGNIFICANT else "")
            if pd.notna(mean) else "–" for mean, low, high, p in parts
        ]  # fmt: skip
        if figure == "top1":
            cells["p (Holm)"] = [p_text(p) for p in table.top1_p_holm]
    return pd.DataFrame(cells, index=table.index)


def p_text(p: float) -> str:
    """p as shown."""
    return "" if pd.isna(p) else "< 0.001" if p < 0.001 else f"{p:.2g}"


def per_emotion(results: dict[str, Any]) -> pd.DataFrame:
    """A row for each row of the scores: of each emotion the accuracy over all seeds in percent.

    NaN for an emotion without faces.
    """
    rows = []
    for row in results["scores"]:
        confusion = np.sum([seed["confusion"] for seed in row["seeds"].values()], axis=0, dtype=float)
        faces = confusion.sum(1)
        shares = np.divide(100 * confusion.diagonal(), faces, out=np.full(len(faces), math.nan), where=faces > 0)
        rows.append({name: row[name] for name in IDENTIFYING} | dict(zip(results["emotions"], shares, strict=True)))
    return pd.DataFrame(rows)


def runs(results: dict[str, Any]) -> pd.DataFrame:
    """A row for each step: its state, error, time, rate, best epoch, hardware and command, as cells to show."""
    return pd.DataFrame([
        {
            "step": run["name"], "state": run["state"], "error": run["error"],
            "time": "" if run["seconds"] is None else duration(run["seconds"]),
            "faces/s": f"{run['faces_per_second']:,}" if run.get("faces_per_second") else "",
            "best epoch": str(run.get("best_epoch", "")), "hardware": run["hardware"], "command": run["command"],
        }
        for run in results["runs"]
    ])  # fmt: skip


def duration(seconds: float) -> str:
    """Seconds in words that one can plan with."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"


def plan_as_text(
    steps: Sequence[Step], chosen: Sequence[Step], seconds: Mapping[str, float], study: StudySettings, at_once: int
) -> str:
    """The commands and a table of the steps with their estimated minutes; complete ones and those beyond the budget,
    which are not `chosen`, are marked."""
    left = {step.name for step in steps} - {step.name for step in chosen}
    table = pd.DataFrame({
        "step": [step.name for step in steps],
        "faces": [f"{step.faces:,}" for step in steps],
        "minutes": ["" if step.complete else f"{seconds[step.name] / 60:.1f}" for step in steps],
        "state": ["complete, skipped" if step.complete else "left for the next start" if step.name in left else "to do"
                  for step in steps],
    })  # fmt: skip
    commands = [f"{step.name}:\n  {step.shown}" for step in steps if not step.complete]
    beside = f", {at_once} at once" if at_once > 1 else ""
    total = sum(seconds.get(step.name, 0.0) for step in chosen) / at_once
    ending = f"in all about {duration(total)}{beside}, and a few minutes for the evaluation"
    if left:
        later = duration(sum(seconds[name] for name in left) / at_once)
        do, are = ("steps do", "are") if len(left) > 1 else ("step does", "is")
        ending += f"; {len(left)} {do} not fit into the budget and {are} left for the next start (about {later})"
    return "\n".join([f"{study.preset}: {study.what}", "", *commands, "", as_markdown(table), "", ending, ""])
