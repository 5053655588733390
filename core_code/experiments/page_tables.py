"""The tables of the page: every figure beside its spread, its difference to the baseline, and what chance may do."""

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from core_code.core_utils.plots.palette import EMOTION_COLOURS
from core_code.experiments.page_chart import chart
from core_code.experiments.tables import SIGNIFICANT, TITLES

Scored = dict[str, Any]  # an entry of results["scores"]

NONE = "none"
SPLIT_NAMES = {"val": "val", "test": "test", "test_not_in_training": "test, not in training"}
SPLIT_WORDS = {
    "val": "The epoch of every net was chosen on these faces, which flatters all of them a little.",
    "test": "Nothing was chosen on these faces.",
    "test_not_in_training": "Those faces of test that do not also stand, pixel by pixel, in the training set.",
}
FER2013_NAMES = {"val": "PublicTest", "test": "PrivateTest", "test_not_in_training": "part of PrivateTest"}
PUBLISHED_PROTOCOL = {"weights": "imagenet", "epochs": 100, "image_size": 224}
PUBLISHED_VOTERS = {"baseline", "augmented", "expanded"}
STRONGEST = 10.0  # points of difference at which a cell has its full colour


def switch(results: dict[str, Any], splits: Sequence[str]) -> str:
    """Buttons to show one split alone; the script brings them to sight."""
    buttons = "".join(
        f'<button type="button" data-choose="{escape(split)}">{escape(SPLIT_NAMES.get(split, split))}</button>'
        for split in splits
    )
    return f'<div class="switch" role="group" aria-label="faces judged on" hidden>{buttons}</div>' if buttons else ""


def result_section(results: dict[str, Any], splits: Sequence[str]) -> str:
    """For each split a chart and a table of every net."""
    if not results["scores"]:
        return "<p>No net is trained yet.</p>"
    return "\n".join([*(split_results(results, split) for split in splits), how_to_read()])


def how_to_read() -> str:
    """What the columns mean, and what they do not."""
    return f"""<div class="notes">
<p>All figures but p in percent; ± is the standard deviation over the seeds. Top-2: the label is one of the two
likeliest. Mean per class: every emotion counts alike, however many faces it has. Calibration error: how far
confidence and accuracy lie apart; lower is better.</p>
<p>Difference: top-1 minus that of the baseline of the same net, seed and views, in points. p: McNemar's test of the
same two, face by face, for each seed; from {SIGNIFICANT} up the difference may be chance and is called not
significant. Of twenty comparisons between equals, about one falls below {SIGNIFICANT} all the same.</p>
</div>"""


def split_results(results: dict[str, Any], split: str) -> str:
    """One split's heading, charts and tables."""
    nets = dict.fromkeys(row["net"] for row in results["scores"] if row["split"] == split)
    parts = [heading(results, split), *(net_results(results, split, net) for net in nets)]
    if split == "test" and results["dataset"] != "sample" and results.get("best_published"):
        best = "; ".join(f"{name} {value:.2f}" for name, value in results["best_published"].items())
        words = f"Best published single networks without extra data, top-1 on PrivateTest: {best}."
        parts.append(f'<p class="notes">{escape(words)}</p>')
    return f'<div class="split" data-split="{escape(split)}">{"".join(parts)}</div>'


def heading(results: dict[str, Any], split: str) -> str:
    """The split's name, what it is, and how many faces it has."""
    other = f" ({FER2013_NAMES[split]})" if results["dataset"] == "fer2013" and split in FER2013_NAMES else ""
    words = f"{results['splits'][split]:,} faces. {SPLIT_WORDS.get(split, '')}"
    return f"<h3>{escape(SPLIT_NAMES.get(split, split) + other)}</h3><p class='notes'>{escape(words)}</p>"


def net_results(results: dict[str, Any], split: str, net: str) -> str:
    """A net's chart, the table of its experiments and best votes, and all votes folded up."""
    rows = [row for row in results["scores"] if (row["split"], row["net"]) == (split, net)]
    published = published_of(results, split, net)
    shown = shown_models(results, net)
    few = [row for name in shown for row in rows if row["model"] == name]
    plain = [row for row in few if row["tta"] == NONE]
    parts = [
        f"<h4>{escape(net)}</h4>",
        chart([(row, published.get(published_name(row), (None,))[0]) for row in plain]),
        figures_table(few, rows, published, f"{net} on {split}"),
        published_words(results, published, plain),
    ]
    votes = ordered_votes(results, net)
    if len(votes) > len([name for name in votes if name in shown]):
        every = [row for name in votes for row in rows if row["model"] == name]
        parts.append(
            f"<details><summary>All {len(votes)} votes, the best on val first</summary>"
            f"{figures_table(every, rows, {}, f'{net} on {split}, votes')}</details>"
        )
    return "".join(parts)


