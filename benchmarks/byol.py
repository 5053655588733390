"""Faces per second of a BYOL step, beside a baseline implementation.

    python benchmarks/byol.py --net_name resnet18 --image_size 64

ours: what train_byol_model.py --fine_tune True does. baseline: two views of each face through PIL and torchvision's
transforms, one by one, float32, each view through each net by itself, the moving average in a Python loop. Without
--augmentations_folder both views are of the face itself. Both take turns in the same process; medians of the rounds.
Prints one JSON object.
"""

import argparse
import copy
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from benchmarks.baseline import BaselinePairs, baseline_net, train_transform
from benchmarks.measuring import print_speeds
from benchmarks.train import facts, our_steps, training_parser, training_settings
from core_code.core_utils.devices import pick_device
from core_code.core_utils.errors import run_command
from core_code.datasets.augmentations.store import Augmentations
from core_code.datasets.fer2013 import FER2013
from core_code.datasets.loader import FaceBatches
from core_code.models.architectures import ARCHITECTURES
from core_code.training.byol import make_byol_task


def mlp(inputs: int) -> nn.Module:
    """A projection or prediction head."""
    return nn.Sequential(nn.Linear(inputs, 1024), nn.BatchNorm1d(1024), nn.ReLU(), nn.Linear(1024, 256))


def baseline_steps(faces: BaselinePairs, args: argparse.Namespace, device: torch.device) -> Iterator[int]:
    """Endless pre-training; yields the faces of each step."""
    backbone = baseline_net(args.net_name)
    setattr(backbone, ARCHITECTURES[args.net_name].head, nn.Identity())
    online = nn.Sequential(backbone, mlp(ARCHITECTURES[args.net_name].features)).to(device).train()
    prediction = mlp(256).to(device)
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
    args = training_parser(__doc__, ("ours", "baseline")).parse_args()
    args.batch_size = args.batch_size or ARCHITECTURES[args.net_name].byol_defaults.batch_size
    device = pick_device(args.device)
    torch.manual_seed(args.seed)
    faces = FER2013(args.data_root, "train", args.dataset, args.max_faces)
    folder = args.augmentations_folder
    augmentations = Augmentations.open(folder, faces) if folder else None
    batches = FaceBatches(faces, args.batch_size, device, shuffle=True)
    training = training_settings(args, device)
    task = make_byol_task(args.net_name, batches, batches, training, augmentations, weights="none")
    task.net.train()
    pairs = BaselinePairs(faces, train_transform(args.image_size), folder)
    implementations = {"ours": lambda: our_steps(task), "baseline": lambda: baseline_steps(pairs, args, device)}
    print_speeds(implementations, args, "faces", facts(args, training, device, augmentations))


if __name__ == "__main__":
    run_command(main)
