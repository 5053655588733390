"""The figures as tables: for the terminal, for a generator's card, and beside those of other generators."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from core_code.core_utils.emotions import EMOTIONS
from core_code.core_utils.errors import InputError
from core_code.core_utils.files import atomic_write, read_json, write_json
from core_code.core_utils.tables import as_markdown
from EmotionGAN.measure.exaggeration import exaggeration_table

Report = dict[str, Any]


class Aim(NamedTuple):
    """A value of a figure (`value`: mean, worst, or share for the edits' accuracy over the real faces') between low and
    high."""

    text: str
    figure: str
    value: str
    low: float | None = None
    high: float | None = None


AIMS = (
    Aim("target at the centre, mean", "target_at_the_centre", "mean", low=0.80),
    Aim("target at the centre, worst emotion", "target_at_the_centre", "worst", low=0.60),
    Aim("target 0.15 off the centre, mean", "target_off_the_centre", "mean", low=0.70),
    Aim("augmentations: L1 to the original", "l1_to_original", "overall", low=8, high=14),
    Aim("augmentations: L1 to each other", "l1_to_each_other", "overall", low=5, high=10),
    Aim("CAS, share of real faces' accuracy", "cas", "share", low=0.80),
    Aim("face still found by dlib, worst emotion", "found", "worst", low=0.95),
    Aim("nearest original is its own, worst emotion", "identity_own", "worst", low=0.95),
    Aim("Frechet, times the real halves', worst emotion", "frechet_ratio", "worst", high=2.0),
)


def aim_value(report: Report, aim: Aim) -> float | None:
    """What was measured of an aim; None where it was not."""
    figure = report["figures"].get(aim.figure)
    if not figure:
        return None
    if aim.value == "share":
        edits, real = figure["edits"]["all"]["overall"], figure["real"]["all"]["overall"]
        return edits / real if edits is not None and real else None
    return figure["edits"]["all"][aim.value]


def aims_table(reports: Sequence[Report]) -> str:
    """The aims, what was measured of each generator, and whether the last one reaches them."""
    names = columns_of(reports) if len(reports) > 1 else ["measured"]
    rows = []
    for aim in AIMS:
        value = aim_value(reports[-1], aim)
        if value is None:
            continue
        percent = aim.value == "share" or any(
            report["figures"].get(aim.figure, {}).get("percent", False) for report in reports
        )
        reached = (aim.low is None or value >= aim.low) and (aim.high is None or value <= aim.high)
        cells = [measured(report, aim, percent) for report in reports]
        rows.append(
            {"aim": f"{aim.text}: {wanted(aim, percent)}", **dict(zip(names, cells, strict=True)),
             "reached": "yes" if reached else "no"}
        )  # fmt: skip
    return as_markdown(pd.DataFrame(rows, columns=["aim", *names, "reached"]))


def measured(report: Report, aim: Aim, percent: bool) -> str:
    """What was measured of an aim, with the emotion that is the worst."""
    text, figure = shown(aim_value(report, aim), percent), report["figures"].get(aim.figure)
    return f"{text} ({figure['edits']['all']['worst_emotion']})" if figure and aim.value == "worst" else text


def wanted(aim: Aim, percent: bool) -> str:
    """What an aim asks for, in words."""
    if aim.low is not None and aim.high is not None:
        return f"{shown(aim.low, percent)} to {shown(aim.high, percent)}"
    return f"at least {shown(aim.low, percent)}" if aim.low is not None else f"at most {shown(aim.high, percent)}"


def shown(value: float | None, percent: bool) -> str:
    """A value as it stands in a table; "-" where there is none."""
    if value is None:
        return "-"
    if percent:
        return f"{100 * value:.1f} %"
    return f"{value:#.3g}" if abs(value) < 100 else f"{value:.0f}"


def figures_table(report: Report, group: str = "all") -> str:
    """A row for each figure of edits, and for that of real faces where there is one: each emotion, their mean, and the
    value over all faces."""
    rows = []
    for figure in report["figures"].values():
        for of in ("edits", "real"):
            summary = (figure[of] or {}).get(group)
            if not summary:
                continue
            title = figure["title"] if of == "edits" else "— real faces"
            values = {**summary["emotions"], "mean": summary["mean"], "all faces": summary["overall"]}
            rows.append({"figure": title, **{name: shown(value, figure["percent"]) for name, value in values.items()}})
    return as_markdown(pd.DataFrame(rows, columns=["figure", *EMOTIONS, "mean", "all faces"]))


def comparison_table(reports: Sequence[Report]) -> str:
    """A column for each generator, by the order of the reports: the mean over the emotions and the worst one, of each
    figure that any of them has; in the last column the mean of real faces."""
    figures: dict[str, Mapping[str, Any]] = {}
    for report in reports:
        figures = {**report["figures"], **figures}
    rows = []
    for key, figure in figures.items():
        real = (figure["real"] or {}).get("all", {}).get("mean")
        row = {"figure: mean over the emotions (worst one)": figure["title"]}
        for name, report in zip(columns_of(reports), reports, strict=True):
            found = report["figures"].get(key)
            summary = found["edits"]["all"] if found else {"mean": None}
            row[name] = shown(summary["mean"], figure["percent"])
            if summary["mean"] is not None:
                row[name] += f" ({summary['worst_emotion']} {shown(summary['worst'], figure['percent'])})"
        rows.append({**row, "real faces": shown(real, figure["percent"])})
    return as_markdown(pd.DataFrame(rows))


def columns_of(reports: Sequence[Report]) -> list[str]:
    """The generators' names, numbered."""
    return numbered([str(report["generator"]) for report in reports])


