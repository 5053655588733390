"""What trained nets read in the faces of pictures.

python -m core_code.predict photo.jpg --checkpoint checkpoints/ckpt_resnet18_Baseline_best_validation.pth
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from core_code.core_utils import flags
from core_code.core_utils.errors import InputError, run_command

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from core_code.core_utils.photos.face_finder import Box
    from core_code.core_utils.photos.photographs import Photograph
    from core_code.prediction.table import Prediction
    from core_code.training.inference import Trained

MEAN, SUREST = "mean", "surest"


def find_pictures(given: Sequence[Path]) -> list[Path]:
    """The files given and the pictures in the folders given (not in theirs), sorted within each; each one once.

    Raises InputError for what is not there and for a folder without pictures.
    """
    from core_code.datasets.image_folder import IMAGE_ENDINGS

    found: list[Path] = []
    for path in given:
        if path.is_file():
            found.append(path)
        elif path.is_dir():
            inside = sorted(file for file in path.iterdir() if is_picture(file, IMAGE_ENDINGS))
            if not inside:
                raise InputError(f"{path}: no picture in this folder, expected files that end in {IMAGE_ENDINGS[0]}, "
                                 f"{IMAGE_ENDINGS[2]} or the like")  # fmt: skip
            found += inside
        else:
            raise InputError(f"{path}: no such picture or folder")
    return list(dict.fromkeys(found))


def is_picture(path: Path, endings: tuple[str, ...]) -> bool:
    """Whether a file in a folder is taken for a picture: by its ending, unless it is hidden."""
    return path.name.lower().endswith(endings) and not path.name.startswith(".") and path.is_file()


def cut_face(photograph: "Photograph", crop: "Box") -> "Tensor":
    """The crop as a grey face, uint8 [48,48], antialiased; beyond the picture's border its edge is repeated."""
    import numpy as np
    import torch
    from PIL import Image

    from core_code.core_utils.photos.photographs import cut
    from core_code.datasets.splits import SIDE

    grey = Image.fromarray(cut(photograph.visible, crop)).convert("L")
    if grey.size != (SIDE, SIDE):
        grey = grey.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(grey))


def find_all_faces(pictures: Sequence[Path], detector: str) -> "tuple[list[Prediction], list[Tensor]]":
    """Predictions without probabilities, one for each face and one for each picture without a face; and the faces.

    Raises InputError for a picture that cannot be read, for a missing dlib, and when the only picture has no face.
    """
    from tqdm import tqdm

    from core_code.core_utils.photos.face_finder import load_dlib
    from core_code.core_utils.photos.photographs import face_crops, read_photograph
    from core_code.prediction.table import Prediction

    if detector == "dlib":
        load_dlib()
    places, faces = [], []
    for path in tqdm(pictures, desc="finding faces", unit=" pictures", delay=2, leave=False):
        photograph = read_photograph(path)
        try:
            crops = face_crops(photograph, detector, "fer2013", str(path))
        except InputError:
            if len(pictures) == 1:
                raise
            places.append(Prediction(path))
            continue
        places += [Prediction(path, number, crop) for number, crop in enumerate(crops, start=1)]
        faces += [cut_face(photograph, crop) for crop in crops]
    return places, faces


def read_faces(
    nets: "Sequence[Trained]", faces: "Tensor", vote: str, dtype: "torch.dtype", tta: str = "none", batch_size: int = 64
) -> "Tensor":
    """Probabilities float64 [N,7] of faces uint8 [N,48,48], on the CPU; several nets vote."""
    import torch
    from tqdm import tqdm

    from core_code.core_utils.metrics.scores import mean_vote, surest_vote
    from core_code.training.inference import read

    device = next(nets[0].net.parameters()).device
    logits = []
    for number, (net, image_size) in enumerate(nets, start=1):
        net.eval()
        batches = tqdm(faces.split(batch_size), desc=f"reading, net {number}", unit=" batches", delay=2, leave=False)
        logits.append(torch.cat([read(net, batch.to(device), image_size, dtype, tta).cpu() for batch in batches]))
    voted = surest_vote(logits) if vote == SUREST else mean_vote(logits)
    return voted.double().softmax(1)


