"""The figures of benchmarks/run.py as Markdown."""

from typing import Any

Rows = dict[str, dict[str, Any]]

# What was aimed at on two cores with matrix units for bfloat16.
AIMED_AT = {
    "first load of the CSV": "5 s, 1,200 MB, 90 MB",
    "later loads": "0.3 s, 100 MB",
    "first start": "20 s",
    "later start": "1 s",
    "ganmut_128": "50",
    "resnet18_224": "45",
    "densenet201_224": "8",
}
SPEEDS = {  # row: what, and the items that are counted
    "ganmut_128": ("augmentations, GANmut's generator, 128 px", "images"),
    "shipped_48": ("augmentations, the shipped generator, 48 px", "images"),
    "resnet18_64": ("training ResNet18, 64 px, batch {batch_size}", "faces"),
    "resnet18_224": ("training ResNet18, 224 px, batch {batch_size}", "faces"),
    "densenet201_64": ("training DenseNet201, 64 px, batch {batch_size}", "faces"),
    "densenet201_224": ("training DenseNet201, 224 px, batch {batch_size}", "faces"),
    "byol_64": ("BYOL, ResNet18, 64 px, batch {batch_size}", "faces"),
    "byol_224": ("BYOL, ResNet18, 224 px, batch {batch_size}", "faces"),
    "evaluate_64": ("evaluation, ResNet18, 64 px", "faces"),
    "evaluate_224": ("evaluation, ResNet18, 224 px", "faces"),
}
HEAD = "| what | aimed at | this | the plain way, same run | ratio | peak memory, this / plain |"


def as_markdown(results: dict[str, Any]) -> str:
    """All tables, headed by the hardware."""
    rows = results["rows"]
    lines = [f"{results['hardware']}, {results['dataset']}", "", HEAD, "|---" * HEAD.count(" |") + "|"]
    lines += load_lines(rows) + store_lines(rows) + speed_lines(rows)
    return "\n".join(lines + fixed_lines(rows) + growth_lines(rows)) + "\n"


def line(what: str, aimed_at: str, ours: str, plain: str, ratio: float, memory: str = "") -> str:
    """A line of the first table."""
    return f"| {what} | {aimed_at} | {ours} | {plain} | {ratio:,.1f} | {memory} |"


def load_lines(rows: Rows) -> list[str]:
    """First and later loads of the CSV."""
    if "load" not in rows:
        return []
    lines = []
    for name, load in (("first load of the CSV", "first_load"), ("later loads", "later_load")):
        ours, plain = (rows["load"][way][load] for way in ("ours", "plain"))
        lines.append(
            line(
                name, AIMED_AT[name], f"{ours['seconds']:.2f} s", f"{plain['seconds']:.2f} s",
                plain["seconds"] / ours["seconds"],
                f"{ours['peak_megabytes']:,.0f} ({ours['megabytes_above_imports']:,.0f} beside imports) / "
                f"{plain['peak_megabytes']:,.0f} MB",
            )
        )  # fmt: skip
    caches = [rows["load"][way]["cache_bytes"] / 1e6 for way in ("ours", "plain")]
    return [*lines, line("cache", "90 MB", *(f"{size:.1f} MB" for size in caches), caches[1] / caches[0])]


def store_lines(rows: Rows) -> list[str]:
    """Start-up with many augmentations on disk."""
    if "store" not in rows:
        return []
    store = rows["store"]
    plain = store["plain_epoch_s"]
    ours = {"first start": store["first_start_s"], "later start": store["later_start_s"]}
    lines = [
        line(f"{name} with {store['images']:,} augmentations", AIMED_AT[name], f"{seconds:.2f} s",
             f"{plain:.1f} s of listings an epoch", plain / seconds, f"{store['peak_megabytes']:,} MB")
        for name, seconds in ours.items()
    ]  # fmt: skip
    epoch = store["ours_epoch_s"]
    return [*lines, line("an epoch of draws from them", "", f"{epoch:.2f} s", f"{plain:.1f} s", plain / epoch)]


def speed_lines(rows: Rows) -> list[str]:
    """Items a second of everything that computes."""
    lines = []
    for name, (what, items) in SPEEDS.items():
        if name not in rows:
            continue
        row = rows[name]
        ours, plain = (row[f"{way}_{items}_per_s"] for way in ("ours", "plain"))
        if compiled := row.get(f"compiled_{items}_per_s"):
            what += f" (compiled {compiled:.1f}, after {row['compile_s']:.0f} s)"
        alone = [f"{row[key]:,}" for way in ("ours", "plain") if (key := f"{way}_alone_peak_megabytes") in row]
        memory = " / ".join(alone) + " MB" if alone else ""
        lines.append(
            line(what.format(**row) + f", {row['dtype']}", AIMED_AT.get(name, ""), f"{ours:.1f} {items}/s",
                 f"{plain:.1f} {items}/s", ours / plain, memory)
        )  # fmt: skip
    return lines


def fixed_lines(rows: Rows) -> list[str]:
    """Training with augmentations beside the same net on one fixed batch."""
    trained = [name for name in SPEEDS if "fixed_faces_per_s" in rows.get(name, {})]
    if not trained:
        return []
    head = [
        "",
        "| training with augmentations on disk | of one fixed batch's speed | by processor time |",
        "|---|---|---|",
    ]
    return head + [
        f"| {SPEEDS[name][0].format(**rows[name])} | {100 * rows[name]['ours_to_fixed']:.1f} % | "
        f"{100 * rows[name]['ours_to_fixed_by_cpu_time']:.1f} % |"
        for name in trained
    ]


def growth_lines(rows: Rows) -> list[str]:
    """Seconds at each size, and what a face costs beside the smallest size's."""
    if "growth" not in rows:
        return []
    sizes, per_face = rows["growth"]["sizes"], rows["growth"]["per_face"]
    lines = [
        "",
        "| seconds (a face's cost, smallest size = 1) | "
        + " | ".join(f"{size['faces']:,} faces" for size in sizes)
        + " |",
    ]
    lines.append("|---" * (len(sizes) + 1) + "|")
    for name, ratios in per_face.items():
        cells = [f"{size[name]:.2f} ({ratio:.2f})" for size, ratio in zip(sizes, ratios, strict=True)]
        lines.append(f"| {name.removesuffix('_s').replace('_', ' ')} | " + " | ".join(cells) + " |")
    lines.append("| peak memory, MB | " + " | ".join(f"{size['peak_megabytes']:,}" for size in sizes) + " |")
    return lines
