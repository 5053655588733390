"""How fast FER2013's CSV loads, and in how much memory, beside a baseline implementation. Prints JSON.

    python benchmarks/load_fer2013.py --data_root data/fer2013

Every load runs in a process of its own, on a link to the CSV in an empty folder, so that the cache beside the
CSV is neither used nor changed. What the imports take is not counted in the times, and in the memory apart.
"""

import argparse
import csv
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import torch

from benchmarks.measuring import peak_megabytes, print_json, run_script, seconds
from core_code.core_utils import flags
from core_code.core_utils.choices import DATA_ROOT
from core_code.core_utils.errors import run_command
from core_code.datasets.fer2013 import FER2013
from core_code.datasets.fer2013_csv import find_csv

LOADS = ("first_load", "later_load")


def ours(data_root: Path) -> torch.Tensor:
    """core_code's FER2013."""
    return FER2013(data_root, "train").faces[::1000].sum()


def baseline(data_root: Path) -> torch.Tensor:
    """A csv.reader, a list of numbers for each row, one array of them, saved with np.save for the next time."""
    saved = data_root / "faces.npy"
    if not saved.exists():
        csv.field_size_limit(1 << 20)
        faces, labels, usages = [], [], []
        with open(next(data_root.glob("*.csv")), newline="") as file:
            for row in csv.DictReader(file, skipinitialspace=True):
                faces.append([int(pixel) for pixel in row["pixels"].split()])
                labels.append(int(row["emotion"]))
                usages.append(row["Usage"])
        np.save(saved, np.array(faces).reshape(-1, 48, 48))
        np.save(data_root / "labels.npy", np.array(labels))
        np.save(data_root / "usages.npy", np.array(usages))
    training = np.load(data_root / "usages.npy") == "Training"
    return torch.from_numpy(np.load(saved)[training])[::1000].sum()


IMPLEMENTATIONS = {"ours": ours, "baseline": baseline}


def measure(name: str, data_root: Path) -> dict[str, float]:
    """Seconds and memory of one load in this process."""
    memory, processor = peak_megabytes(), time.process_time()
    return {
        "seconds": round(seconds(lambda: IMPLEMENTATIONS[name](data_root)), 3),
        "processor_seconds": round(time.process_time() - processor, 3),
        "peak_megabytes": round(peak_megabytes(), 1),
        "megabytes_above_imports": round(peak_megabytes() - memory, 1),
    }


def compare(data_root: Path) -> dict[str, object]:
    """First and later loads of both, the size of what they leave on disk, and the ratios."""
    source = find_csv(data_root)
    measured: dict[str, dict] = {}
    for name in IMPLEMENTATIONS:
        with tempfile.TemporaryDirectory() as folder:
            link = Path(folder) / source.name
            link.symlink_to(source.resolve())
            measured[name] = {load: run_script(__file__, "--data_root", folder, "--load", name) for load in LOADS}
            measured[name]["cache_bytes"] = sum(path.stat().st_size for path in Path(folder).iterdir() if path != link)
    ours, baseline = measured["ours"], measured["baseline"]
    ratios = {
        f"{load} {figure}": round(baseline[load][figure] / max(ours[load][figure], 1e-9), 1)
        for load in LOADS
        for figure in ("seconds", "peak_megabytes")
    } | {"cache_bytes": round(baseline["cache_bytes"] / ours["cache_bytes"], 1)}
    return {"csv_bytes": source.stat().st_size, **measured, "baseline_over_ours": ratios}


def main() -> None:
    """Run every load in a fresh process and print what they took."""
    parser = flags.Parser(description=__doc__)
    parser.add_argument("--data_root", type=Path, default=DATA_ROOT)
    parser.add_argument("--load", choices=tuple(IMPLEMENTATIONS), help=argparse.SUPPRESS)
    args = parser.parse_args()
    print_json(measure(args.load, args.data_root) if args.load else compare(args.data_root))


if __name__ == "__main__":
    run_command(main)
