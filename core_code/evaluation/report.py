"""What core_code.evaluate tells: the figures of every model on every split, as Markdown, as JSON and as pictures."""

import argparse
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from core_code.core_utils.emotions import EMOTIONS
from core_code.core_utils.files import write_json
from core_code.core_utils.metrics.calibration import reliability
from core_code.core_utils.metrics.scores import Scores, as_table, mean_vote, most_wrong, score, surest_vote
from core_code.core_utils.metrics.significance import McNemar, mcnemar
from core_code.core_utils.plots.evaluation import plot_most_wrong, plot_reliability
from core_code.core_utils.plots.training import plot_confusion_matrix

SUREST, MEAN = "vote (surest)", "vote (mean of softmaxes)"
FILE_NAMES = {SUREST: "vote_surest", MEAN: "vote_mean"}


class Predictions(NamedTuple):
    """What the nets say of one split: faces uint8 [N,48,48], labels int64 [N], logits float32 [N,7] by experiment.

    `tta` holds the logits with test-time augmentation, by experiment; it is empty without.
    """

    faces: Tensor
    labels: Tensor
    logits: dict[str, Tensor]
    tta: dict[str, Tensor]

    def of(self, chosen: Tensor) -> "Predictions":
        """The readings of some of the faces: bool [N]."""
        logits, tta = ({name: values[chosen] for name, values in some.items()} for some in (self.logits, self.tta))
        return Predictions(self.faces[chosen], self.labels[chosen], logits, tta)


class Row(NamedTuple):
    """The figures of one model, or of a vote, on one split; `mcnemar` compares it with the first model."""

    scores: Scores
    mcnemar: McNemar | None


Report = dict[str, dict[str, Row]]  # by split, then by model


def with_votes(logits: dict[str, Tensor]) -> dict[str, Tensor]:
    """The logits of each experiment and, where there are several, of their votes: float [N,7] each."""
    if len(logits) < 2:
        return logits
    one_by_one = list(logits.values())
    return {**logits, SUREST: surest_vote(one_by_one), MEAN: mean_vote(one_by_one)}


def rows_of(logits: dict[str, Tensor], labels: Tensor) -> dict[str, Row]:
    """The figures of each model; all but the first are compared with the first."""
    right = {name: values.argmax(1) == labels for name, values in logits.items()}
    first = next(iter(right.values()))
    return {
        name: Row(score(values, labels), None if right[name] is first else mcnemar(right[name], first))
        for name, values in logits.items()
    }


def report_of(readings: dict[str, Predictions], tta: str) -> Report:
    """The figures of the experiments and of their votes by split; beside them those with test-time augmentation."""
    report = {}
    for split, read in readings.items():
        augmented = {f"{name}, {tta}": logits for name, logits in with_votes(read.tta).items()}
        report[split] = rows_of({**with_votes(read.logits), **augmented}, read.labels)
    return report


def as_text(report: Report, plain: list[str]) -> str:
    """A Markdown table for each split and, for val and test, the confusion matrices of the models in `plain`."""
    lines = []
    for split, rows in report.items():
        lines += ["", *markdown(split, rows)]
    for split in ("val", "test"):
        for name in plain:
            lines.append(f"\n{name} on {split}: rows are the true emotions")
            lines.append(as_table(report[split][name].scores.confusion, EMOTIONS))
    return "\n".join(lines)


def markdown(split: str, rows: dict[str, Row]) -> list[str]:
    """The lines of a Markdown table: shares in percent, and p of McNemar's test against the first row."""
    first, faces = next((name, row.scores.faces) for name, row in rows.items())
    titles = [f"{split} ({faces} faces)", "top-1", "top-2", "mean per class", "macro F1", "calibration error"]
    cells = [[name, *(f"{100 * share:.2f}" for share in row.scores[: len(titles) - 1])] for name, row in rows.items()]
    if len(rows) > 1:
        titles.append(f"p (McNemar, against {first})")
        for line, row in zip(cells, rows.values(), strict=True):
            line.append(f"{row.mcnemar.p_value:.2g}" if row.mcnemar else "")
    widths = [max(len(line[column]) for line in [titles, *cells]) for column in range(len(titles))]
    lines = [
        "| " + " | ".join(f"{cell:{'>' if i else '<'}{widths[i]}}" for i, cell in enumerate(line)) + " |"
        for line in [titles, *cells]
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 1) + ("-:"[i > 0]) for i, width in enumerate(widths)) + "|")
    return lines