def predict(args: argparse.Namespace) -> "list[Prediction]":
    """A prediction for each face, and one without a face for each picture that has none. Raises InputError."""
    import torch

    from core_code.training.inference import load_trained_file
    from core_code.training.runs import pick_hardware

    device, dtype = pick_hardware(args)
    pictures = find_pictures(args.pictures)
    nets = [load_trained_file(path) for path in args.checkpoint]
    for trained in nets:
        trained.net.to(device)
    if args.image_size:
        nets = [trained._replace(image_size=args.image_size) for trained in nets]
    places, faces = find_all_faces(pictures, args.face_detector)
    if not faces:
        return places
    readings = iter(read_faces(nets, torch.stack(faces), args.vote, dtype, args.tta).tolist())
    return [replace(place, probabilities=next(readings)) if place.box else place for place in places]


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """All the flags."""
    parser = flags.make_parser(
        "Find the faces in pictures and say which of seven expressions trained nets read in each, with probabilities. "
        "It reads faces as people labelled them, not what somebody feels.",
        "python -m core_code.predict photo.jpg holiday/ --checkpoint checkpoints/ckpt_resnet18_*_best_validation.pth",
    )
    parser.add_argument("pictures", type=Path, nargs="+", help="pictures, and folders of pictures")
    parser.add_argument(
        "--checkpoint", type=Path, nargs="+", required=True, metavar="FILE",
        help="of train_model.py; several vote",
    )  # fmt: skip
    parser.add_argument(
        "--image_size", type=flags.count, default=None,
        help="side of the views in pixels (default: what each net was trained on; 224 for published checkpoints)",
    )  # fmt: skip
    parser.add_argument(
        "--vote", choices=(MEAN, SUREST), default=MEAN,
        help="the mean of the nets' softmaxes, or whichever net has the highest top logit (default: mean)",
    )  # fmt: skip
    parser.add_argument(
        "--face_detector", choices=("dlib", "none"), default="dlib",
        help="dlib (pip install dlib-bin) finds the faces; none takes each picture for one face that has been cut out "
        "already (default: dlib)",
    )  # fmt: skip
    parser.add_argument(
        "--tta", choices=("none", "flip", "ten_crop"), default="none",
        help="the mean of the logits of several views of each face: see core_code.evaluate (default: none)",
    )  # fmt: skip
    parser.add_argument("--json", type=Path, default=None, metavar="FILE", help="write the predictions as JSON")
    parser.add_argument("--csv", type=Path, default=None, metavar="FILE", help="write the predictions as CSV")
    parser.add_argument(
        "--draw", type=Path, default=None, metavar="FOLDER",
        help="write <picture>_read.png into it: a copy with a box and the reading at each face",
    )  # fmt: skip
    flags.add_device_flags(parser)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Read, print and write. Raises InputError."""
    args = parse_arguments(arguments)
    from core_code.core_utils.files import atomic_write, write_json
    from core_code.prediction.table import as_csv, as_json, as_markdown, check_outputs

    check_outputs(args)
    predictions = predict(args)
    print(as_markdown(predictions))
    if args.json:
        write_json(args.json, as_json(predictions, [str(path) for path in args.checkpoint], args.vote, args.tta))
        print(f"JSON: {args.json}")
    if args.csv:
        text = as_csv(predictions)
        atomic_write(args.csv, lambda file: file.write(text.encode()))
        print(f"CSV: {args.csv}")
    if args.draw:
        from core_code.prediction.drawing import draw_predictions

        drawn = draw_predictions(predictions, args.draw)
        print(f"drawn: {len(drawn)} in {args.draw}")


if __name__ == "__main__":
    run_command(main)
