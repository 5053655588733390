"""All benchmarks, one after the other, as one table: this, the baseline implementation, what was aimed at.

    python benchmarks/run.py                                   # about half an hour on two cores, on FER2013
    python benchmarks/run.py --only load resnet18_64           # some rows
    python benchmarks/run.py --dataset sample --only byol_64   # without any data

Each row is one of the other scripts here, in a process of its own, with its baseline beside it in the same run. Writes
plots_output/benchmarks.json after every row, and plots_output/benchmarks.md; rows that the file has already are not run
again (--again True runs them); it is of one machine and one data set. Run nothing else meanwhile.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.measuring import run_script
from benchmarks.synthetic_data import ManyFaces, write_folder
from benchmarks.table import FOLDER, ROWS, as_markdown
from core_code.core_utils import flags
from core_code.core_utils.devices import hardware
from core_code.core_utils.errors import InputError, run_command
from core_code.core_utils.files import atomic_write, read_json, write_json
from core_code.datasets.fer2013 import FER2013

NUM_AUGMENTS = 10
OF_THE_CSV = "load"  # which there is for FER2013 alone
WITHOUT_DEVICE = ("load", "store")


def measure(name: str, args: argparse.Namespace, augmentations: Path) -> dict[str, Any]:
    """Run a row's script; what it prints, and the peak memory of its implementations alone."""
    row = ROWS[name]
    command = [Path(__file__).with_name(row.script), "--data_root", args.data_root]
    if name != OF_THE_CSV:
        command += ["--dataset", args.dataset]
    if name not in WITHOUT_DEVICE:
        command += ["--device", args.device, "--precision", args.precision]
    command += [augmentations if flag == FOLDER else flag for flag in row.flags.split()]
    result = run_script(*command)
    steps = ("--steps", 1) if row.script == "train.py" else ()
    for name in row.alone:
        alone = run_script(*command, "--rounds", 1, *steps, "--only", name)
        result[f"{name}_alone_peak_megabytes"] = alone["peak_megabytes"]
    return result


def read_results(path: Path) -> dict[str, Any]:
    """What was measured before; in older files the baseline is named plain."""
    return json.loads(json.dumps(read_json(path)).replace("plain", "baseline"))


def main() -> None:
    parser = flags.Parser(description=__doc__)
    parser.add_argument(
        "--only", nargs="+", choices=tuple(ROWS), default=list(ROWS), metavar="ROW", help="some of: " + ", ".join(ROWS)
    )
    flags.add_boolean(parser, "--again", False, "run rows again that the file has already")
    flags.add_output_flag(parser)
    flags.add_data_flags(parser, max_faces=False)
    flags.add_device_flags(parser)
    args = parser.parse_args()
    path = args.output_root / "plots_output" / "benchmarks.json"
    here = {"hardware": hardware(), "dataset": args.dataset}
    results = read_results(path) if path.exists() else here | {"rows": {}}
    for name, value in here.items():
        if (there := results.get(name)) != value:
            raise InputError(f"{path}: its {name} is {there}, here it is {value}; give another --output_root")
    wanted = [name for name in args.only if args.again or name not in results["rows"]]
    if args.dataset != "fer2013" and OF_THE_CSV in wanted:
        print(f"{OF_THE_CSV} is left out: it is about FER2013's CSV", file=sys.stderr)
        wanted.remove(OF_THE_CSV)
    faces = FER2013(args.data_root, "train", args.dataset)
    with tempfile.TemporaryDirectory() as folder:
        if any(FOLDER in ROWS[name].flags for name in wanted):
            write_folder(Path(folder), ManyFaces(len(faces), args.data_root, args.dataset), NUM_AUGMENTS)
        for name in wanted:
            results = here | {"rows": results["rows"] | {name: measure(name, args, Path(folder))}}
            write_json(path, results)
    table = as_markdown(results)
    atomic_write(path.with_suffix(".md"), lambda file: file.write(table.encode()))
    print(f"{table}\n{path}")


if __name__ == "__main__":
    run_command(main)
