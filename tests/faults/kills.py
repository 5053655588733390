"""Commands that are killed with -9 at random moments, again and again, and started again until they finish."""

import json
import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import optuna
import torch
from optuna.trial import TrialState
from processes import ROOT, SMALL_NET, Process, parts, started
from training_runs import differences

# Of each series: how many kills by default, and how many more with the marker `slow`.
PLAN = {
    "augmentations": (4, 10),
    "expansion": (0, 7),
    "training": (3, 8),
    "byol": (0, 7),
    "study": (2, 6),
    "learning": (0, 8),
    "resnet18": (0, 4),
}
SAMPLE = ["--dataset", "sample", "--device", "cpu", "--precision", "fp32"]
VIEWS = ["--image_size", "32", "--weights", "none"]
STEPS = 5  # for each kill: on a busy machine one comes later than it was meant to
EVERY = 4  # steps between two checkpoints of a learning run
Kept = dict[Any, Any]


@dataclass(frozen=True)
class Series:
    """A command that works in steps that can be counted from outside while it runs.

    `seen(folder, said, before)` counts the steps that are finished as far as one can see, `before` of which were
    when the process started; `kept(folder)` is what a new start finds of them. A finished step is seen up to `ahead`
    steps before it is kept, and that many may be lost. A killed process lives for `stride` steps more or less.
    """

    command: list[str]
    seen: Callable[[Path, str, int], int]
    kept: Callable[[Path], Kept]
    again: tuple[str, ...] = ()
    ahead: int = 0
    stride: int = 1
    pause_s: float = 0.4


def kill_again_and_again(series: Series, folder: Path, kills: int, draws: random.Random) -> tuple[int, Kept]:
    """Start the series' command and kill it, `kills` times; returns how many -9 ended, and what is kept by then.

    Each time what was kept before must still be, and what was seen must be kept, the last `ahead` steps apart.
    """
    killed, kept = 0, {}
    for number in range(kills):
        before = len(kept)
        with started([*series.command, *(series.again if number else ())], folder) as process:
            wait_for_a_moment(process, series, before, draws)
            seen = series.seen(folder, process.out, before)
            killed += process.kill()
        assert "Traceback" not in process.err, process.story()
        now = series.kept(folder)
        assert not differences(kept, {key: now.get(key) for key in kept}), process.story()
        assert len(now) >= seen - series.ahead, process.story()
        kept = now
    return killed, kept


def wait_for_a_moment(process: Process, series: Series, before: int, draws: random.Random) -> None:
    """Let the process live until a moment drawn at random: some steps after its first word, and then for some time,
    or until a file is half written; but never for more than twice `stride` steps."""
    after = before + draws.randint(0, series.stride)
    pause, at_a_file = draws.uniform(0, series.pause_s), draws.random() < 0.4
    assert process.wait_until(lambda: bool(process.out or process.err)), process.story()

    def steps() -> int:
        return series.seen(process.folder, process.out, before)

    assert process.wait_until(lambda: steps() >= after), process.story()
    deadline = time.monotonic() + pause

    def is_the_moment() -> bool:
        return bool(parts(process.folder)) if at_a_file else time.monotonic() >= deadline

    process.wait_until(lambda: is_the_moment() or steps() > after + series.stride)


def augmentations(kills: int, shop: Path) -> Series:
    """Augmentations, of which each one is a step; as many as give each kill some seconds of work."""
    faces = 100 * (kills + 2)
    return images(["--generator", str(shop / "tiny"), "--num_augments", "10", "--max_faces", str(faces)], stride=150)


def expansion(kills: int, shop: Path) -> Series:
    """The expansion, about five images a face."""
    faces = 130 * (kills + 2)
    return images(
        ["--generator", str(shop / "tiny"), "--expand_dataset", "True", "--max_faces", str(faces)], stride=100
    )


def images(flags: list[str], stride: int) -> Series:
    """What is common to both kinds of images."""

    def names(folder: Path) -> list[Path]:
        return list((folder / "images").glob("*/*.png"))

    return Series(
        [script("create_augmentations.py"), *SAMPLE, "--dest_folder", "images", "--batch_size", "32", *flags],
        lambda folder, said, before: len(names(folder)),
        lambda folder: {str(path.relative_to(folder)): path.read_bytes().hex() for path in names(folder)},
        stride=stride,
        pause_s=0.1,
    )


