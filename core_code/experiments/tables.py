"""A study in Markdown: its plan before it starts, and its results."""

import argparse
from collections.abc import Sequence
from typing import Any

from core_code.experiments.plan import Step
from core_code.experiments.presets import PRESETS
from core_code.experiments.results import FIGURES

SIGNIFICANT = 0.05
PUBLISHED_VOTERS = {"baseline", "augmented", "expanded"}
TITLES = {"top1": "top-1", "top2": "top-2", "mean_per_class": "mean per class", "macro_f1": "macro F1",
          "calibration_error": "calibration error"}  # fmt: skip
SPLITS = {
    "val": "val (PublicTest)",
    "test": "test (PrivateTest)",
    "test_not_in_training": "test faces that do not also stand in Training",
}


def as_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, its columns after the first set to the right."""
    lines = [" | ".join(titles), "|".join(["---", *["---:"] * (len(titles) - 1)]), *map(" | ".join, rows)]
    return "\n".join(f"| {line} |" if "---" not in line else f"|{line}|" for line in lines)


def plan_as_text(steps: Sequence[Step], seconds: dict[str, float], args: argparse.Namespace) -> str:
    """The steps with their commands and estimated times; a complete one is said to be skipped."""
    lines = [f"{args.preset}: {PRESETS[args.preset].what}", ""]
    for number, step in enumerate(steps, start=1):
        state = "complete, skipped" if step.complete else f"about {duration(seconds[step.name])}"
        lines += [f"{number:>3}. {step.name}: {state}", f"     {step.shown}"]
    total = sum(seconds.values()) / args.at_once
    beside = f", {args.at_once} at once" if args.at_once > 1 else ""
    return "\n".join([*lines, "", f"in all about {duration(total)}{beside}, and a few minutes for the evaluation", ""])


def duration(seconds: float) -> str:
    """Seconds in words that one can plan with."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"


def results_as_markdown(results: dict[str, Any]) -> str:
    """results.md: the figures on each split, the published ones beside them, and how each run went."""
    parts = [f"# Results: {results['dataset']}, preset {results['preset']}", protocol_in_words(results)]
    for split, faces in results["splits"].items():
        title = SPLITS.get(split, split) if results["dataset"] == "fer2013" else split
        parts += [f"## {title}: {faces} faces", figures_table(results, split)]
    parts += ["## Right per emotion", *emotion_tables(results)]
    if results["published"]:
        parts += ["## Beside the published figures", published_table(results)]
    parts += ["## The runs", runs_table(results), commands(results)]
    return "\n\n".join(parts) + "\n"


def protocol_in_words(results: dict[str, Any]) -> str:
    """What was trained, and how to read the tables."""
    protocol = results["protocol"]
    seen = f"{protocol['epochs']} epochs"
    if protocol["equal_faces"]:
        seen = (
            f"as many faces as {seen} of the real training set have, where a face and its augmentation, in BYOL's "
            f"pre-training, are two"
        )
    experiments = "\n".join(f"- **{name}**: {what}" for name, what in results["experiments"].items())
    return (
        f"{protocol['training_faces']} training faces; views of {protocol['image_size']} px; "
        f"weights at the start: {protocol['weights']}; every run sees {seen}. "
        f"{protocol['num_augments']} augmentations a face. BYOL: {protocol['byol_epochs']} epochs at "
        f"{protocol['byol_image_size']} px. Seeds: {', '.join(map(str, protocol['seeds']))}.\n\n{experiments}\n\n"
        f"Judged is the epoch that is best on val. Shares in percent, with several seeds their mean ± standard "
        f"deviation. p: McNemar's test against the baseline of the same seed and views, face by face; from "
        f"{SIGNIFICANT} up a difference may be chance."
    )


def figures_table(results: dict[str, Any], split: str) -> str:
    """Every net, model and kind of view on one split; of the votes of each kind the one that is best on val."""
    rows = []
    for row in shown_scores(results, split):
        name = row["model"] + (f", {row['tta']}" if row["tta"] != "none" else "")
        figures = [share(row["mean"][figure], row["spread"][figure]) for figure in FIGURES]
        rows.append([row["net"], name, *figures, p_values(row)])
    return as_table(["net", "model", *TITLES.values(), "p (McNemar)"], rows)


