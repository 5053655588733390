"""torchrun for tests: imports the program once, then forks the processes of job after job, in seconds not minutes.

Reads a job a line (JSON), answers with a line: the processes' exit statuses. As torchrun does, it ends all of them when
one has failed.
"""

import importlib
import json
import os
import signal
import socket
import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn
from torchvision.models._api import register_model

import train_model  # noqa: F401 (imported once, for all that are forked)
from core_code.core_utils.distributed import job as distributed
from core_code.core_utils.errors import run_command
from core_code.core_utils.plots import saving
from core_code.datasets.augmentations import detection
from core_code.models.architectures import ARCHITECTURES, Architecture, HyperParameters
from core_code.training import byol as train_byol
from core_code.training import settings  # noqa: F401
from core_code.training.classifier import ClassifierTask
from EmotionGAN.editor import Editor
from EmotionGAN.learn import __main__ as learn  # noqa: F401
from EmotionGAN.learn import run as learn_run
from EmotionGAN.learn.data import BalancedFaces

PATIENCE_S = 20  # for processes that were asked to end


@register_model()
def few_layers(weights: None = None) -> nn.Module:
    """A net whose batch norms see enough values for rounding to stay rounding. In batches of a few faces with maps of
    one pixel, as deep nets have them of small views, the last digit becomes the first within a few steps."""
    parts = {
        "conv1": nn.Conv2d(3, 8, 3, 2, bias=False), "bn1": nn.BatchNorm2d(8), "relu1": nn.ReLU(),
        "conv2": nn.Conv2d(8, 16, 3, 2, bias=False), "bn2": nn.BatchNorm2d(16), "relu2": nn.ReLU(),
        "pool": nn.AdaptiveAvgPool2d(1), "flat": nn.Flatten(), "fc": nn.Linear(16, 1000),
    }  # fmt: skip
    return nn.Sequential(OrderedDict(parts))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def play(job: dict) -> list[int]:
    """Run a job's processes; returns their statuses, negative for signals."""
    there = {"WORLD_SIZE": str(job["processes"]), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    children = {}
    for rank in range(job["processes"]):
        child = os.fork()
        if child == 0:
            if job["processes"] > 1:
                os.environ.update(there | {"RANK": str(rank), "LOCAL_RANK": str(rank)})
            be_process(job, rank)
        children[child] = rank
    statuses = [0] * job["processes"]
    asked = None
    while children:
        ended, status = os.waitpid(-1, os.WNOHANG)
        if ended:
            statuses[children.pop(ended)] = os.waitstatus_to_exitcode(status)
        if asked is None and any(statuses):
            asked = time.monotonic()
            for child in children:
                os.kill(child, signal.SIGTERM)
        if asked and time.monotonic() > asked + PATIENCE_S:
            for child in children:
                os.kill(child, signal.SIGKILL)
        time.sleep(0 if ended else 0.02)
    return statuses


def be_process(job: dict, rank: int) -> None:
    """Be one process of a job from here to its end: a command in the job's folder, its words in <said>.<rank>.*."""
    for number, name in ((0, os.devnull), (1, f"{job['said']}.{rank}.out"), (2, f"{job['said']}.{rank}.err")):
        os.dup2(os.open(name, os.O_RDWR | os.O_CREAT), number)
    os.chdir(job["folder"])
    try:
        if fault := job.get("fault"):
            break_at(fault, rank)
        command = importlib.import_module(job["command"])
        run_command(lambda: command.main(job["arguments"]))
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def break_at(fault: dict, rank: int) -> None:
    """Let what `fault` says happen in the process `rank` at its `step`-th step: one of HAPPENINGS."""
    if fault["rank"] != rank:
        return
    owner, name = STEPS[fault.get("of", "training")]
    step, steps = getattr(owner, name), []

    def faulty(self: object, *arguments: object) -> torch.Tensor:
        steps.append(1)
        if len(steps) == fault["step"]:
            HAPPENINGS[fault["what"]]()
        return step(self, *arguments)

    setattr(owner, name, faulty)


def bad_input() -> None:
    raise distributed.InputError("face 7: out of order")


def clock_an_hour_slow() -> None:
    monotonic = time.monotonic
    learn_run.time = SimpleNamespace(monotonic=lambda: monotonic() - 3600)


STEPS: dict[str, tuple[Any, str]] = {
    "training": (ClassifierTask, "step"),
    "byol": (train_byol.BYOLTask, "step"),
    "detection": (detection, "find_boxes"),
    "images": (Editor, "edit"),
    "learning": (BalancedFaces, "sample"),
}
HAPPENINGS: dict[str, Callable[[], None]] = {
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "terminated": lambda: os.kill(os.getpid(), signal.SIGTERM),
    "bad input": bad_input,
    "hangs": lambda: time.sleep(3600),
    "clock an hour slow": clock_an_hour_slow,
}


def prepare() -> None:
    """One thread, pictures drawn small, and a net named `small`."""
    torch.set_num_threads(1)
    saving.DPI = 30
    ARCHITECTURES["small"] = Architecture("few_layers", "none", 16, "fc", HyperParameters(16, 1e-3, 1e-5))


def serve() -> None:
    """Answer jobs until there are no more."""
    prepare()
    for line in sys.stdin:
        job = json.loads(line)
        Path(job["said"]).parent.mkdir(parents=True, exist_ok=True)
        print(json.dumps(play(job)), flush=True)


if __name__ == "__main__":
    serve()
