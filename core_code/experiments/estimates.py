"""How long a study will take here: each kind of work is timed for a moment before."""

import time
from collections.abc import Callable, Sequence

import torch

from core_code.core_utils.devices import pick_hardware
from core_code.datasets.labelled_faces import LabelledFaces
from core_code.datasets.loader import FaceBatches
from core_code.experiments.plan import Step
from core_code.experiments.presets import StudySettings
from core_code.models.architectures import ARCHITECTURES
from core_code.models.byol import BYOL
from core_code.models.emotion_net import EmotionNet
from core_code.training.byol import BYOLTask
from core_code.training.classifier import ClassifierTask
from core_code.training.settings import TrainingSettings
from EmotionGAN.editor import Editor

MOST_FACES = 32  # of a timed step: a whole batch at 224 px takes long on a CPU and is no more exact
TRIALS = 2


def seconds_of(steps: Sequence[Step], study: StudySettings) -> dict[str, float]:
    """The seconds that each step not yet complete will take on this device, by its name.

    From the faces (or images) a second of a short trial of each kind of work; waiting for data and validation are not
    in it. Raises InputError for the device or the generator.
    """
    rates: dict[tuple[str, str, int], float] = {}
    seconds = {}
    for step in steps:
        if not step.complete:
            work = (step.kind, step.net, step.image_size)
            rates[work] = rates.get(work) or rate_of(step, study)
            seconds[step.name] = step.amount / rates[work]
    return seconds


def rate_of(step: Step, study: StudySettings) -> float:
    """Images generated, or faces trained on, a second."""
    device, dtype = pick_hardware(study.device, study.precision)
    noise = torch.randint(0, 256, (MOST_FACES, 48, 48), dtype=torch.uint8)
    if step.kind == "images":
        editor, codes = Editor.load(study.generator, device, dtype), torch.zeros(MOST_FACES, 2)
        return MOST_FACES / shortest(lambda: editor.edit(noise, codes), device)
    architecture = ARCHITECTURES[step.net]
    settings = dict(vars(architecture.byol_defaults if step.kind == "byol" else architecture.defaults))
    batch = min(settings.pop("batch_size"), MOST_FACES)
    training = TrainingSettings(epochs=1, image_size=step.image_size, seed=step.seed, dtype=dtype, **settings)
    batches = FaceBatches(LabelledFaces(noise[:batch], torch.arange(batch) % 7), batch, device, shuffle=True)
    task: BYOLTask | ClassifierTask
    if step.kind == "byol":
        task = BYOLTask(BYOL(step.net).to(device), batches, batches, training)
    else:
        task = ClassifierTask(EmotionNet(step.net).to(device), batches, batches, training)
    task.net.train()
    return batch / shortest(lambda: [loss for loss, _ in task.steps(1)], device)


def shortest(work: Callable[[], object], device: torch.device) -> float:
    """The shortest of a few times in seconds, after one run that warms up."""
    times = []
    for _ in range(1 + TRIALS):
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - start)
    return min(times[1:])
