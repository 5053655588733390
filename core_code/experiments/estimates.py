"""How long a study will take here: each kind of work is timed for a moment before, as it will be done."""

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from tqdm import tqdm

from core_code.core_utils.devices import pick_hardware
from core_code.core_utils.emotions import EMOTIONS
from core_code.core_utils.flags import boolean
from core_code.datasets.labelled_faces import LabelledFaces
from core_code.datasets.loader import FaceBatches
from core_code.experiments.plan import Step, flag_values
from core_code.experiments.presets import StudySettings
from core_code.models.architectures import ARCHITECTURES, IMAGENET_STEM
from core_code.models.byol import BYOL
from core_code.models.emotion_net import EmotionNet
from core_code.training.byol import BYOLTask
from core_code.training.classifier import ClassifierTask
from core_code.training.inference import predict
from core_code.training.recipes import recipe_values
from core_code.training.settings import TrainingSettings
from EmotionGAN.editor import Editor
from EmotionGAN.learn.config import NETWORK, LearnConfig
from EmotionGAN.learn.data import BalancedFaces
from EmotionGAN.learn.run import training_steps
from EmotionGAN.learn.trainer import Trainer
from EmotionGAN.networks.config import GeneratorConfig

# Of a step timed on a CPU: at 224 px 4 faces take long enough, each up to a quarter less than one of a whole batch.
MOST_FACES, MOST_PIXELS = 32, 4 * 224**2
TRIALS, ENOUGH_S = 3, 2.0  # on a CPU a first run that takes longer counts, it is within a tenth of the next
START_S = 8.0  # of a command until it computes: Python, PyTorch, the faces


class Cost(NamedTuple):
    """Seconds of each image, face or step of a kind of work, and of each face of val after an epoch."""

    each: float
    validation: float = 0.0


def seconds_of(steps: Sequence[Step], study: StudySettings, val_faces: int) -> dict[str, float]:
    """The seconds that each step not yet complete will take on this device, by its name.

    From short trials of each kind of work; reading and writing files is not in it. Raises InputError for the device
    or the generator.
    """
    works, costs = dict[Step, tuple[str, str, int]](), dict[tuple[str, str, int], Cost]()
    for step in steps:
        if not step.complete:
            works[step] = ("training" if step.kind == "labels" else step.kind, step.net, step.image_size)  # of teachers
    with tqdm(total=len(set(works.values())), desc="timing the kinds of work", leave=False, delay=2) as bar:
        for step, work in works.items():
            if work not in costs:
                costs[work] = cost_of(step, study)
                bar.update()
    return {
        step.name: START_S + step.amount * costs[work].each + step.epochs * val_faces * costs[work].validation
        for step, work in works.items()
    }


def cost_of(step: Step, study: StudySettings) -> Cost:
    """What a kind of work costs on the study's device."""
    device, dtype = pick_hardware(study.device, study.precision)
    noise = torch.randint(0, 256, (MOST_FACES, 48, 48), dtype=torch.uint8)
    if step.kind == "images":
        editor, codes = Editor.load(study.generator, device, dtype), torch.zeros(MOST_FACES, 2)
        return Cost(shortest(lambda: editor.edit(noise, codes), device) / MOST_FACES)
    if step.kind == "generator":
        steps = training_steps(*learner(study, noise, device), dtype)
        return Cost(shortest(lambda: next(steps), device))
    byol, architecture = step.kind == "byol", ARCHITECTURES[step.net]
    values: dict[str, Any] = vars(architecture.byol_defaults) if byol else {}
    values = values or recipe_values(study.recipe, step.net, step.image_size)
    values = typed(dict(values), study.byol_flags if byol else study.training_flags)
    batch, stem = values.pop("batch_size"), values.pop("stem", IMAGENET_STEM)
    if device.type != "cuda":
        batch = min(batch, MOST_FACES, max(MOST_PIXELS // step.image_size**2, 2))
    training = TrainingSettings(epochs=1, image_size=step.image_size, seed=step.seed, dtype=dtype, **values)
    faces = LabelledFaces(noise.repeat(-(-batch // MOST_FACES), 1, 1)[:batch], torch.arange(batch) % len(EMOTIONS))
    batches = FaceBatches(faces, batch, device, shuffle=True)
    task: BYOLTask | ClassifierTask
    if byol:
        task = BYOLTask(BYOL(step.net).to(device), batches, batches, training)
        task.net.train()
        return Cost(shortest(lambda: list(task.steps(1)), device) / batch)
    net = EmotionNet(step.net, stem=stem).to(device)
    task = ClassifierTask(net, batches, batches, training)
    net.train()
    each = shortest(lambda: list(task.steps(1)), device) / batch
    return Cost(each, shortest(lambda: predict(net, batches, step.image_size, dtype), device) / batch)


def learner(study: StudySettings, noise: torch.Tensor, device: torch.device) -> tuple[Trainer, BalancedFaces]:
    """A generator's training at its second stage, as its command has it, on noise."""
    network = typed(dict(NETWORK), study.generator_flags)
    known: dict[str, Any] = {"colours": "grey", "framing": "fer2013", "emotions": EMOTIONS}
    config = typed(vars(LearnConfig()), study.generator_flags) | {"discriminator_steps": 0, "steps": 1 << 30}
    generator = GeneratorConfig(**network, **known)
    trainer = Trainer(generator, LearnConfig(**config), study.seed, device)
    labels = torch.arange(len(noise)) % len(EMOTIONS)
    return trainer, BalancedFaces(noise, labels, network["image_size"], generator.channels, device)


def typed(values: dict[str, Any], words: Sequence[str]) -> dict[str, Any]:
    """The values with those that the words of a command line change, each of the type that it had."""
    given = {name: value for name, value in flag_values(words).items() if name in values}
    kinds = {name: boolean if isinstance(values[name], bool) else type(values[name]) for name in given}
    return values | {name: kinds[name](value) for name, value in given.items()}


def shortest(work: Callable[[], object], device: torch.device) -> float:
    """The shortest of a few times in seconds, after one run that warms up; on a CPU a long first run's."""
    times = list[float]()
    for _ in range(1 + TRIALS):
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - start)
        if device.type == "cpu" and times[0] > ENOUGH_S:
            return times[0]
    return min(times[1:])
