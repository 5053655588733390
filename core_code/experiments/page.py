"""A study as one HTML page that needs nothing beside it: style, script and pictures lie within.

The browser is told to fetch nothing and to run no script but this page's own; without any script all is still shown.
"""

import base64
import hashlib
from collections import Counter
from html import escape
from pathlib import Path
from typing import Any

from core_code.experiments.page_tables import SPLIT_NAMES, emotion_section, result_section, switch
from core_code.experiments.tables import duration

HERE = Path(__file__).parent
PNG_START = b"\x89PNG\r\n\x1a\n"
WEIGHTS = {"imagenet": "ImageNet weights", "none": "random weights"}
SAMPLE = (
    "The faces of the data set “sample” are drawn by a model and are nobody's: figures on them show that all works, "
    "not how well real faces are read."
)
KINDS = {  # of pictures: title, how to read them
    "distribution": (
        "Faces per emotion",
        "How many training faces each emotion has, before and after the expansion: the nearer the bars are to each "
        "other, the better balanced is the set.",
    ),
    "augmentations": (
        "Augmentations",
        "A column for each emotion: above the original, below it the same person at points near the emotion. The "
        "expression should stay readable as the column's emotion, and the person the same.",
    ),
    "expansion": (
        "Expansion",
        "A row for each face: the original, and the same person with each of the other six emotions, which become "
        "labelled training images. Where an expression does not match its column, the label is wrong.",
    ),
    "curves": (
        "Training and validation accuracy",
        "Training accuracy far above validation accuracy means that faces were learned by heart. The marked epoch is "
        "the one that the figures above are of.",
    ),
    "byol": (
        "BYOL pre-training",
        "Above, the loss: −1 where both views of a face are told alike. Below, how far the representation is "
        "spread over faces: at 0 it has collapsed and tells nothing.",
    ),
    "confusion": (
        "Confusion matrices",
        "A row for each true emotion, a column for each reading; the shares of a row add up to 100\u00a0%. What lies "
        "off the diagonal is read wrongly.",
    ),
    "reliability": (
        "Reliability",
        "Bars: how often a net is right when it is that sure. Bars below the diagonal mean that it is surer than "
        "right; the mean distance, weighed by faces, is the calibration error.",
    ),
    "tsne": (
        "Maps of the features (t-SNE)",
        "Each point is a face, in the colour of its label; faces with like features lie near each other. Distances "
        "between far groups mean little. The silhouette in the title is 1 for tight groups far apart, 0 for mixed.",
    ),
    "most_wrong": (
        "Most wrong on val",
        "The faces that a net misreads most surely: the label above, the reading below. Some of the labels themselves "
        "are doubtful.",
    ),
}  # fmt: skip


