"""How FER2013's faces are cut, compared with dlib's boxes: `python -m core_code.datasets.measure_framing`."""

import numpy as np
from PIL import Image
from tqdm import tqdm

from core_code.core_utils import flags
from core_code.core_utils.errors import InputError, run_command
from core_code.core_utils.photos.face_finder import FRONTAL, detect
from core_code.datasets.fer2013 import FER2013

MEASURED_SIDES = (128, 160, 192, 224, 256)


def measure_framing(faces: np.ndarray) -> tuple[np.ndarray, int]:
    """How faces uint8 [N,H,H] are cut, compared with dlib's boxes: rows (ratio of the sides, right, down) of float,
    the crop's centre from the box's in sides of the box; and the number of faces that they are of.

    The detector has few box sizes and positions, so each face is searched at several sizes. Only boxes of the frontal
    detector, alone in the picture, count.
    """
    rows: list[tuple[float, ...]] = []
    seen = 0
    for face in tqdm(faces, desc="finding faces", unit=" faces", delay=2, leave=False):
        before = len(rows)
        for side in MEASURED_SIDES:
            found = detect(np.array(Image.fromarray(face).resize((side, side), Image.Resampling.BICUBIC)))
            if len(found) == 1 and found[0][1] == FRONTAL:
                box = found[0][0]
                width = (box.width + box.height) / 2
                rows.append((side / width, *((side / 2 - centre) / width for centre in box.centre)))
        seen += len(rows) > before
    return np.array(rows).reshape(-1, 3), seen


def main(arguments: list[str] | None = None) -> None:
    parser = flags.make_parser(
        "Measure how the training faces are cut, compared with the boxes that dlib's frontal face detector finds on "
        "them: how much wider the crop is, and where its centre lies.",
        "python -m core_code.datasets.measure_framing --max_faces 1000",
    )
    flags.add_data_flags(parser)
    args = parser.parse_args(arguments)
    faces = FER2013(args.data_root, "train", args.dataset, args.max_faces).faces.numpy()
    rows, seen = measure_framing(faces)
    if not len(rows):
        raise InputError(f"{args.dataset}: no frontal face found in {len(faces)} faces")
    print(f"{len(rows)} boxes, on enlarged copies of {seen} of {len(faces)} faces; mean (median, deviation):")
    for name, values in zip(("crop side / box side", "centre right", "centre down"), rows.T, strict=True):
        print(f"{name:<22}{values.mean():8.3f} ({np.median(values):.3f}, {values.std():.3f})")


if __name__ == "__main__":
    run_command(main)