def shown_scores(results: dict[str, Any], split: str) -> list[dict[str, Any]]:
    """The scores on a split, without the votes that are not the best of their kind on val."""
    best: dict[tuple[str, str, str], tuple[float, str]] = {}
    for row in results["scores"]:
        if row["vote"] and row["split"] == "val":
            kind = (row["net"], row["tta"], row["vote"])
            best[kind] = max(best.get(kind, (-1.0, "")), (row["mean"]["top1"], row["model"]))
    return [
        row for row in results["scores"]
        if row["split"] == split
        and (not row["vote"] or best[row["net"], row["tta"], row["vote"]][1] == row["model"])
    ]  # fmt: skip


def share(mean: float, spread: float | None) -> str:
    """A share in percent, with its standard deviation over the seeds where there is one."""
    return f"{100 * mean:.2f}" + (f" ± {100 * spread:.2f}" if spread is not None else "")


def p_values(row: dict[str, Any]) -> str:
    """p of each seed; marked where the difference may be chance."""
    found = [seed["mcnemar"]["p_value"] for seed in row["seeds"].values() if seed["mcnemar"]]
    if not found:
        return ""
    said = " / ".join(f"{p:.2g}" for p in found)
    return said if max(found) < SIGNIFICANT else f"{said} (not significant)"


def emotion_tables(results: dict[str, Any]) -> list[str]:
    """For val and test, how many percent of each emotion's faces each experiment reads right; mean over seeds."""
    tables = []
    for split in ("val", "test"):
        rows = [
            [row["net"], row["model"], *(f"{100 * right:.1f}" for right in right_per_emotion(row))]
            for row in results["scores"]
            if row["split"] == split and row["tta"] == "none" and not row["vote"]
        ]
        tables.append(as_table(["net", f"on {split}", *results["emotions"]], rows))
    return tables


def right_per_emotion(row: dict[str, Any]) -> list[float]:
    """The share of each emotion's faces that is read right, over all seeds; 0 where there are none."""
    confusions = [seed["confusion"] for seed in row["seeds"].values()]
    right, faces = ([0] * len(confusions[0]) for _ in range(2))
    for confusion in confusions:
        for emotion, line in enumerate(confusion):
            right[emotion] += line[emotion]
            faces[emotion] += sum(line)
    return [one / max(count, 1) for one, count in zip(right, faces, strict=True)]


def published_table(results: dict[str, Any]) -> str:
    """Ours on val beside what was published on the same faces; the vote is that of the same three."""
    ours = {
        (row["net"], "vote" if row["vote"] else row["model"]): row
        for row in results["scores"]
        if row["split"] == "val" and row["tta"] == "none"
        and (not row["vote"] or (row["vote"] == "surest" and set(row["members"]) == PUBLISHED_VOTERS))
    }  # fmt: skip
    rows = []
    for net, published in results["published"].items():
        for name, (top1, top2) in published.items():
            row = ours.get((net, name))
            found = (
                [share(row["mean"][figure], row["spread"][figure]) for figure in ("top1", "top2")] if row else ["", ""]
            )
            rows.append([net, name, found[0], f"{top1:.2f}", found[1], f"{top2:.2f}" if top2 else ""])
    table = as_table(["net", "on val", "top-1", "published", "top-2", "published"], rows)
    best = "; ".join(f"{name} {value:.2f}" for name, value in results["best_published"].items())
    return (
        f"{table}\n\nPublished: ImageNet weights, 100 epochs, 224 px. The best published single networks without extra "
        f"data, top-1 on PrivateTest: {best}."
    )


def runs_table(results: dict[str, Any]) -> str:
    """How each step went."""
    rows = []
    for run in results["runs"]:
        rate = f"{run['faces_per_second']}" if run.get("faces_per_second") else ""
        took = duration(run["seconds"]) if run["seconds"] is not None else ""
        state = run["state"] + (f": {run['error']}" if run["error"] else "")
        rows.append([run["name"], state.replace("|", "/"), took, rate, str(run.get("best_epoch", "")), run["hardware"]])
    return as_table(["step", "state", "time", "faces/s", "best epoch", "hardware"], rows)


def commands(results: dict[str, Any]) -> str:
    """The exact command of each step."""
    return "```\n" + "\n".join(run["command"] for run in results["runs"]) + "\n```"