def as_page(results: dict[str, Any], plots: Path) -> str:
    """The whole document. `results` is what results.json holds, or what it was made of (the seeds' keys may be
    numbers or strings); the pictures named there are read from the folder `plots`, and a missing one is said to be so.
    """
    style, script = ((HERE / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    splits = list(results["splits"])
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>{escape(title(results))}</title>
<style>
{style}</style>
</head>
<body>
<header>
{header(results)}
</header>
<main>
<section id="results">
<h2>Results</h2>
{switch(results, splits)}
{result_section(results, splits)}
</section>
<section id="emotions">
<h2>Right per emotion</h2>
{switch(results, splits)}
{emotion_section(results, splits)}
</section>
<section id="runs">
<h2>Runs</h2>
{runs(results)}
</section>
<section id="pictures">
<h2>Pictures</h2>
{pictures(results.get("pictures", []), plots)}
</section>
</main>
<script>{script}</script>
</body>
</html>
"""


def title(results: dict[str, Any]) -> str:
    """What the page is called."""
    return f"Emotions read from faces: {listed(nets_of(results))} on {results['dataset']}"


def nets_of(results: dict[str, Any]) -> list[str]:
    """The nets of the study, trained or not."""
    return list(dict.fromkeys(run["net"] for run in results["runs"] if run["net"]))


def listed(words: list[str]) -> str:
    """a, b and c."""
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]])) if words else "no net"


def header(results: dict[str, Any]) -> str:
    """What was compared, how, and on what machine."""
    parts = [f"<h1>{escape(title(results))}</h1>", f'<p class="lead">{escape(in_one_sentence(results))}</p>']
    if results["dataset"] == "sample":
        parts.append(f'<p class="notice">{SAMPLE}</p>')
    if unfinished := what_is_lacking(results):
        parts.append(f'<p class="notice">{escape(unfinished)}</p>')
    facts = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts_of(results))
    ways = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(what)}</dd></div>" for name, what in results["experiments"].items()
    )
    anchors = (("results", "Results"), ("emotions", "Per emotion"), ("runs", "Runs"), ("pictures", "Pictures"))
    links = "".join(f'<a href="#{anchor}">{name}</a>' for anchor, name in anchors)
    return "\n".join(
        [*parts, f'<dl class="facts">{facts}</dl>', f'<dl class="ways">{ways}</dl>', f"<nav>{links}</nav>"]
    )


def in_one_sentence(results: dict[str, Any]) -> str:
    """What was compared, with no more said than was done."""
    protocol, seeds = results["protocol"], results["protocol"]["seeds"]
    ways = listed(list(results["experiments"]))
    weights = WEIGHTS.get(protocol["weights"], f"the weights {protocol['weights']}")
    if len(seeds) > 1:
        said = f"Each was trained with {len(seeds)} seeds: figures are means ± standard deviation."
    else:
        said = "Each was trained once: how far a figure moves from seed to seed is not known here."
    seen = " of the real faces, whatever they trained on" if protocol["equal_faces"] else ""
    nets = nets_of(results)
    return (
        f"{listed(nets)}, started from {weights}, {'was' if len(nets) == 1 else 'were'} trained "
        f"on {results['dataset']} in {len(results['experiments'])} ways ({ways}) at {protocol['image_size']} px for "
        f"{protocol['epochs']} epochs{seen}. {said}"
    )


def facts_of(results: dict[str, Any]) -> list[tuple[str, str]]:
    """The protocol, as names and values."""
    protocol = results["protocol"]
    sizes = "; ".join(f"{SPLIT_NAMES.get(name, name)}: {count:,}" for name, count in results["splits"].items())
    epochs = f"{protocol['epochs']}" + (", counted in real faces whatever a run trains on" * protocol["equal_faces"])
    facts = [
        ("data set", results["dataset"]),
        ("faces judged", sizes or "none yet"),
        ("preset", results["preset"]),
        ("views", f"{protocol['image_size']} px"),
        ("weights at the start", WEIGHTS.get(protocol["weights"], protocol["weights"])),
        ("epochs", epochs),
        ("faces seen in a run", faces_of_runs(results)),
        ("augmentations a face", f"{protocol['num_augments']}"),
        ("seeds", ", ".join(map(str, protocol["seeds"]))),
    ]
    if "byol" in results["experiments"]:
        facts.append(("BYOL", f"{protocol['byol_epochs']} epochs at {protocol['byol_image_size']} px"))
    hardware = dict.fromkeys(run["hardware"] for run in results["runs"] if run["hardware"])
    return [*facts, ("hardware", "; ".join(hardware) or "not recorded")]


def faces_of_runs(results: dict[str, Any]) -> str:
    """How many faces the complete trainings have seen, with the experiments where they differ."""
    seen: dict[int, dict[str, None]] = {}
    for run in results["runs"]:
        if run["kind"] == "training" and run.get("faces"):
            seen.setdefault(run["faces"], {})[run["experiment"]] = None
    if len(seen) == 1:
        return f"{next(iter(seen)):,}"
    return "; ".join(f"{faces:,} ({', '.join(names)})" for faces, names in seen.items()) or "none is complete"


def what_is_lacking(results: dict[str, Any]) -> str:
    """How many steps have failed or were not run; empty when all are complete."""
    states = Counter(run["state"] for run in results["runs"])
    total = sum(states.values())
    lacking = [f"{count} {state}" for state, count in states.items() if state != "complete"]
    if not lacking:
        return ""
    return f"{states['complete']} of {total} steps are complete, {listed(lacking)}: what they would tell is not here."


def runs(results: dict[str, Any]) -> str:
    """A line for each step, with its command folded up below it; a failed one is open."""
    return "\n".join(['<div class="runs">', *map(run_item, results["runs"]), "</div>"])


def run_item(run: dict[str, Any]) -> str:
    """A step: its state and figures in a line; its error, command and hardware."""
    facts = [
        duration(run["seconds"]) if run["seconds"] is not None else "",
        f"{run['faces_per_second']:,} faces/s" if run.get("faces_per_second") else "",
        f"best epoch {run['best_epoch']}" if run.get("best_epoch") else "",
    ]
    shown = "".join(f"<span>{escape(fact)}</span>" for fact in facts)
    error = f'<p class="error">{escape(run["error"])}</p>' if run["error"] else ""
    hardware = f'<p class="notes">{escape(run["hardware"])}</p>' if run["hardware"] else ""
    state = escape(run["state"])
    return (
        f'<details class="run"{" open" if run["state"] == "failed" else ""}>'
        f'<summary><b>{escape(run["name"])}</b><span class="state {state}">{state}</span>{shown}</summary>{error}'
        f'<div class="command"><pre><code>{escape(run["command"])}</code></pre>'
        f'<button type="button" class="copy" hidden>copy</button></div>{hardware}</details>'
    )


def pictures(entries: list[dict[str, str]], plots: Path) -> str:
    """All pictures, by kind, in the order of KINDS; kinds unknown here come last, without an explanation."""
    if not entries:
        return "<p>There are no pictures yet.</p>"
    kinds = [*KINDS, *dict.fromkeys(entry["kind"] for entry in entries if entry["kind"] not in KINDS)]
    parts = []
    for kind in kinds:
        figures = [figure(entry, plots) for entry in entries if entry["kind"] == kind]
        if figures:
            name, how_to_read = KINDS.get(kind, (kind, ""))
            parts.append(
                f'<details open class="kind {escape(kind)}"><summary><h3>{escape(name)}</h3></summary>'
                f"<p>{escape(how_to_read)}</p><div class='figures'>{''.join(figures)}</div></details>"
            )
    return "\n".join(parts)


def figure(entry: dict[str, str], plots: Path) -> str:
    """A picture with its caption, or a line that says why there is none."""
    words = " ".join(filter(None, [entry["net"], entry["experiment"]]))
    try:
        data = (plots / entry["file"]).read_bytes()
    except OSError:
        return f'<p class="absent">{escape(entry["file"])}: there is no such picture</p>'
    if not data.startswith(PNG_START):
        return f'<p class="absent">{escape(entry["file"])}: not a PNG</p>'
    source = base64.b64encode(data).decode()
    alt = ": ".join(filter(None, [KINDS.get(entry["kind"], (entry["kind"],))[0], words]))
    caption = f"<figcaption>{escape(words)}</figcaption>" if words else ""
    return f'<figure><img src="data:image/png;base64,{source}" alt="{escape(alt)}">{caption}</figure>'
