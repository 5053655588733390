"""Training faces per second, beside a strong and a plain baseline implementation and beside the net alone.

    python benchmarks/train.py --net_name resnet18 --image_size 224

ours: what train_model.py --fine_tune True does. strong: benchmarks/strong.py, whole batches on the device (with
--compile_strong True compiled, on a GPU with graphs of its own). baseline: a Dataset that makes a PIL image of every
face, torchvision's transforms one by one, a DataLoader, float32, contiguous memory, Adam by default. fixed: our net and
step on one batch of ready views, which no data path can beat. With --augmentations_folder FOLDER (of
create_augmentations.py, or of benchmarks/run.py) all but the last replace four faces of five by one of their
augmentations. All take turns in the same process; medians of the rounds. Where others keep the machine busy, the
figures by this process's CPU time say more (with --workers 0; on a GPU they mean nothing). Prints one JSON object.
"""

import argparse
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.baseline import BaselineFaces, baseline_net, train_steps, train_transform
from benchmarks.measuring import make_parser, print_speeds
from benchmarks.strong import strong_steps
from core_code.core_utils import flags
from core_code.core_utils.devices import pick_hardware
from core_code.core_utils.errors import run_command
from core_code.core_utils.transforms import train_view
from core_code.datasets.augmentations.store import Augmentations
from core_code.datasets.fer2013 import FER2013
from core_code.datasets.loader import FaceBatches
from core_code.models.architectures import ARCHITECTURES, IMAGENET_STEM, STEMS, HyperParameters
from core_code.models.emotion_net import EmotionNet
from core_code.training.classifier import ClassifierTask
from core_code.training.loop import Task
from core_code.training.settings import TrainingSettings

PROBABILITY = 0.8  # of an augmentation in a face's place, where there are any


def training_parser(description: str, names: tuple[str, ...]) -> argparse.ArgumentParser:
    """The flags of a benchmark of training."""
    parser = make_parser(description, names)
    parser.add_argument("--batch_size", type=flags.count, help="(default: the net's)")
    parser.add_argument("--augmentations_folder", type=Path)
    parser.add_argument("--workers", type=int, default=0, help="of the baseline's DataLoader")
    return parser


def prepare(
    args: argparse.Namespace, defaults: HyperParameters
) -> tuple[torch.device, FER2013, Augmentations | None, TrainingSettings]:
    """Device, faces, their augmentations if any, and settings as in training at a constant learning rate."""
    args.batch_size = args.batch_size or defaults.batch_size
    device, dtype = pick_hardware(args.device, args.precision)
    torch.manual_seed(args.seed)
    faces = FER2013(args.data_root, "train", args.dataset, args.max_faces)
    folder = args.augmentations_folder
    training = TrainingSettings(
        epochs=1, lr=1e-4, weight_decay=0.0, optimizer="adam", scheduler="none",
        image_size=args.image_size, seed=1, dtype=dtype,
    )  # fmt: skip
    return device, faces, Augmentations.open(folder, faces) if folder else None, training


def our_steps(task: Task) -> Iterator[int]:
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
        task.step(views, labels, labels).item()
        yield len(labels)


def baseline_steps(faces: BaselineFaces, args: argparse.Namespace, device: torch.device) -> Iterator[int]:
    """Endless training; yields the faces of each step."""
    net = baseline_net(args.net_name, args.stem).to(device).train()

    def loss_of(views: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(net(views.to(device)), labels.to(device))

    return train_steps(faces, args.batch_size, args.workers, net.parameters(), loss_of)


def main() -> None:
    parser = training_parser(__doc__, ("ours", "strong", "baseline", "fixed"))
    flags.add_boolean(parser, "--compile_strong", False, "compile the strong baseline, which takes minutes")
    parser.add_argument("--stem", choices=STEMS, default=IMAGENET_STEM, help="of all nets here")
    args = parser.parse_args()
    device, faces, augmentations, training = prepare(args, ARCHITECTURES[args.net_name].defaults)
    batches = FaceBatches(
        faces, args.batch_size, device, shuffle=True, augmentations=augmentations, probability=PROBABILITY
    )
    task = ClassifierTask(EmotionNet(args.net_name, stem=args.stem).to(device).train(), batches, batches, training)
    baseline = BaselineFaces(faces, train_transform(args.image_size), args.augmentations_folder, PROBABILITY)
    many = augmentations and augmentations.images.unflatten(0, (len(faces), -1)).to(device)
    strong = partial(
        strong_steps, faces.faces.to(device), faces.labels.to(device), args.net_name, args.image_size, args.batch_size,
        training.dtype, args.compile_strong, args.stem, many, PROBABILITY,
    )  # fmt: skip
    implementations = {
        "ours": lambda: our_steps(task),
        "strong": strong,
        "baseline": lambda: baseline_steps(baseline, args, device),
        "fixed": lambda: fixed_steps(task),
    }
    count = len(augmentations.images) if augmentations else 0
    print_speeds(
        implementations, args, "faces", device, training.dtype,
        net=args.net_name, image_size=args.image_size, batch_size=args.batch_size, augmentations=count,
        stem=args.stem,
    )  # fmt: skip


if __name__ == "__main__":
    run_command(main)