def numbered(names: Sequence[str]) -> list[str]:
    """The names; where two are equal, with a number."""
    return [f"{name} ({names[: index + 1].count(name)})" if names.count(name) > 1 else name
            for index, name in enumerate(names)]  # fmt: skip


def read_report(path: Path) -> Report:
    """The JSON of an earlier measurement. Raises InputError for another file, also of an earlier version's."""
    report = read_json(path)
    try:  # all that the tables take of it
        for aim in AIMS:
            measured(report, aim, percent=True)
        comparison_table([report])
        texts = [report["generator"], *(figure["title"] for figure in report["figures"].values())]
        if not all(isinstance(text, str) for text in texts):
            raise TypeError("another type")
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise InputError(f"{path}: not the figures of python -m EmotionGAN.measure; measure that generator anew, "
                         "and give its generator_quality_….json") from error  # fmt: skip
    return report


def card_text(report: Report, earlier: Sequence[Report] = ()) -> str:
    """The whole report as Markdown, for a generator's card, beside what was measured of other generators."""
    counts = ", ".join(f"{count:,} {group}" for group, count in report["faces"].items())
    parts = [
        f"`{report['command']}`, {report['date']}, {report['hardware']}; {report['data']}: faces {counts}; judges "
        f"{', '.join(report['judges'])}.",
        aims_table([*earlier, report]),
        *([comparison_table([*earlier, report])] if earlier else []),
        *(f"**{group} faces**\n\n{figures_table(report, group)}" for group, count in report["faces"].items() if count),
    ]
    if report["change"]:
        change = report["change"]
        parts.append(
            f"Edits to other emotions change {change['change']:.3f} (L1 of the 0..1 range), SSIM "
            f"{change['similarity']:.3f}; {change['cycle_change']:.3f} is left after editing back."
        )
    if report["exaggeration"]:
        parts.append(exaggeration_table(report["exaggeration"]))
    return "\n\n".join([*parts, *report["notes"]])


def write_report(stem: Path, report: Report, earlier: Sequence[Report]) -> None:
    """Write <stem>.json and the card's text <stem>.md; print the text."""
    text = card_text(report, earlier)
    write_json(stem.with_name(f"{stem.name}.json"), report)
    path = stem.with_name(f"{stem.name}.md")
    atomic_write(path, lambda file: file.write(f"{text}\n".encode()))
    print(f"{text}\n\nfigures: {path}, {stem.name}.json")