def as_json(report: Report, args: argparse.Namespace, maps: dict[str, Any]) -> dict[str, Any]:
    """The figures as plain values, those of the t-SNE `maps` by experiment among them."""
    return {
        "net": args.net_name,
        "experiments": args.exp_names,
        "checkpoint": args.checkpoint,
        "dataset": args.dataset,
        "tta": args.tta,
        "emotions": EMOTIONS,
        "compared_with": args.exp_names[0],
        "splits": {
            split: {
                name: {**row.scores._asdict(), "mcnemar": row.mcnemar and row.mcnemar._asdict()}
                for name, row in rows.items()
            }
            for split, rows in report.items()
        },
        **({"tsne": {"on": args.tsne_on, "experiments": maps}} if maps else {}),
    }


def write_report(
    report: Report, readings: dict[str, Predictions], plain: list[str], args: argparse.Namespace, maps: dict[str, Any]
) -> list[Path]:
    """plots_output/evaluation_<net>.json and the pictures; returns the paths, the JSON's first.

    `plain` names the models without test-time augmentation; `maps` is what features_picture.py found, if anything.
    """
    pictures = [
        *confusion_pictures(report, plain, args),
        *reliability_pictures(readings, args),
        *most_wrong_pictures(readings["val"], args),
    ]
    path = args.output_root / "plots_output" / f"evaluation_{args.net_name}.json"
    write_json(path, as_json(report, args, maps))
    return [path, *pictures]


def confusion_pictures(report: Report, plain: list[str], args: argparse.Namespace) -> list[Path]:
    """confusion_matrix_<net>_<exp>_<split>.png of every experiment and vote on val and test."""
    paths = []
    for split in ("val", "test"):
        for name in plain:
            scores = report[split][name].scores
            path = picture(args, "confusion_matrix", f"{FILE_NAMES.get(name, name)}_{split}")
            title = f"{args.net_name}, {name}: {split}, {scores.faces} faces, top-1 {100 * scores.top1:.2f} %"
            paths.append(plot_confusion_matrix(scores.confusion, EMOTIONS, path, title))
    return paths


def reliability_pictures(readings: dict[str, Predictions], args: argparse.Namespace) -> list[Path]:
    """reliability_<net>_<exp>.png of every experiment, val beside test."""
    paths = []
    for name in args.exp_names:
        bins = {split: reliability(readings[split].logits[name], readings[split].labels) for split in ("val", "test")}
        title = f"{args.net_name}, {name}: is it right as often as it says?"
        paths.append(plot_reliability(bins, picture(args, "reliability", name), title))
    return paths


def most_wrong_pictures(read: Predictions, args: argparse.Namespace) -> list[Path]:
    """most_wrong_<net>_<exp>.png of every experiment: on val, so that nobody looks at test to mend a model."""
    paths = []
    for name in args.exp_names:
        logits = read.logits[name]
        worst = most_wrong(logits, read.labels, args.most_wrong)
        confidences, predictions = logits[worst].double().softmax(1).amax(1), logits[worst].argmax(1)
        title = f"{args.net_name}, {name}: read most wrongly on val (above: the label, below: the reading)"
        columns = (values.numpy() for values in (read.faces[worst], read.labels[worst], predictions, confidences))
        paths.append(plot_most_wrong(*columns, EMOTIONS, picture(args, "most_wrong", name), title))
    return paths


def picture(args: argparse.Namespace, kind: str, name: str) -> Path:
    """Where a picture lies: plots_output/<kind>_<net>_<name>.png."""
    return args.output_root / "plots_output" / f"{kind}_{args.net_name}_{name}.png"
