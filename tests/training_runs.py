"""What tests of the training scripts share: images to train with, and checkpoints compared."""

from pathlib import Path

import torch

import create_augmentations
from EmotionGAN.editor import save_generator
from EmotionGAN.networks.config import GeneratorConfig
from EmotionGAN.networks.generator import build_generator


def differences(one: object, other: object, at: str = "") -> list[str]:
    """Where two checkpoints differ in a tensor or a value; times do not count."""
    if isinstance(one, torch.Tensor):
        return [] if torch.equal(one, other) else [at]
    if isinstance(one, dict):
        keys = (one.keys() | other.keys()) - {"seconds"}
        return [found for key in keys for found in differences(one.get(key), other.get(key), f"{at}/{key}")]
    if isinstance(one, list) and len(one) == len(other):
        return [
            found for i, pair in enumerate(zip(one, other, strict=True)) for found in differences(*pair, f"{at}/{i}")
        ]
    return [] if one == other else [at]


def make_augmentations(*flags: str) -> None:
    """Images of a tiny random generator, where training looks for them."""
    torch.manual_seed(0)
    config = GeneratorConfig(image_size=16, colours="grey", width=4, blocks=1, framing="fer2013")
    save_generator(Path("tiny"), build_generator(config))
    create_augmentations.main(["--generator", "tiny", "--num_augments", "2", "--precision", "fp32", *flags])
