"""Whether the sample faces are worth learning from: readable, found by dlib, and no copies of Training faces."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from core_code.core_utils.choices import DATA_ROOT
from core_code.core_utils.devices import pick_device
from core_code.core_utils.emotions import EMOTIONS
from core_code.core_utils.errors import run_command
from core_code.core_utils.flags import count, make_parser
from core_code.core_utils.photos.face_finder import DETECTOR_SIDE, detect
from core_code.core_utils.plots.face_sheets import face_sheet
from core_code.core_utils.tables import as_markdown
from core_code.datasets.fer2013 import FER2013
from core_code.training.inference import Trained, load_trained_file, predict_batch

PIECE = 64
TRAINING = "real faces (Training)"
NEAREST_SHOWN = 4  # faces an emotion on the sheet, those that are nearest to a Training face


def main() -> None:
    """Parse arguments, measure, print."""
    parser = make_parser(
        "Measure the sample faces beside real ones: the share of labels that a net trained on real faces predicts, the "
        "share of faces that dlib finds, and how near the nearest Training face is.",
        "python -m core_code.evaluation.check_sample_faces --judge checkpoint.pth",
    )
    parser.add_argument("--judge", type=Path, required=True, help="checkpoint of train_model.py, trained on real faces")
    parser.add_argument("--data_root", type=Path, default=DATA_ROOT, help="folder of FER2013's CSV")
    parser.add_argument("--faces", type=count, default=700, help="of each kind, the first ones")
    parser.add_argument("--sheet", type=Path, metavar="PNG",
                        help="write the sample faces that are nearest to Training faces, each beside it")  # fmt: skip
    parser.add_argument("--device", choices=("auto", "cuda", "mps", "cpu"), default="auto", help="of the judge")
    args = parser.parse_args()
    train = FER2013(args.data_root, "train")
    kinds = {
        "sample faces": FER2013(split="test", dataset="sample", max_faces=args.faces),
        "real faces (val)": FER2013(args.data_root, "val", max_faces=args.faces),
        TRAINING: FER2013(args.data_root, "train", max_faces=args.faces),
    }
    judge = load_trained_file(args.judge, pick_device(args.device))
    table, nearest = measure({kind: (data.faces, data.labels) for kind, data in kinds.items()}, train.faces, judge)
    print(as_markdown(table, decimals=1))
    if args.sheet:
        sample = kinds["sample faces"]
        print(draw_nearest(args.sheet, sample.faces, sample.labels, train.faces, nearest["sample faces"]))


def measure(
    kinds: dict[str, tuple[Tensor, Tensor]], train: Tensor, judge: Trained
) -> tuple[pd.DataFrame, dict[str, tuple[Tensor, Tensor]]]:
    """A row for each kind of faces uint8 [N,48,48] with labels int64 [N], and for each kind the distance in grey levels
    to the nearest of `train` uint8 [M,48,48], mirrored or not, and its row; see `find_nearest`."""
    pixels = unit_contrast(train)
    features = features_of(judge, train)
    rows, nearest = [], {}
    for kind, (faces, labels) in kinds.items():
        of_them = kind == TRAINING
        near, of_train = find_nearest(unit_contrast(faces), pixels, of_them)
        mirrored, of_mirrored = find_nearest(unit_contrast(faces.flip(2)), pixels, of_them)
        near, of_train = torch.minimum(near, mirrored), torch.where(mirrored < near, of_mirrored, of_train)
        apart, _ = find_nearest(features_of(judge, faces), features, of_them)
        nearest[kind] = near, of_train
        rows.append({
            "faces": kind,
            "label predicted (%)": 100 * (logits_of(judge, faces).argmax(1) == labels).double().mean().item(),
            "found by dlib (%)": 100 * found_share(faces.numpy()),
            **{f"pixels, {name}": value for name, value in summary(near).items()},
            **{f"features, {name} (%)": 100 * value for name, value in summary(apart).items()},
        })  # fmt: skip
    return pd.DataFrame(rows), nearest


def summary(distances: Tensor) -> dict[str, float]:
    """The median, the hundredth part and the least of distances [N]."""
    return {
        "median": distances.median().item(),
        "1 %": distances.quantile(0.01).item(),
        "least": distances.min().item(),
    }


def unit_contrast(faces: Tensor) -> Tensor:
    """Faces uint8 [N,48,48] -> float32 [N,2304], each of mean 0 and of the common deviation of 64 grey levels, divided
    by 48, so that distances are root mean squares."""
    flat = faces.flatten(1).float()
    flat = flat - flat.mean(dim=1, keepdim=True)
    return 64 / 48 * flat / flat.std(dim=1, keepdim=True, correction=0).clamp(min=1)


def find_nearest(points: Tensor, others: Tensor, of_them: bool) -> tuple[Tensor, Tensor]:
    """The distance of each of points [N,D] to the nearest of others [M,D], and its row. Of points that are `of_them`,
    themselves and copies do not count."""
    found = []
    for some in tqdm(points.split(PIECE), desc="nearest faces", leave=False, delay=2):
        distances = torch.cdist(some, others)
        if of_them:
            distances[distances < 0.01 * some.norm(dim=1, keepdim=True)] = torch.inf
        found.append(distances.min(dim=1))
    return torch.cat([near.values for near in found]), torch.cat([near.indices for near in found])


def logits_of(judge: Trained, faces: Tensor) -> Tensor:
    """uint8 [N,48,48] -> logits [N,7]."""
    judge.net.eval()
    pieces = tqdm(faces.split(PIECE), desc="predicting", leave=False, delay=2)
    device = next(judge.net.parameters()).device
    logits = [predict_batch(judge.net, some.to(device), judge.image_size, torch.float32) for some in pieces]
    return torch.cat(logits).cpu()


def features_of(judge: Trained, faces: Tensor) -> Tensor:
    """What the judge's head sees, [N,F], each of length 1."""
    seen: list[Tensor] = []
    hook = judge.net.head.register_forward_hook(lambda head, inputs, output: seen.append(inputs[0].float()))
    logits_of(judge, faces)
    hook.remove()
    return torch.nn.functional.normalize(torch.cat(seen), dim=1).cpu()


def found_share(faces: np.ndarray) -> float:
    """The share of faces uint8 [N,48,48] on which dlib finds one or more."""
    large = (Image.fromarray(face).resize((DETECTOR_SIDE, DETECTOR_SIDE), Image.Resampling.BICUBIC) for face in faces)
    return float(np.mean([len(detect(np.asarray(face))) > 0 for face in tqdm(large, total=len(faces), delay=2)]))


def draw_nearest(path: Path, faces: Tensor, labels: Tensor, train: Tensor, nearest: tuple[Tensor, Tensor]) -> Path:
    """A sheet of the faces of each emotion that are nearest to a Training face, each beside that one."""
    near, of_train = nearest
    rows = []
    for emotion in range(len(EMOTIONS)):
        own = (labels == emotion).nonzero()[:, 0]
        own = own[near[own].argsort()[:NEAREST_SHOWN]]
        pairs = [face.numpy() for row in own for face in (faces[row], train[of_train[row]])]
        rows.append([*pairs, *[None] * (2 * NEAREST_SHOWN - len(pairs))])
    return face_sheet(path, rows, EMOTIONS, ["sample", "Training"] * NEAREST_SHOWN)


if __name__ == "__main__":
    run_command(main)
