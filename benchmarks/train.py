"""Training faces per second, beside the plain way to write it and beside the net alone.

    python benchmarks/train.py --net_name resnet18 --image_size 224

ours: what train_model.py does. plain: a Dataset that makes a PIL image of every face, torchvision's transforms one by
one, a DataLoader, float32, contiguous memory, Adam as it comes. fixed: our net and step on one batch of ready-made
views, again and again: what no data path can beat. With --augmentations_folder FOLDER (of create_augmentations.py, or
of benchmarks/run.py) ours and plain replace four faces of five by one of their augmentations. All take turns in the
same process; medians of the rounds. Where others keep the machine busy, the figures by this process's CPU time say more
(with --workers 0; on a GPU they mean nothing). Prints one JSON object.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch

from benchmarks.plain import PlainFaces, train_steps, train_transform
from benchmarks.turns import chosen, figures, take_turns
from core_code.core_utils import flags
from core_code.core_utils.devices import pick_device, pick_dtype
from core_code.core_utils.errors import run_command
from core_code.core_utils.transforms import train_view
from core_code.datasets.augmentations.store import Augmentations
from core_code.datasets.fer2013 import FER2013
from core_code.datasets.loader import FaceBatches
from core_code.models.architectures import ARCHITECTURES
from core_code.models.emotion_net import EmotionNet
from core_code.training.classifier import ClassifierTask
from core_code.training.settings import TrainingSettings

PROBABILITY = 0.8  # of an augmentation in a face's place, where there are any
WAYS = ("ours", "plain", "fixed")


def our_task(faces: FER2013, args: argparse.Namespace, device: torch.device) -> ClassifierTask:
    """What train_model.py trains with."""
    training = TrainingSettings(
        epochs=1, lr=1e-4, weight_decay=0.0, optimizer="adam", scheduler="none",
        image_size=args.image_size, seed=1, dtype=pick_dtype(args.precision, device),
    )  # fmt: skip
    augmentations = Augmentations.open(args.augmentations_folder, faces) if args.augmentations_folder else None
    batches = FaceBatches(
        faces, args.batch_size, device, shuffle=True, augmentations=augmentations, probability=PROBABILITY
    )
    net = EmotionNet(args.net_name).to(device).train()
    return ClassifierTask(net, batches, batches, training)


def our_steps(task: ClassifierTask) -> Iterator[int]:
    """Endless training; yields the faces of each step."""
    epoch = 0
    while True:
        epoch += 1
        for loss, count in task.steps(epoch):
            loss.item()
            yield count


def fixed_steps(task: ClassifierTask) -> Iterator[int]:
    """Endless training on one batch; yields the faces of each step."""
    faces, labels, _ = next(iter(task.train))
    views = train_view(faces, task.training.image_size, torch.Generator().manual_seed(0), task.training.dtype)
    while True:
        task.step(views, labels).item()
        yield len(labels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net_name", choices=tuple(ARCHITECTURES), default="resnet18")
    parser.add_argument("--image_size", type=flags.count, default=224)
    parser.add_argument("--batch_size", type=flags.count, default=None, help="(default: the net's)")
    parser.add_argument("--augmentations_folder", type=Path, default=None)
    parser.add_argument("--rounds", type=flags.count, default=3)
    parser.add_argument("--steps", type=flags.count, default=2, help="steps of each way in a round (default: 2)")
    parser.add_argument("--workers", type=int, default=0, help="of the plain way's DataLoader (default: 0)")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=None, help="some alone, to see their peak memory")
    flags.add_data_flags(parser)
    flags.add_device_flags(parser)
    args = parser.parse_args()
    args.batch_size = args.batch_size or ARCHITECTURES[args.net_name].defaults.batch_size
    device = pick_device(args.device)
    torch.manual_seed(args.seed)
    faces = FER2013(args.data_root, "train", args.dataset, args.max_faces)
    task = our_task(faces, args, device)
    plain = PlainFaces(faces, train_transform(args.image_size), args.augmentations_folder, PROBABILITY)
    ways = {
        "ours": lambda: our_steps(task),
        "plain": lambda: train_steps(plain, args.net_name, args.batch_size, args.workers, device),
        "fixed": lambda: fixed_steps(task),
    }
    speeds = take_turns(chosen(ways, args.ways), args.rounds, args.steps)
    result = {
        "net": args.net_name,
        "image_size": args.image_size,
        "batch_size": args.batch_size,
        "augmentations": len(task.train.augmentations.images) if task.train.augmentations else 0,
        "device": str(device),
        "dtype": str(task.training.dtype).removeprefix("torch."),
        "threads": torch.get_num_threads(),
    }
    print(json.dumps(result | figures(speeds, "faces"), indent=2))


if __name__ == "__main__":
    run_command(main)
