"""The rows of benchmarks/run.py: how each is measured, and all of them as Markdown."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from core_code.core_utils import tables

Rows = dict[str, dict[str, Any]]

BOTH = ("ours", "baseline")
FOLDER = "{augmentations}"  # stands for a folder with augmentations of each training face


@dataclass(frozen=True)
class Row:
    """A script with its flags. The implementations in `alone` run once more alone, which tells their peak memory.

    what: the work in words, where it is a speed, and `items` what is counted; aimed_at: on two cores with matrix units
    for bfloat16.
    """

    script: str
    flags: str = ""
    alone: tuple[str, ...] = ()
    what: str = ""
    items: str = "faces"
    aimed_at: str = ""


def training(net: str, size: int, name: str, rounds: int = 3, aimed_at: str = "", stem: str = "imagenet") -> Row:
    """Training with augmentations on disk."""
    given = f"--net_name {net} --image_size {size} --rounds {rounds} --augmentations_folder {FOLDER} --stem {stem}"
    name += " with the small stem" if stem == "small" else ""
    return Row("train.py", given, BOTH, f"training {name}, {size} px, batch {{batch_size}}", aimed_at=aimed_at)


def byol(size: int, steps: int) -> Row:
    """BYOL with augmentations on disk."""
    given = f"--image_size {size} --augmentations_folder {FOLDER} --steps {steps}"
    return Row("byol.py", given, what=f"BYOL, ResNet18, {size} px, batch {{batch_size}}")


def generating(given: str, what: str, aimed_at: str = "") -> Row:
    """Generation of augmentations."""
    return Row("generate.py", given, BOTH, f"augmentations, {what}", "images", aimed_at)


def learning(size: int, batch_size: int) -> Row:
    """Learning a generator."""
    given = f"--image_size {size} --batch_size {batch_size}"
    return Row("learn.py", given, what=f"learning a generator, {size} px, batch {batch_size}", items="steps")


ROWS = {
    "load": Row("load_fer2013.py"),
    "store": Row("augmentation_store.py"),
    "ganmut_128": generating("--ganmut True --faces 51", "GANmut's generator, 128 px", "50"),
    "shipped_48": generating("--faces 512", "the shipped generator, 48 px"),
    "resnet18_64": training("resnet18", 64, "ResNet18", rounds=5),
    "resnet18_224": training("resnet18", 224, "ResNet18", aimed_at="45"),
    "resnet18_64_small_stem": training("resnet18", 64, "ResNet18", stem="small"),
    "densenet201_64": training("densenet201", 64, "DenseNet201", rounds=5),
    "densenet201_224": training("densenet201", 224, "DenseNet201", aimed_at="8"),
    "byol_64": byol(64, steps=8),
    "byol_224": byol(224, steps=2),
    **{f"learn_{size}_{batch}": learning(size, batch) for size in (48, 64) for batch in (16, 64)},
    "evaluate_64": Row("evaluate.py", "--image_size 64 --steps 4", what="evaluation, ResNet18, 64 px"),
    "evaluate_224": Row("evaluate.py", "--image_size 224", what="evaluation, ResNet18, 224 px"),
    "growth": Row("growth.py"),
}
AIMED_AT = {
    "first load of the CSV": "5 s, 1,200 MB, 90 MB", "later loads": "0.3 s, 100 MB",
    "first start": "20 s", "later start": "1 s",
}  # fmt: skip
COLUMNS = ["what", "aimed at", "this", "strong baseline, same run", "ratio to it", "plain baseline, same run", "ratio",
           "peak memory, this / plain"]  # fmt: skip


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
        lines.append(
            (name, AIMED_AT[name], *shown[:1], "", "", *shown[1:], baseline["seconds"] / ours["seconds"], memory)
        )
    caches = [rows["load"][which]["cache_bytes"] / 1e6 for which in BOTH]
    sizes = [f"{size:.1f} MB" for size in caches]
    return [*lines, ("cache", "90 MB", sizes[0], "", "", sizes[1], caches[1] / caches[0], "")]


def store_lines(rows: Rows) -> list[tuple]:
    """Start-up with many augmentations on disk."""
    if "store" not in rows:
        return []
    store = rows["store"]
    baseline, epoch, memory = store["baseline_epoch_s"], store["ours_epoch_s"], f"{store['peak_megabytes']:,} MB"
    starts = {"first start": store["first_start_s"], "later start": store["later_start_s"]}
    lines = [
        (f"{name} with {store['images']:,} augmentations", AIMED_AT[name], f"{seconds:.2f} s", "", "",
         f"{baseline:.1f} s of listings an epoch", baseline / seconds, memory)
        for name, seconds in starts.items()
    ]  # fmt: skip
    return [
        *lines,
        ("an epoch of samples from them", "", f"{epoch:.2f} s", "", "", f"{baseline:.1f} s", baseline / epoch, ""),
    ]


def speed_lines(rows: Rows) -> list[tuple]:
    """Items a second of everything that computes."""
    lines = []
    for name, kind in ROWS.items():
        if not kind.what or name not in rows:
            continue
        row, what, items = rows[name], kind.what, kind.items
        speeds = [row[f"{which}_{items}_per_s"] for which in BOTH]
        if compiled := row.get(f"compiled_{items}_per_s"):
            what += f" (compiled {compiled:.1f}, after {row['compile_s']:.0f} s)"
        alone = [f"{row[key]:,}" for which in BOTH if (key := f"{which}_alone_peak_megabytes") in row]
        memory = " / ".join(alone) + " MB" if alone else ""
        shown = [f"{speed:.1f} {items}/s" for speed in speeds]
        what = f"{what.format(**row)}, {row['dtype']}"
        strong = row.get(f"strong_{items}_per_s")
        beside = (f"{strong:.1f} {items}/s", f"{speeds[0] / strong:.2f}") if strong else ("", "")
        lines.append((what, kind.aimed_at, shown[0], *beside, shown[1], speeds[0] / speeds[1], memory))
    return lines


def fixed_batch(rows: Rows) -> pd.DataFrame:
    """Training with augmentations beside the same net on one fixed batch."""
    trained = [name for name in ROWS if "fixed_faces_per_s" in rows.get(name, {})]
    return pd.DataFrame(
        {
            "training with augmentations on disk": ROWS[name].what.format(**rows[name]),
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
