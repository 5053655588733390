"""The commands that write, each as a call in this process with tiny settings, for faults that need no kill."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

import create_augmentations
import optuna_study
import train_byol_model
import train_model
from core_code.core_utils.errors import run_command
from EmotionGAN.learn import __main__ as learn

SMALL = ["--dataset", "sample", "--device", "cpu", "--precision", "fp32"]
NET = [*SMALL, "--net_name", "small", "--exp_name", "E", "--image_size", "32", "--weights", "none"]
TRAIN = [*NET, "--max_faces", "32", "--scheduler", "none", "--output_root", "{dest}"]


@dataclass(frozen=True)
class Command:
    """`main` writes below {dest} of `flags`; `further` makes a run that has finished do more; {shop} is conftest's."""

    main: Callable[[list[str]], None]
    flags: list[str]
    further: list[str]

    def run(self, dest: Path, shop: Path, *more: str) -> None:
        """Run it as the shell would."""
        flags = [flag.format(dest=dest, shop=shop) for flag in [*self.flags, *more]]
        run_command(lambda: self.main(flags))

    def error(self, capsys, dest: Path, shop: Path, *more: str) -> str:
        """The one line of error that it must end with, status 2."""
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            self.run(dest, shop, *more)
        said = capsys.readouterr().err
        assert ended.value.code == 2, said
        (line,) = [line for line in said.splitlines() if line.startswith("error: ")]
        return line


COMMANDS = {
    "augmentations": Command(
        create_augmentations.main,
        [*SMALL, "--generator", "{shop}/tiny", "--max_faces", "40", "--num_augments", "2", "--dest_folder",
         "{dest}/images", "--output_root", "{dest}"],
        ["--num_augments", "9"],
    ),
    "training": Command(
        train_model.main, [*TRAIN, "--emotion_transform_prob", "0", "--fine_tune", "--epochs", "1"],
        ["--epochs", "2", "--resume"],
    ),
    "byol": Command(
        train_byol_model.main, [*TRAIN, "--augmentations_folder", "none", "--epochs", "1"],
        ["--epochs", "2", "--resume"],
    ),
    "study": Command(
        optuna_study.main,
        [*NET, "--train_faces", "32", "--val_faces", "14", "--epochs", "1", "--n_trials", "1", "--output_root",
         "{dest}"],
        ["--n_trials", "3"],
    ),
    "learning": Command(
        learn.main,
        [*SMALL, "--dest", "{dest}/run", "--image_size", "16", "--width", "4", "--blocks", "1", "--critic_layers", "2",
         "--critic_width", "4", "--critic_steps", "1", "--steps", "3", "--every", "2", "--batch_size", "4",
         "--critic_batch_size", "4"],
        ["--steps", "9"],
    ),
}  # fmt: skip
