"""How seconds and memory grow with the number of faces.

    python benchmarks/growth.py --faces 7177 --times 1 2 4 8

For each size, in a process of its own: the first and a later load of a CSV, augmentations of an eighth of the faces
(one each, by the generator that ships), the first and a later opening of a folder with two augmentations a face, and
an epoch of everything in training but the net: sampling, replacing, cropping, resizing to 64 px. The faces are the data
set's, repeated. Prints one JSON object; `per_face` is what a face costs at each size, relative to the smallest.
"""

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch

from benchmarks.measuring import peak_megabytes, print_json, run_script, seconds
from benchmarks.synthetic_data import ManyFaces, write_csv, write_folder
from core_code.core_utils import flags
from core_code.core_utils.devices import pick_hardware
from core_code.core_utils.errors import run_command
from core_code.core_utils.transforms import train_view
from core_code.datasets.augmentations.make import generate_images
from core_code.datasets.augmentations.plan import Settings
from core_code.datasets.augmentations.store import Augmentations
from core_code.datasets.fer2013 import FER2013
from core_code.datasets.loader import FaceBatches
from EmotionGAN.editor import Editor

VIEW_SIZE = 64
BATCH_SIZE = 128
EDITED = 8  # one face in so many


def data_path_epoch(faces: FER2013, augmentations: Augmentations, device: torch.device) -> None:
    """An epoch of training without the net."""
    batches = FaceBatches(faces, BATCH_SIZE, device, shuffle=True, augmentations=augmentations, probability=0.8)
    generator = torch.Generator().manual_seed(1)
    for batch, _, _ in batches:
        train_view(batch, VIEW_SIZE, generator)


def measure(count: int, args: argparse.Namespace) -> dict[str, float]:
    """Seconds of each kind of work for so many faces."""
    device, dtype = pick_hardware(args.device, args.precision)
    faces = ManyFaces(count, args.data_root, args.dataset)
    with tempfile.TemporaryDirectory() as name:
        csv, images, full = (Path(name) / part for part in ("csv", "images", "full"))
        for folder in (csv, full):
            folder.mkdir()
        write_csv(csv / "fer2013.csv", faces)
        write_folder(full, faces, 2)
        editor = Editor.load(None, device, dtype)
        settings = Settings(num_augments=1)
        works = {
            "first_load_s": lambda: FER2013(csv, "train").faces[::1000].sum(),
            "later_load_s": lambda: FER2013(csv, "train").faces[::1000].sum(),
            "augmentations_s": lambda: generate_images(settings, faces, count // EDITED, editor, images),
            "first_opening_s": lambda: Augmentations.open(full, faces),
            "later_opening_s": lambda: Augmentations.open(full, faces),
        }
        result = {"faces": count, **{what: round(seconds(work), 6) for what, work in works.items()}}
        augmentations = Augmentations.open(full, faces)
        result["data_path_epoch_s"] = round(seconds(lambda: data_path_epoch(faces, augmentations, device)), 6)
    return result | {"peak_megabytes": round(peak_megabytes())}


def main() -> None:
    parser = flags.Parser(description=__doc__)
    parser.add_argument("--faces", type=flags.count, default=7177, help="of the smallest size")
    parser.add_argument("--times", type=flags.count, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    flags.add_data_flags(parser, max_faces=False)
    flags.add_device_flags(parser)
    args = parser.parse_args()
    if args.alone:
        print_json(measure(args.faces, args))
        return
    alone = [*sys.argv[1:], "--alone", "--faces"]
    sizes = [run_script(__file__, *alone, args.faces * times) for times in args.times]
    smallest = sizes[0]
    per_face = {
        name: [round(size[name] / size["faces"] / (smallest[name] / smallest["faces"]), 2) for size in sizes]
        for name in smallest
        if name.endswith("_s")
    }
    print_json({"sizes": sizes, "per_face": per_face})


if __name__ == "__main__":
    run_command(main)
