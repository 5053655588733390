"""The figures of benchmarks/run.py as Markdown."""

from typing import Any

import pandas as pd

from core_code.core_utils import tables

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
COLUMNS = ["what", "aimed at", "this", "baseline, same run", "ratio", "peak memory, this / baseline"]
BOTH = ("ours", "baseline")


def as_markdown(results: dict[str, Any]) -> str:
    """All tables, headed by the hardware."""
    rows = results["rows"]
    compared = pd.DataFrame([*load_lines(rows), *store_lines(rows), *speed_lines(rows)], columns=COLUMNS)
    parts = [
        tables.as_markdown(table, decimals=1) for table in (compared, fixed_batch(rows), growth(rows)) if len(table)
    ]
    return "\n\n".join([f"{results['hardware']}, {results['dataset']}", *parts]) + "\n"


def load_lines(rows: Rows) -> list[tuple]:
    """First and later loads of the CSV, and what stays on disk."""
    if "load" not in rows:
        return []
    lines = []
    for name, load in (("first load of the CSV", "first_load"), ("later loads", "later_load")):
        ours, baseline = (rows["load"][which][load] for which in BOTH)
        memory = (f"{ours['peak_megabytes']:,.0f} ({ours['megabytes_above_imports']:,.0f} beside imports) / "
                  f"{baseline['peak_megabytes']:,.0f} MB")  # fmt: skip
        shown = [f"{which['seconds']:.2f} s" for which in (ours, baseline)]
        lines.append((name, AIMED_AT[name], *shown, baseline["seconds"] / ours["seconds"], memory))
    caches = [rows["load"][which]["cache_bytes"] / 1e6 for which in BOTH]
    return [*lines, ("cache", "90 MB", *(f"{size:.1f} MB" for size in caches), caches[1] / caches[0], "")]


def store_lines(rows: Rows) -> list[tuple]:
    """Start-up with many augmentations on disk."""
    if "store" not in rows:
        return []
    store = rows["store"]
    baseline, epoch, memory = store["baseline_epoch_s"], store["ours_epoch_s"], f"{store['peak_megabytes']:,} MB"
    starts = {"first start": store["first_start_s"], "later start": store["later_start_s"]}
    lines = [
        (f"{name} with {store['images']:,} augmentations", AIMED_AT[name], f"{seconds:.2f} s",
         f"{baseline:.1f} s of listings an epoch", baseline / seconds, memory)
        for name, seconds in starts.items()
    ]  # fmt: skip
    return [*lines, ("an epoch of samples from them", "", f"{epoch:.2f} s", f"{baseline:.1f} s", baseline / epoch, "")]


def speed_lines(rows: Rows) -> list[tuple]:
    """Items a second of everything that computes."""
    lines = []
    for name, (what, items) in SPEEDS.items():
        if name not in rows:
            continue
        row = rows[name]
        speeds = [row[f"{which}_{items}_per_s"] for which in BOTH]
        if compiled := row.get(f"compiled_{items}_per_s"):
            what += f" (compiled {compiled:.1f}, after {row['compile_s']:.0f} s)"
        alone = [f"{row[key]:,}" for which in BOTH if (key := f"{which}_alone_peak_megabytes") in row]
        memory = " / ".join(alone) + " MB" if alone else ""
        shown = [f"{speed:.1f} {items}/s" for speed in speeds]
        what = f"{what.format(**row)}, {row['dtype']}"
        lines.append((what, AIMED_AT.get(name, ""), *shown, speeds[0] / speeds[1], memory))
    return lines


def fixed_batch(rows: Rows) -> pd.DataFrame:
    """Training with augmentations beside the same net on one fixed batch."""
    trained = [name for name in SPEEDS if "fixed_faces_per_s" in rows.get(name, {})]
    return pd.DataFrame(
        {
            "training with augmentations on disk": SPEEDS[name][0].format(**rows[name]),
            "of one fixed batch's speed": f"{100 * rows[name]['ours_to_fixed']:.1f} %",
            "by processor time": f"{100 * rows[name]['ours_to_fixed_by_cpu_time']:.1f} %",
        }
        for name in trained
    )


def growth(rows: Rows) -> pd.DataFrame:
    """Seconds at each size, and what a face costs beside the smallest size's."""
    if "growth" not in rows:
        return pd.DataFrame()
    sizes, per_face = rows["growth"]["sizes"], rows["growth"]["per_face"]
    table = {
        "seconds (a face's cost, smallest size = 1)": [name.removesuffix("_s").replace("_", " ") for name in per_face]
    }
    for column, size in enumerate(sizes):
        table[f"{size['faces']:,} faces"] = [
            f"{size[name]:.2f} ({ratios[column]:.2f})" for name, ratios in per_face.items()
        ]
    memory = ["peak memory, MB", *(f"{size['peak_megabytes']:,}" for size in sizes)]
    frame = pd.DataFrame(table)
    return pd.concat([frame, pd.DataFrame([memory], columns=frame.columns)])
