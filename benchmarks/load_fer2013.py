"""How fast FER2013's CSV loads, and in how much memory, beside a baseline implementation. Prints JSON.

python benchmarks/load_fer2013.py --data_root data/fer2013

Every load runs in a process of its own, on a link to the CSV in an empty folder, so that the cache beside the
CSV is neither used nor changed. The times of imports are given apart from those of the loads.
"""

import argparse
import csv
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
MEGABYTE = 1e6


def main() -> None:
    """Run every load in a fresh process and print what they took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data_root", type=Path, default=Path("data/fer2013"))
    parser.add_argument("--load", choices=("ours", "baseline"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    sys.path.insert(0, str(PROJECT))
    if arguments.load:
        print(json.dumps({"ours": measure_ours, "baseline": measure_baseline}[arguments.load](arguments.data_root)))
        return
    from core_code.core_utils.errors import run_command

    run_command(lambda: print(json.dumps(compare(arguments.data_root), indent=2)))


def compare(data_root: Path) -> dict[str, object]:
    """First and later loads of both, the size of what they leave on disk, and the ratios."""
    from core_code.datasets.fer2013_csv import find_csv

    source = find_csv(data_root)
    result: dict[str, object] = {"csv_bytes": source.stat().st_size}
    for name in ("ours", "baseline"):
        with tempfile.TemporaryDirectory() as folder:
            link = Path(folder) / source.name
            link.symlink_to(source.resolve())
            result[name] = {"first_load": in_fresh_process(name, folder), "later_load": in_fresh_process(name, folder)}
            result[name]["cache_bytes"] = sum(path.stat().st_size for path in Path(folder).iterdir() if path != link)
    ours, baseline = result["ours"], result["baseline"]
    result["baseline_over_ours"] = {
        f"{load} {figure}": round(baseline[load][figure] / max(ours[load][figure], 1e-9), 1)
        for load in ("first_load", "later_load")
        for figure in ("seconds", "peak_megabytes")
    } | {"cache_bytes": round(baseline["cache_bytes"] / ours["cache_bytes"], 1)}
    return result


def in_fresh_process(load: str, folder: str) -> dict[str, float]:
    """Run this script for one load and read its figures."""
    command = [sys.executable, __file__, "--data_root", folder, "--load", load]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=PROJECT).stdout)


def measure_ours(data_root: Path) -> dict[str, float]:
    """core_code's FER2013."""

    def imports() -> Callable[[], object]:
        from core_code.datasets.fer2013 import FER2013

        return lambda: FER2013(data_root, "train").faces[::1000].sum()

    return measure(imports)


def measure_baseline(data_root: Path) -> dict[str, float]:
    """A csv.reader, a list of numbers for each row, one array of them, saved with np.save for the next time."""

    def imports() -> Callable[[], object]:
        import numpy as np
        import torch

        def load() -> torch.Tensor:
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

        return load

    return measure(imports)


def measure(imports: Callable[[], Callable[[], object]]) -> dict[str, float]:
    """Seconds and memory of the imports, then of the load that they return."""
    start = time.perf_counter()
    load = imports()
    imported, memory, processor = time.perf_counter(), peak_megabytes(), time.process_time()
    load()
    return {
        "seconds": round(time.perf_counter() - imported, 3),
        "processor_seconds": round(time.process_time() - processor, 3),
        "peak_megabytes": round(peak_megabytes(), 1),
        "megabytes_above_imports": round(peak_megabytes() - memory, 1),
        "import_seconds": round(imported - start, 3),
        "import_megabytes": round(memory, 1),
    }


def peak_megabytes() -> float:
    """The most memory that this process has held so far."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MEGABYTE


if __name__ == "__main__":
    main()
