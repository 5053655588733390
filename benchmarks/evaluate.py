"""Faces per second of predicting a whole split, beside a baseline implementation.

    python benchmarks/evaluate.py --net_name resnet18 --image_size 224

ours: what core_code.evaluate does to get the logits. baseline: one face at a time through PIL, torchvision's transforms
and the net, float32. Prints one JSON object.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch

from benchmarks.baseline import BaselineFaces, baseline_net, evaluation_transform
from benchmarks.measuring import make_parser, print_speeds
from core_code.core_utils.acceleration import accelerate
from core_code.core_utils.devices import pick_hardware
from core_code.core_utils.errors import run_command
from core_code.datasets.fer2013 import FER2013
from core_code.datasets.loader import FaceBatches
from core_code.models.emotion_net import EmotionNet
from core_code.training.inference import predict_batch

BATCH_SIZE = 256
BASELINE_FACES = 64  # in a step


def our_steps(faces: FER2013, args: argparse.Namespace, device: torch.device, dtype: torch.dtype) -> Iterator[int]:
    """Endless prediction, a batch a step."""
    net = accelerate(EmotionNet(args.net_name)).to(device).eval()
    while True:
        for batch, _, _ in FaceBatches(faces, BATCH_SIZE, device):
            predict_batch(net, batch, args.image_size, dtype).sum().item()
            yield len(batch)


@torch.no_grad()
def baseline_steps(faces: FER2013, args: argparse.Namespace, device: torch.device) -> Iterator[int]:
    """Endless prediction, BASELINE_FACES faces a step."""
    net = baseline_net(args.net_name).to(device).eval()
    dataset = BaselineFaces(faces, evaluation_transform(args.image_size))
    while True:
        for row in range(BASELINE_FACES):
            view, _ = dataset[row % len(dataset)]
            net(view[None].to(device)).argmax().item()
        yield BASELINE_FACES


def main() -> None:
    args = make_parser(__doc__, ("ours", "baseline")).parse_args()
    device, dtype = pick_hardware(args.device, args.precision)
    faces = FER2013(args.data_root, "val", args.dataset, args.max_faces)
    implementations = {
        "ours": lambda: our_steps(faces, args, device, dtype),
        "baseline": lambda: baseline_steps(faces, args, device),
    }
    print_speeds(implementations, args, "faces", device, dtype, net=args.net_name, image_size=args.image_size)


if __name__ == "__main__":
    run_command(main)
