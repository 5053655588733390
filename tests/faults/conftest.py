"""What the tests of faults start from: a tiny generator and what it made of the sample faces; disks that fill up."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

import create_augmentations
from EmotionGAN.editor import save_generator
from EmotionGAN.networks.config import GeneratorConfig
from EmotionGAN.networks.generator import build_generator


@pytest.fixture(scope="session")
def shop(tmp_path_factory) -> Path:
    """A folder with `tiny`, a generator, and `images`, augmentations of 64 sample faces; only to be read."""
    folder = tmp_path_factory.mktemp("shop")
    torch.manual_seed(0)
    config = GeneratorConfig(image_size=16, colours="grey", width=4, blocks=1, framing="fer2013")
    save_generator(folder / "tiny", build_generator(config))
    create_augmentations.main(
        ["--generator", str(folder / "tiny"), "--dataset", "sample", "--max_faces", "64", "--num_augments", "2",
         "--precision", "fp32", "--device", "cpu", "--dest_folder", str(folder / "images"),
         "--output_root", str(folder)]
    )  # fmt: skip
    return folder


@pytest.fixture
def disk(tmp_path) -> Iterator[Callable[[int], Path]]:
    """`disk(kilobytes)` is the folder of a new file system of that size. Skips where none can be mounted."""
    folder = tmp_path / "disk"

    def mount(kilobytes: int) -> Path:
        folder.mkdir()
        try:
            command = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)]
            done = subprocess.run(command, capture_output=True, text=True)
        except OSError as error:
            pytest.skip(f"a small disk needs Linux's mount ({error})")
        if done.returncode:
            pytest.skip(f"a small disk needs mount, which only root may: {done.stderr.strip()}")
        return folder

    yield mount
    if folder.is_mount():
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
