"""How long a study will take here: each kind of work is tried for a moment before."""

import argparse
import time
from collections.abc import Callable, Sequence

import torch

from core_code.core_utils.devices import pick_device, pick_dtype
from core_code.datasets.labelled_faces import LabelledFaces
from core_code.datasets.loader import FaceBatches
from core_code.experiments.plan import Step
from core_code.models.architectures import ARCHITECTURES
from core_code.models.byol import BYOL
from core_code.models.emotion_net import EmotionNet
from core_code.training.byol import BYOLTask
from core_code.training.classifier import ClassifierTask
from core_code.training.settings import TrainingSettings
from EmotionGAN.editor import Editor

MOST_AT_ONCE = 32  # faces of a trial step: a whole batch at 224 px takes long on a CPU and tells no more
TRIALS = 2


class GreyFaces(LabelledFaces):
    """Faces of which nothing is learned: uint8 [N,48,48] noise."""

    def __init__(self, count: int) -> None:
        self.faces = torch.randint(0, 256, (count, 48, 48), dtype=torch.uint8)
        self.labels = torch.arange(count) % 7


def seconds_of(steps: Sequence[Step], args: argparse.Namespace) -> dict[str, float]:
    """The seconds that each step not yet complete will take on this device, by its name.

    From the faces (or images) a second of a short trial of each kind of work; data that wait, and validation, are
    not in it. Raises InputError for the device or the generator.
    """
    rates: dict[tuple[str, str, int], float] = {}
    seconds = {}
    for step in steps:
        if step.complete:
            continue
        work = (step.kind, step.net, step.image_size)
        if work not in rates:
            rates[work] = rate_of(step, args)
        seconds[step.name] = step.amount / rates[work]
    return seconds


def rate_of(step: Step, args: argparse.Namespace) -> float:
    """Images made, or faces trained on, a second."""
    device = pick_device(args.device)
    dtype = pick_dtype(args.precision, device)
    if step.kind == "images":
        editor = Editor.load(args.generator, device, dtype)
        faces = GreyFaces(MOST_AT_ONCE).faces
        codes = torch.zeros(len(faces), 2)
        return MOST_AT_ONCE / quickest(lambda: editor.edit(faces, codes), device)
    architecture = ARCHITECTURES[step.net]
    defaults = architecture.byol_defaults if step.kind == "byol" else architecture.defaults
    batch = min(defaults.batch_size, MOST_AT_ONCE)
    training = TrainingSettings(
        epochs=1, lr=defaults.lr, weight_decay=defaults.weight_decay, optimizer=defaults.optimizer,
        scheduler=defaults.scheduler, image_size=step.image_size, seed=step.seed, dtype=dtype,
    )  # fmt: skip
    batches = FaceBatches(GreyFaces(batch), batch, device, shuffle=True)
    if step.kind == "byol":
        task = BYOLTask(BYOL(step.net).to(device), batches, batches, training)
    else:
        task = ClassifierTask(EmotionNet(step.net).to(device), batches, batches, training)
    task.net.train()
    return batch / quickest(lambda: [loss for loss, _ in task.steps(1)], device)


def quickest(work: Callable[[], object], device: torch.device) -> float:
    """The seconds of the best of a few goes, after one that warms up."""
    times = []
    for _ in range(1 + TRIALS):
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - start)
    return min(times[1:])