def training(kills: int, shop: Path) -> Series:
    """Fine-tuning with augmentations."""
    return epochs("small", "train_model.py", kills, ["--emotion_transform_prob", "0.5", "--fine_tune", "True"], shop)


def byol(kills: int, shop: Path) -> Series:
    """BYOL of the whole net, second views of augmentations."""
    return epochs("byol_small", "train_byol_model.py", kills, ["--fine_tune", "True"], shop)


def resnet18(kills: int, shop: Path) -> Series:
    """The head of ResNet18 by train_model.py as it is; its checkpoints take longer to write."""
    flags = ["--emotion_transform_prob", "0.5", "--fine_tune", "False"]
    series = epochs("resnet18", "train_model.py", kills, flags, shop)
    return replace(series, command=series.command[1:])


def epochs(name: str, file: str, kills: int, flags: list[str], shop: Path) -> Series:
    """What is common to trainings: an epoch is a step, told before it is saved."""
    net = name.removeprefix("byol_")
    return Series(
        [SMALL_NET, script(file), *SAMPLE, *VIEWS, "--net_name", net, "--exp_name", "E", "--max_faces", "64",
         "--batch_size", "32", "--epochs", str(STEPS * kills), "--augmentations_folder", str(shop / "images"), *flags],
        lambda folder, said, before: before + len(re.findall("^epoch ", said, re.MULTILINE)),
        lambda folder: epochs_in(folder / f"checkpoints/ckpt_{name}_E_last_trained_epoch.pth"),
        again=("--resume", "True"),
        ahead=1,
    )  # fmt: skip


def epochs_in(path: Path) -> Kept:
    """The figures of each epoch that a checkpoint knows."""
    history = torch.load(path, weights_only=True)["history"] if path.exists() else []
    return {record["epoch"]: record for record in history}


def study(kills: int, shop: Path) -> Series:
    """A study; a trial that is told is in its database."""
    return Series(
        [SMALL_NET, script("optuna_study.py"), *SAMPLE, *VIEWS, "--net_name", "small", "--exp_name", "E",
         "--train_faces", "64", "--val_faces", "70", "--epochs", "2", "--n_trials", str(STEPS * kills)],
        lambda folder, said, before: before + len(re.findall(r"^trial \d+: .* in epoch ", said, re.MULTILINE)),
        lambda folder: trials_in(folder / "optuna_study_output/optuna_study_small_E.db"),
    )  # fmt: skip


def trials_in(path: Path) -> Kept:
    """Values and figure of each complete trial of a database."""
    if not path.exists() or not path.stat().st_size:
        return {}
    storage = f"sqlite:///{path}"
    if not optuna.get_all_study_names(storage):
        return {}
    trials = optuna.load_study(study_name=None, storage=storage).get_trials(states=(TrialState.COMPLETE,))
    return {trial.number: {**trial.params, "figure": trial.value} for trial in trials}


def learning(kills: int, shop: Path) -> Series:
    """A generator learned in both stages; an interval is a step, its line in the log is written before all is."""

    def logged(folder: Path) -> list[str]:
        path = folder / "run/learning.jsonl"
        return path.read_text().splitlines() if path.exists() else []

    def kept(folder: Path) -> Kept:
        path = folder / "run/learning.pth"
        step = torch.load(path, weights_only=True)["step"] if path.exists() else 0
        return {line["step"]: line for line in map(json.loads, logged(folder)[: step // EVERY])}

    steps = EVERY * (6 * kills - 1)  # a fast machine takes some before it is killed
    return Series(
        ["-m", "EmotionGAN.learn", *SAMPLE, "--dest", "run", "--image_size", "16", "--width", "4", "--blocks", "1",
         "--critic_layers", "2", "--critic_width", "4", "--batch_size", "4", "--critic_batch_size", "4",
         "--critic_steps", str(EVERY), "--steps", str(steps), "--every", str(EVERY)],
        lambda folder, said, before: len(logged(folder)),
        kept,
        ahead=1,
    )  # fmt: skip


def script(name: str) -> str:
    """One of the four scripts."""
    return str(ROOT / name)


SERIES = {make.__name__: make for make in (augmentations, expansion, training, byol, study, learning, resnet18)}
