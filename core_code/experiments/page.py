"""A study's report: one HTML page that needs no file beside it, and the same tables as Markdown and CSV.

The texts stand in templates/. The page lets the browser fetch nothing and run no script but its own; without any
script everything is shown.
"""

import base64
import hashlib
import math
from collections import Counter
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup
from matplotlib.ticker import MaxNLocator

from core_code.core_utils.choices import NO_TTA
from core_code.core_utils.files import atomic_write
from core_code.core_utils.plots.palette import EMOTION_COLOURS
from core_code.core_utils.tables import as_markdown, write_csv
from core_code.evaluation.report import FIGURES
from core_code.experiments import tables
from core_code.experiments.comparisons import LAST_EPOCH, NOVEL_FACES
from core_code.experiments.predicted import ADJUSTED

TEMPLATES = Path(__file__).parent / "templates"
PNG_START = b"\x89PNG\r\n\x1a\n"
MARGIN = 0.06  # of the chart's width, left free at either end
PUBLISHED_PROTOCOL = {"weights": "imagenet", "epochs": 100, "image_size": 224}


def write_report(results: dict[str, Any], plots: Path) -> list[Path]:
    """The tables as CSV, results.md and report.html in `plots`, where the pictures are."""
    names = ("results.csv", "results_per_emotion.csv", "results_differences.csv", "results.md", "report.html")
    paths = [plots / name for name in names]
    write_csv(paths[0], tables.figures(results))
    write_csv(paths[1], tables.per_emotion(results))
    write_csv(paths[2], tables.comparisons(results))
    atomic_write(paths[3], lambda file: file.write(as_text(results).encode(errors="backslashreplace")))
    atomic_write(paths[4], lambda file: file.write(as_page(results, plots).encode(errors="backslashreplace")))
    return paths


def as_text(results: dict[str, Any]) -> str:
    """The report as Markdown, without pictures."""
    return render("results.md", results, markdown=markdown)


def markdown(table: pd.DataFrame) -> str:
    """A table of the report, each cell in one line."""
    if tables.P_VALUE in table:
        table = table.assign(**{tables.P_VALUE: table[tables.P_VALUE].str.replace(r"\n(.+)", r" (\1)", regex=True)})
    return as_markdown(table.replace("\n", " ", regex=True), decimals=1)


