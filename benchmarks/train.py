"""Training faces per second, beside the plain way to write it and beside the net alone.

    python benchmarks/train.py --net_name resnet18 --image_size 224

ours: what train_model.py does. plain: a Dataset that makes a PIL image of every face, torchvision's transforms one by
one, a DataLoader, float32, contiguous memory, Adam as it comes. fixed: our net and step on one batch of ready-made
views, again and again: what no data path can beat. All three take turns in the same process, so that a machine
that others use as well is the same for all; medians of the rounds. Where others keep the machine busy, the figures by
this process's CPU time say more (with --workers 0; on a GPU they mean nothing). Prints one JSON object.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torchvision import models, transforms

from core_code.core_utils import flags
from core_code.core_utils.devices import pick_device, pick_dtype
from core_code.core_utils.transforms import train_view
from core_code.datasets.batches import FaceBatches
from core_code.datasets.fer2013 import FER2013
from core_code.models.architectures import ARCHITECTURES
from core_code.models.emotion_net import EmotionNet
from core_code.train import ClassifierTask, Training


class PlainFaces(Dataset):
    """Faces one at a time, through PIL."""

    def __init__(self, faces: FER2013, size: int) -> None:
        self.faces = faces
        self.transform = transforms.Compose(
            [
                transforms.ToPILImage(),
                transforms.Grayscale(3),
                transforms.RandomResizedCrop(size),
                transforms.RandomHorizontalFlip(),
                transforms.RandomAdjustSharpness(2),
                transforms.ColorJitter(brightness=0.3),
                transforms.ToTensor(),
            ]
        )

    def __len__(self) -> int:
        return len(self.faces)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        face, label = self.faces[index]
        return self.transform(face), label


def plain_steps(faces: FER2013, args: argparse.Namespace, device: torch.device) -> Iterator[int]:
    """Endless plain training; yields the faces of each step."""
    net = models.get_model(ARCHITECTURES[args.net_name].builder, weights=None, num_classes=7).to(device).train()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-4)
    loader = DataLoader(PlainFaces(faces, args.image_size), args.batch_size, shuffle=True, num_workers=args.workers)
    while True:
        for views, labels in loader:
            loss = F.cross_entropy(net(views.to(device)), labels.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()
            yield len(labels)


def our_task(faces: FER2013, args: argparse.Namespace, device: torch.device) -> ClassifierTask:
    """What train_model.py trains with."""
    training = Training(
        epochs=1, lr=1e-4, weight_decay=0.0, optimizer="adam", scheduler="none",
        image_size=args.image_size, seed=1, dtype=pick_dtype(args.precision, device),
    )  # fmt: skip
    batches = FaceBatches(faces, args.batch_size, device, shuffle=True)
    net = EmotionNet(args.net_name).to(device).train()
    return ClassifierTask(net, batches, batches, batches, training)


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


def speed(steps: Iterator[int], count: int) -> tuple[float, float]:
    """Faces per second of the clock and of this process's CPU time, over `count` steps."""
    start, cpu_start = time.perf_counter(), time.process_time()
    faces = sum(next(steps) for _ in range(count))
    return faces / (time.perf_counter() - start), faces / (time.process_time() - cpu_start)


def measure(ways: dict[str, Callable[[], Iterator[int]]], rounds: int, steps: int) -> dict[str, tuple[float, float]]:
    """Each way's medians over the rounds, in which all take turns; the first round warms up and does not count."""
    running = {name: way() for name, way in ways.items()}
    speeds: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in running.items():
            measured = speed(way, steps if number else 1)
            if number:
                speeds[name].append(measured)
    return {name: tuple(map(statistics.median, zip(*values, strict=True))) for name, values in speeds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net_name", choices=tuple(ARCHITECTURES), default="resnet18")
    parser.add_argument("--image_size", type=flags.count, default=224)
    parser.add_argument("--batch_size", type=flags.count, default=None, help="(default: the net's)")
    parser.add_argument("--rounds", type=flags.count, default=3)
    parser.add_argument("--steps", type=flags.count, default=2, help="steps of each way in a round (default: 2)")
    parser.add_argument("--workers", type=int, default=0, help="of the plain way's DataLoader (default: 0)")
    flags.add_data_flags(parser)
    flags.add_device_flags(parser)
    args = parser.parse_args()
    args.batch_size = args.batch_size or ARCHITECTURES[args.net_name].defaults.batch_size
    device = pick_device(args.device)
    torch.manual_seed(args.seed)
    faces = FER2013(args.data_root, "train", args.dataset, args.max_faces)
    task = our_task(faces, args, device)
    speeds = measure(
        {
            "ours": lambda: our_steps(task),
            "plain": lambda: plain_steps(faces, args, device),
            "fixed": lambda: fixed_steps(task),
        },
        args.rounds,
        args.steps,
    )
    result = {
        "net": args.net_name,
        "image_size": args.image_size,
        "batch_size": args.batch_size,
        "device": str(device),
        "dtype": str(task.training.dtype).removeprefix("torch."),
        "threads": torch.get_num_threads(),
        **{f"{name}_faces_per_s": round(clock, 1) for name, (clock, _) in speeds.items()},
        **{f"{name}_faces_per_cpu_s": round(cpu, 1) for name, (_, cpu) in speeds.items()},
    }
    for other in ("plain", "fixed"):
        for unit, i in (("", 0), ("_by_cpu_time", 1)):
            result[f"ours_to_{other}{unit}"] = round(speeds["ours"][i] / speeds[other][i], 2)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
