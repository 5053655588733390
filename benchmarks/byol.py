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
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.baseline import BaselinePairs, baseline_net, train_steps, train_transform
from benchmarks.measuring import print_speeds
from benchmarks.train import our_steps, prepare, training_parser
from core_code.core_utils.errors import run_command
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

    def loss_of(first: Tensor, second: Tensor) -> Tensor:
        views = first.to(device), second.to(device)
        with torch.no_grad():
            targets = [target(view) for view in views]
        predictions = [prediction(online(view)) for view in views]
        pairs = zip(predictions, reversed(targets), strict=True)
        return sum(2 - 2 * F.cosine_similarity(predicted, aimed_at).mean() for predicted, aimed_at in pairs)

    def average() -> None:
        for averaged, now in zip(target.parameters(), online.parameters(), strict=True):
            averaged.data = averaged.data * 0.99 + now.data * 0.01

    parameters = [*online.parameters(), *prediction.parameters()]
    return train_steps(faces, args.batch_size, args.workers, parameters, loss_of, average)


def main() -> None:
    args = training_parser(__doc__, ("ours", "baseline")).parse_args()
    device, faces, augmentations, training = prepare(args, ARCHITECTURES[args.net_name].byol_defaults)
    batches = FaceBatches(faces, args.batch_size, device, shuffle=True)
    task = make_byol_task(args.net_name, batches, batches, training, augmentations, weights="none")
    task.net.train()
    pairs = BaselinePairs(faces, train_transform(args.image_size), args.augmentations_folder)
    implementations = {"ours": lambda: our_steps(task), "baseline": lambda: baseline_steps(pairs, args, device)}
    count = len(augmentations.images) if augmentations else 0
    print_speeds(
        implementations, args, "faces", device, training.dtype,
        net=args.net_name, image_size=args.image_size, batch_size=args.batch_size, augmentations=count,
    )  # fmt: skip


if __name__ == "__main__":
    run_command(main)