def ordered_votes(results: dict[str, Any], net: str) -> list[str]:
    """The names of a net's votes, the best on val first, so that nothing is chosen on test."""
    votes = {
        row["model"]: row["mean"]["top1"]
        for row in results["scores"]
        if (row["net"], row["split"], row["tta"]) == (net, "val", NONE) and row["vote"]
    }
    return sorted(votes, key=lambda name: -votes[name])


def shown_models(results: dict[str, Any], net: str) -> list[str]:
    """What is shown at once: the experiments, the published vote, and of each kind of vote the best on val."""
    rows = {row["model"]: row for row in results["scores"] if row["net"] == net}
    votes = ordered_votes(results, net)
    best = {rows[name]["vote"]: name for name in reversed(votes)}
    chosen = {name for name in votes if name in best.values() or published_name(rows[name]) == "vote"}
    return [name for name, row in rows.items() if not row["vote"]] + [name for name in votes if name in chosen]


def published_name(row: Scored) -> str:
    """Under which name the published study has the same model: the surest of its three had the vote there."""
    if not row["vote"]:
        return row["model"]
    return "vote" if row["vote"] == "surest" and set(row["members"]) == PUBLISHED_VOTERS else ""


def published_of(results: dict[str, Any], split: str, net: str) -> dict[str, Sequence[float | None]]:
    """The published top-1 and top-2 on the same faces by name: there are such on val alone, and of real faces."""
    return results["published"].get(net, {}) if split == "val" and results["dataset"] != "sample" else {}


def published_words(
    results: dict[str, Any], published: dict[str, Sequence[float | None]], rows: Iterable[Scored]
) -> str:
    """How the published figures came about, and those of models that are not here."""
    if not published:
        return ""
    words = "Published: ImageNet weights, 100 epochs, 224 px, on the same faces."
    protocol = results["protocol"]
    if any(protocol[name] != value for name, value in PUBLISHED_PROTOCOL.items()):
        words += " Here the protocol is a different one, and a gap between the two may come of that alone."
    here = {published_name(row) for row in rows}
    if lacking := [f"{name} {figures[0]:.2f}" for name, figures in published.items() if name not in here]:
        words += f" Published, but not here: {', '.join(lacking)}."
    return f'<p class="notes">{escape(words)}</p>'


def figures_table(
    shown: Iterable[Scored], rows: Sequence[Scored], published: dict[str, Sequence[float | None]], caption: str
) -> str:
    """The figures of some models, with test-time augmentation below their plain ones."""
    titles = list(TITLES.values())
    if published:
        titles = [titles[0], "published top-1", titles[1], "published top-2", *titles[2:]]
    titles += ["difference", "p (McNemar)"]
    lines = [figures_line(row, baseline_of(row, rows), published) for row in shown]
    return table("figures-table", ["model", *titles], lines, f"Figures: {caption}")


def table(kind: str, titles: Sequence[str], lines: Sequence[str], label: str) -> str:
    """A table (its class is `kind`) in a box of its own, which scrolls where the window is too narrow."""
    head = "".join(f'<th scope="col">{title}</th>' for title in titles)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(label)}"><table class="{kind}">'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )


def baseline_of(row: Scored, rows: Iterable[Scored]) -> Scored | None:
    """The baseline with the same views; None for the baseline itself, or where there is none."""
    found = (one for one in rows if (one["model"], one["tta"]) == ("baseline", row["tta"]))
    return None if row["model"] == "baseline" else next(found, None)


def figures_line(row: Scored, baseline: Scored | None, published: dict[str, Sequence[float | None]]) -> str:
    """A row of the table of figures."""
    plain = row["tta"] == NONE
    cells = [with_spread(row["mean"][figure], row["spread"][figure]) for figure in TITLES]
    if published:
        one, two = published.get(published_name(row), (None, None)) if plain else (None, None)
        cells = [
            cells[0],
            "" if one is None else f"{one:.2f}",
            cells[1],
            "" if two is None else f"{two:.2f}",
            *cells[2:],
        ]
    cells += [signed(difference(row, baseline)), significance(row)]
    body = "".join(f"<td>{cell}</td>" for cell in cells)
    return f'<tr class="{"plain" if plain else "tta"}"><th scope="row">{model_cell(row)}</th>{body}</tr>'


def model_cell(row: Scored) -> str:
    """The model's name, a vote's members below it; of the line below with test-time augmentation, the latter alone."""
    if row["tta"] != NONE:
        return f'<span class="unseen">{escape(row["model"])} </span>with {escape(row["tta"])}'
    if row["vote"]:
        return f"vote ({escape(row['vote'])})<small>{escape(', '.join(row['members']))}</small>"
    return escape(row["model"])


def with_spread(mean: float, spread: float | None) -> str:
    """A share in percent with its standard deviation over the seeds."""
    return percent(mean) + (f" <small>± {percent(spread)}</small>" if spread is not None else "")


def percent(share: float | None) -> str:
    """A share in percent, a dash for none."""
    return "–" if share is None or math.isnan(share) else f"{100 * share:.2f}"