def as_page(results: dict[str, Any], plots: Path) -> str:
    """The page. `results` is the content of results.json; the pictures named there are read from the folder `plots`."""
    style, script = ((TEMPLATES / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return render(
        "page.html", results, style=Markup(style), script=Markup(script), digest=digest, signed=tables.signed,
        pictures=[picture(entry, plots) for entry in results.get("pictures", [])], colours=EMOTION_COLOURS,
        adjusted=[name for name in results["experiments"] if name.endswith(ADJUSTED)],
    )  # fmt: skip


def render(template: str, results: dict[str, Any], **values: Any) -> str:
    """A template over the results; what comes from them is escaped in HTML."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=jinja2.select_autoescape(("html",)),
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    states = Counter(run["state"] for run in results["runs"])
    return environment.get_template(template).render(
        results=results, protocol=results["protocol"], states=states, sections=sections(results),
        differences=differences(results),
        nets=list(dict.fromkeys(run["net"] for run in results["runs"] if run["net"])), runs=tables.runs(results),
        other_protocol=any(results["protocol"][name] != value for name, value in PUBLISHED_PROTOCOL.items()),
        fer2013=results["dataset"] == "fer2013", listed=listed, significant=tables.SIGNIFICANT,
        split_name=tables.split_name, **values,
    )  # fmt: skip


def listed(words: list[str]) -> str:
    """a, b and c."""
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]])) if words else "no net"


def sections(results: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """What the report shows of each net, by split; empty where no net is trained."""
    figures, emotions = tables.figures(results), tables.per_emotion(results)
    found: dict[str, list[dict[str, Any]]] = {}
    for split, net, share in dict.fromkeys((row["split"], row["net"], row["share"]) for row in results["scores"]):
        of_net = figures[(figures.net == net) & (figures["share"] == share)]
        rows = of_net[of_net.split == split]
        shown, votes = tables.shown_models(of_net), tables.ordered_votes(of_net).model
        chosen = [row for row in results["scores"]
                  if (row["net"], row["share"], row["split"], row["tta"]) == (net, share, split, NO_TTA)]  # fmt: skip
        scores = {row["model"]: row for row in chosen}
        plain = rows[rows.tta == NO_TTA].set_index("model").published_top1
        published = results["published"].get(net, {}) if plain.notna().any() else {}
        same = (emotions[["net", "share", "split", "tta", "vote"]] == [net, share, split, NO_TTA, ""]).all(axis=1)
        accuracies = emotions[same].drop(columns=["net", "share", "vote", "tta", "split"])
        confusion = next(iter(scores[shown[0]]["seeds"].values()))["confusion"]
        here = set(map(tables.published_name, scores.values()))
        found.setdefault(split, []).append({
            "net": net, "title": tables.part_title(net, share), "published": published,
            "absent": {name: values[0] for name, values in published.items() if name not in here},
            "chart": chart([(scores[name], plain[name]) for name in shown]),
            "figures": tables.figures_table(rows, shown),
            "votes": tables.figures_table(rows, list(votes)) if set(votes) - set(shown) else None,
            "vote_count": len(votes), "emotions": accuracies, "emotion_faces": [sum(line) for line in confusion],
            "baseline": next(iter(accuracies[accuracies.model == "baseline"].to_dict("records")), None),
        })  # fmt: skip
    return {split: found[split] for split in results["splits"] if split in found}


def differences(results: dict[str, Any]) -> dict[str, dict[str, pd.DataFrame]]:
    """The comparisons on all faces that nothing was chosen on, by net and share, then by family, as cells to show.

    Where some of these faces are in training, top-1 without them stands behind top-1 and its p, which is of all.
    """
    table = tables.comparisons(results)
    found: dict[str, dict[str, pd.DataFrame]] = {}
    shown = [(row["net"], row["share"], row["family"]) for row in results["comparisons"]]
    for net, share, family in dict.fromkeys(shown):
        rows, novel = (
            table[(table[["net", "share", "family", "on"]] == [net, share, family, where]).all(axis=1)]
            for where in (LAST_EPOCH, NOVEL_FACES)
        )
        cells = tables.comparison_cells(rows)
        if len(novel):
            top1 = FIGURES["top1"]
            place = list(cells.columns).index(top1) + 2
            cells.insert(place, f"{top1}, not in training", tables.difference_cells(novel)[top1].to_numpy())
        found.setdefault(tables.part_title(net, share), {})[family] = cells
    return found


def chart(models: list[tuple[dict[str, Any], float]]) -> dict[str, Any] | None:
    """Top-1 along an axis, in percent: of each scored model the seeds, their mean and the published figure (or NaN).

    `place` turns a figure into a percentage of the width. None where there is nothing to draw.
    """
    lines = []
    for row, published in models:
        seeds = {seed: 100 * one["top1"] for seed, one in row["seeds"].items() if not math.isnan(one["top1"])}
        mean = 100 * row["mean"]["top1"] if seeds else None
        mark = None if math.isnan(published) else published
        lines.append({"name": row["model"], "seeds": seeds, "mean": mean, "published": mark})
    points = [value for line in lines for value in (*line["seeds"].values(), line["published"]) if value is not None]
    if not points:
        return None
    room = max(MARGIN * (max(points) - min(points)), 0.5)
    low, high = min(points) - room, max(points) + room
    ticks = [tick for tick in MaxNLocator(6, steps=[1, 2, 5, 10]).tick_values(low, high) if low <= tick <= high]
    return {"lines": lines, "ticks": ticks, "place": lambda value: f"{100 * (value - low) / (high - low):.2f}%"}


def picture(entry: dict[str, str], plots: Path) -> dict[str, str]:
    """A picture's entry with its content as base64, or with the reason why there is none."""
    try:
        content = (plots / entry["file"]).read_bytes()
    except OSError:
        return {**entry, "problem": "no such picture"}
    problem = "" if content.startswith(PNG_START) else "not a PNG"
    return {**entry, "problem": problem, "content": base64.b64encode(content).decode()}
