"""Faces per second of a BYOL step, beside the plain way to write it.

    python benchmarks/byol.py --net_name resnet18 --image_size 64

ours: what train_byol_model.py --fine_tune True does. plain: two views of each face through PIL and torchvision's
transforms, one by one, float32, each view through each net by itself, the moving average in a Python loop. Without
--augmentations_folder both views are of the face itself. All take turns in the same process; medians of the rounds.
Prints one JSON object.
"""

import argparse
import copy
import json
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from benchmarks.plain import PlainPairs, plain_net, train_transform
from benchmarks.train import our_steps
from benchmarks.turns import chosen, figures, take_turns
from core_code.core_utils import flags
from core_code.core_utils.devices import pick_device, pick_dtype
from core_code.core_utils.errors import run_command
from core_code.datasets.augmentations.store import Augmentations
from core_code.datasets.fer2013 import FER2013
from core_code.datasets.loader import FaceBatches
from core_code.models.architectures import ARCHITECTURES
from core_code.training.byol import BYOLTask, make_byol_task
from core_code.training.settings import TrainingSettings

WAYS = ("ours", "plain")


def our_task(faces: FER2013, args: argparse.Namespace, device: torch.device) -> BYOLTask:
    """What train_byol_model.py trains with."""
    training = TrainingSettings(
        epochs=1, lr=1e-4, weight_decay=0.0, optimizer="adam", scheduler="none",
        image_size=args.image_size, seed=1, dtype=pick_dtype(args.precision, device),
    )  # fmt: skip
    batches = FaceBatches(faces, args.batch_size, device, shuffle=True)
    augmentations = Augmentations.open(args.augmentations_folder, faces) if args.augmentations_folder else None
    return make_byol_task(args.net_name, batches, batches, training, augmentations, weights="none")


def plain_heads(features: int) -> tuple[nn.Module, nn.Module]:
    """Projection and prediction."""

    def mlp(inputs: int) -> nn.Module:
        return nn.Sequential(nn.Linear(inputs, 1024), nn.BatchNorm1d(1024), nn.ReLU(), nn.Linear(1024, 256))

    return mlp(features), mlp(256)


def plain_steps(faces: PlainPairs, args: argparse.Namespace, device: torch.device) -> Iterator[int]:
    """Endless plain pre-training; yields the faces of each step."""
    backbone = plain_net(args.net_name)
    setattr(backbone, ARCHITECTURES[args.net_name].head, nn.Identity())
    projection, prediction = plain_heads(ARCHITECTURES[args.net_name].features)
    online = nn.Sequential(backbone, projection).to(device).train()
    prediction.to(device)
    target = copy.deepcopy(online).requires_grad_(False)
    optimizer = torch.optim.Adam([*online.parameters(), *prediction.parameters()], lr=1e-4)
    loader = DataLoader(faces, args.batch_size, shuffle=True, num_workers=args.workers, drop_last=True)
    while True:
        for first, second in loader:
            views = first.to(device), second.to(device)
            with torch.no_grad():
                targets = [target(view) for view in views]
            predictions = [prediction(online(view)) for view in views]
            loss = sum(
                2 - 2 * F.cosine_similarity(predicted, aimed_at).mean()
                for predicted, aimed_at in zip(predictions, reversed(targets), strict=True)
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            for averaged, now in zip(target.parameters(), online.parameters(), strict=True):
                averaged.data = averaged.data * 0.99 + now.data * 0.01
            loss.item()
            yield len(first)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net_name", choices=tuple(ARCHITECTURES), default="resnet18")
    parser.add_argument("--image_size", type=flags.count, default=224)
    parser.add_argument("--batch_size", type=flags.count, default=None, help="(default: the net's for BYOL)")
    parser.add_argument("--augmentations_folder", type=Path, default=None)
    parser.add_argument("--rounds", type=flags.count, default=3)
    parser.add_argument("--steps", type=flags.count, default=2, help="steps of each way in a round (default: 2)")
    parser.add_argument("--workers", type=int, default=0, help="of the plain way's DataLoader (default: 0)")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=None, help="some alone, to see their peak memory")
    flags.add_data_flags(parser)
    flags.add_device_flags(parser)
    args = parser.parse_args()
    args.batch_size = args.batch_size or ARCHITECTURES[args.net_name].byol_defaults.batch_size
    device = pick_device(args.device)
    torch.manual_seed(args.seed)
    faces = FER2013(args.data_root, "train", args.dataset, args.max_faces)
    task = our_task(faces, args, device)
    task.net.train()
    pairs = PlainPairs(faces, train_transform(args.image_size), args.augmentations_folder)
    ways = {"ours": lambda: our_steps(task), "plain": lambda: plain_steps(pairs, args, device)}
    speeds = take_turns(chosen(ways, args.ways), args.rounds, args.steps)
    result = {
        "net": args.net_name,
        "image_size": args.image_size,
        "batch_size": args.batch_size,
        "augmentations": len(task.augmentations.images) if task.augmentations else 0,
        "device": str(device),
        "dtype": str(task.training.dtype).removeprefix("torch."),
        "threads": torch.get_num_threads(),
    }
    print(json.dumps(result | figures(speeds, "faces"), indent=2))


if __name__ == "__main__":
    run_command(main)
