"""The code of a real face: predicted by the discriminator, which is shipped with a generator for this."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from core_code.core_utils.errors import InputError
from core_code.core_utils.files import load_weights, read_json, save_weights, write_json
from core_code.core_utils.weights import state_dict_mismatch
from EmotionGAN.networks.discriminator import Discriminator

FILES = ("face_encoder.pth", "face_encoder.json")  # weights and settings
FILES_BEFORE = ("reader.pth", "reader.json")  # as earlier versions named them
ENCODE_BATCH = 256
LARGEST = {"image_size": 1024, "channels": 3, "width": 512, "layers": 8}  # of the settings


def save_face_encoder(folder: Path, discriminator: Discriminator) -> None:
    """Write the discriminator beside a generator: float16 weights and the settings that it is built from."""
    state = {name: tensor.detach().cpu().half() for name, tensor in discriminator.state_dict().items()}
    weights, settings = FILES
    save_weights(Path(folder) / weights, state)
    write_json(Path(folder) / settings, discriminator.settings)


def encoder_files(folder: Path) -> tuple[Path, Path]:
    """The files of a folder's face encoder, its weights and its settings, there or not."""
    weights, settings = (Path(folder) / name for name in FILES)
    before = tuple(Path(folder) / name for name in FILES_BEFORE)
    if not (weights.exists() or settings.exists()) and any(path.exists() for path in before):
        weights, settings = before
    return weights, settings


def load_face_encoder(folder: Path) -> Discriminator | None:
    """The face encoder in a generator's folder, in float32 on the CPU; None where there is none. Raises InputError for
    one that is damaged or of another architecture than its config says."""
    path, config_path = encoder_files(folder)
    if not config_path.exists() and not path.exists():
        return None
    settings = check_settings(read_json(config_path), str(config_path))
    state = load_weights(path, "face encoder")
    with torch.device("meta"):
        own = Discriminator(**settings).state_dict()
    if wrong := state_dict_mismatch(state, own):
        raise InputError(f"{path}: not the face encoder that {config_path.name} describes: {wrong}")
    encoder = Discriminator(**settings)
    encoder.load_state_dict(state)
    return encoder.eval().requires_grad_(False)


def check_settings(given: Mapping[str, Any], where: str) -> dict[str, int]:
    """The settings of a discriminator among those `given`. Raises InputError, naming `where` they stand, for one that
    is missing or beyond reason."""
    settings: dict[str, int] = {}
    for name, largest in LARGEST.items():
        value = given.get(name)
        if type(value) is not int or not 1 <= value <= largest:
            found = json.dumps(value)
            raise InputError(f"{where}: {name} is {found}, expected a whole number from 1 to {largest}")
        settings[name] = value
    if settings["width"] << settings["layers"] > 16384 or settings["image_size"] < 2 ** settings["layers"]:
        raise InputError(f"{where}: {settings['layers']} layers do not fit width and image_size")
    return settings


@torch.inference_mode()
def encode_images(encoder: Discriminator, images: Tensor) -> Tensor:
    """Codes float32 [N,2] in [-1,1] of images float [N,C,S,S] in [-1,1]: the mean over each image and its mirror.
    Computed in float32 and in batches of one size (the last is padded), so that a face's code does not depend on how
    many others are encoded."""
    if len(images) == 0:
        return images.new_zeros(0, 2)
    codes = []
    for batch in images.split(ENCODE_BATCH):
        filled = torch.cat([batch, batch[-1:].expand(ENCODE_BATCH - len(batch), -1, -1, -1)])
        means = (encoder(filled).codes + encoder(filled.flip(-1)).codes) / 2
        codes.append(means[: len(batch)].clamp(-1, 1))
    return torch.cat(codes)
