"""Faces per second of reading a whole split, beside the plain way to write it.

    python benchmarks/evaluate.py --net_name resnet18 --image_size 224

ours: what core_code.evaluate does to get the logits. plain: one face at a time through PIL, torchvision's transforms
and the net, float32. Prints one JSON object.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch

from benchmarks.plain import PlainFaces, evaluation_transform, plain_net
from benchmarks.turns import chosen, figures, take_turns
from core_code.core_utils import flags
from core_code.core_utils.devices import pick_device, pick_dtype
from core_code.core_utils.errors import run_command
from core_code.datasets.fer2013 import FER2013
from core_code.datasets.loader import FaceBatches
from core_code.models.architectures import ARCHITECTURES
from core_code.models.emotion_net import EmotionNet
from core_code.training.inference import predict_batch

BATCH_SIZE = 256
PLAIN_FACES = 64  # in a step
WAYS = ("ours", "plain")


def our_steps(faces: FER2013, args: argparse.Namespace, device: torch.device) -> Iterator[int]:
    """Endless reading, a batch a step."""
    net = EmotionNet(args.net_name).to(device).eval()
    dtype = pick_dtype(args.precision, device)
    while True:
        for batch, _, _ in FaceBatches(faces, BATCH_SIZE, device):
            predict_batch(net, batch, args.image_size, dtype).sum().item()
            yield len(batch)


@torch.no_grad()
def plain_steps(faces: FER2013, args: argparse.Namespace, device: torch.device) -> Iterator[int]:
    """Endless reading, PLAIN_FACES faces a step."""
    net = plain_net(args.net_name).to(device).eval()
    plain = PlainFaces(faces, evaluation_transform(args.image_size))
    while True:
        for row in range(PLAIN_FACES):
            view, _ = plain[row % len(plain)]
            net(view[None].to(device)).argmax().item()
        yield PLAIN_FACES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net_name", choices=tuple(ARCHITECTURES), default="resnet18")
    parser.add_argument("--image_size", type=flags.count, default=224)
    parser.add_argument("--rounds", type=flags.count, default=3)
    parser.add_argument("--steps", type=flags.count, default=2, help="steps of each way in a round (default: 2)")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=None, help="some alone, to see their peak memory")
    flags.add_data_flags(parser)
    flags.add_device_flags(parser)
    args = parser.parse_args()
    device = pick_device(args.device)
    faces = FER2013(args.data_root, "val", args.dataset, args.max_faces)
    ways = {"ours": lambda: our_steps(faces, args, device), "plain": lambda: plain_steps(faces, args, device)}
    speeds = take_turns(chosen(ways, args.ways), args.rounds, args.steps)
    result = {
        "net": args.net_name,
        "image_size": args.image_size,
        "device": str(device),
        "dtype": str(pick_dtype(args.precision, device)).removeprefix("torch."),
        "threads": torch.get_num_threads(),
    }
    print(json.dumps(result | figures(speeds, "faces"), indent=2))


if __name__ == "__main__":
    run_command(main)