def difference(row: Scored, baseline: Scored | None) -> float | None:
    """Top-1 minus the baseline's in points: the mean over the seeds that both have."""
    if baseline is None:
        return None
    pairs = [(one["top1"], baseline["seeds"][seed]["top1"]) for seed, one in row["seeds"].items()
             if seed in baseline["seeds"]]  # fmt: skip
    return 100 * statistics.fmean(ours - theirs for ours, theirs in pairs) if pairs else None


def signed(points: float | None, digits: int = 2) -> str:
    """Points with their sign, empty for none."""
    if points is None or math.isnan(points):
        return ""
    return f"{round(points, digits) + 0.0:+.{digits}f}".replace("-", "−")  # + 0.0: no minus before a zero


def significance(row: Scored) -> str:
    """p of each seed, and in words what it means."""
    tests = [seed["mcnemar"] for seed in row["seeds"].values() if seed["mcnemar"]]
    if not tests:
        return ""
    said = Counter(verdict(test) for test in tests)
    words = next(iter(said)) if len(said) == 1 else ", ".join(f"{word}: {count}" for word, count in said.items())
    ps = [p_value(test["p_value"]) for test in tests]
    shown = f"each {ps[0]}" if len(ps) > 1 and len(set(ps)) == 1 else " / ".join(ps)
    return f"{shown}<small>{escape(words)}</small>"


def p_value(p: float) -> str:
    """p in two digits, or that it is tiny."""
    return "&lt; 0.001" if p < 0.001 else f"{p:.2g}"


def verdict(test: dict[str, Any]) -> str:
    """What McNemar's test says of a model against the baseline."""
    if test["p_value"] >= SIGNIFICANT:
        return "not significant"
    return "better" if test["only_this"] > test["only_other"] else "worse"


def emotion_section(results: dict[str, Any], splits: Sequence[str]) -> str:
    """For each split, how many of each emotion's faces each experiment reads right."""
    if not results["scores"]:
        return "<p>No net is trained yet.</p>"
    words = (
        f"How many percent of an emotion's faces are read right, over all seeds, and the difference to the baseline "
        f"in points; the colour is full at {STRONGEST:.0f} points. These differences are not tested, and where an "
        f"emotion has few faces, a few of them make many points."
    )
    parts = [f'<p class="notes">{words}</p>']
    for split in splits:
        nets = dict.fromkeys(row["net"] for row in results["scores"] if row["split"] == split)
        tables = [f"<h4>{escape(net)}</h4>{emotion_table(results, split, net)}" for net in nets]
        parts.append(
            f'<div class="split" data-split="{escape(split)}"><h3>{escape(SPLIT_NAMES.get(split, split))}</h3>'
            f"{''.join(tables)}</div>"
        )
    return "\n".join(parts)


def emotion_table(results: dict[str, Any], split: str, net: str) -> str:
    """Experiments by emotions, shaded by the difference to the baseline."""
    rows = [
        row for row in results["scores"]
        if (row["split"], row["net"], row["tta"], row["vote"]) == (split, net, NONE, "")
    ]  # fmt: skip
    shares = {row["model"]: right_per_emotion(row) for row in rows}
    lines = []
    for name, each in shares.items():
        baseline = [None] * len(each) if name == "baseline" else shares.get("baseline", [None] * len(each))
        cells = "".join(emotion_cell(*pair) for pair in zip(each, baseline, strict=True))
        lines.append(f'<tr><th scope="row">{escape(name)}</th>{cells}</tr>')
    faces = [sum(line) for line in next(iter(rows[0]["seeds"].values()))["confusion"]]
    titles = [
        f'<span class="dot" style="background:{colour}"></span>{escape(emotion)}<small>{count:,} faces</small>'
        for emotion, colour, count in zip(results["emotions"], EMOTION_COLOURS, faces, strict=True)
    ]
    return table("emotions-table", ["model", *titles], lines, f"Right per emotion: {net} on {split}")


def right_per_emotion(row: Scored) -> list[float | None]:
    """The share of each emotion's faces that is read right, over all seeds; None where there are none."""
    shares = []
    for emotion in range(len(EMOTION_COLOURS)):
        lines = [seed["confusion"][emotion] for seed in row["seeds"].values()]
        faces = sum(map(sum, lines))
        shares.append(sum(line[emotion] for line in lines) / faces if faces else None)
    return shares


def emotion_cell(share: float | None, baseline: float | None) -> str:
    """A share, its difference to the baseline, and a colour as strong as that."""
    if share is None:
        return "<td>–</td>"
    said = f"{100 * share:.1f}"
    if baseline is None:
        return f"<td>{said}</td>"
    points = 100 * (share - baseline)
    strength = min(abs(points) / STRONGEST, 1)
    kind = "up" if points > 0 else "down"
    return f'<td class="{kind}" style="--strength:{strength:.2f}">{said} <small>{signed(points, 1)}</small></td>'
