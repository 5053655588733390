"""Faces and codes in, edited faces out, in batches; and loading a generator with what it needs to be used."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from core_code.core_utils.devices import autocast, pick_device
from core_code.core_utils.errors import InputError, one_line
from core_code.core_utils.files import load_weights, read_json, save_weights, write_json
from core_code.core_utils.photos.given import Picture, as_photographs
from core_code.core_utils.photos.photographs import cut, face_crops
from core_code.core_utils.weights import state_dict_mismatch, unwrapped, with_counters
from EmotionGAN.conditional_space import ConditionalSpace
from EmotionGAN.face_crops import cut_out, put_back
from EmotionGAN.images import from_range, resize, to_range
from EmotionGAN.networks.config import GeneratorConfig
from EmotionGAN.networks.discriminator import Discriminator
from EmotionGAN.networks.face_encoder import ENCODE_BATCH, FILES, encode_images, encoder_files, load_face_encoder
from EmotionGAN.networks.generator import Generator, accelerate_generator, build_generator
from EmotionGAN.networks.warp import Paint
from EmotionGAN.photographs import add_changes, generator_view, luminance

DEFAULT_GENERATOR = Path(__file__).parent / "learned_generators" / "fer2013_gaussian_48"
WEIGHTS_FILE, CONFIG_FILE = "generator.pth", "config.json"
CUDA_BATCH, CPU_BATCH = 512, 128


def load_generator(path: Path) -> tuple[Generator, ConditionalSpace]:
    """Load a learned generator (a folder with config.json and generator.pth) or a published GANmut checkpoint (a file).

    Returns the generator in float32 on the CPU and its space. Raises InputError when something is missing, damaged,
    or of another architecture than its config says.
    """
    path = Path(path)
    if path.is_dir():
        config_path = path / CONFIG_FILE
        config = GeneratorConfig.from_dict(read_json(config_path), str(config_path))
        weights = path / WEIGHTS_FILE
        generator = build_strictly(config, load_weights(weights, "generator"), weights)
        return generator, ConditionalSpace.of(generator)
    state = unwrapped(load_weights(path, "generator"))
    config = GeneratorConfig.published("linear" if "axes.weight" in state else "gaussian")
    generator = build_strictly(config, state, path)
    gaussian = config.parametrisation == "gaussian"
    return generator, ConditionalSpace.published() if gaussian else ConditionalSpace.of(generator)


def build_strictly(config: GeneratorConfig, state: dict[str, Tensor], path: Path) -> Generator:
    """The generator of the config with the weights of a file: every key, every shape, all values finite. Nothing is
    built before the shapes fit: a config alone could ask for any amount of memory."""
    with torch.device("meta"):
        expected = build_generator(config).state_dict()
    state = with_counters(state, expected)
    if wrong := state_dict_mismatch(state, expected):
        raise InputError(f"{path}: not a generator of this architecture: {wrong}")
    generator = build_generator(config)
    generator.load_state_dict(state)
    return generator


def save_generator(folder: Path, generator: Generator, half_precision: bool = True) -> None:
    """Write a generator's folder: its weights (float16 by default: half the size) and config."""
    dtype = torch.float16 if half_precision else torch.float32
    state = {
        name: tensor.detach().cpu().to(dtype) if tensor.is_floating_point() else tensor.cpu()
        for name, tensor in generator.state_dict().items()
    }
    save_weights(Path(folder) / WEIGHTS_FILE, state)
    write_json(Path(folder) / CONFIG_FILE, generator.config.to_dict())


@dataclass
class Editor:
    """A generator ready for use on a device.

    name and fingerprint identify the weights. face_encoder finds the code of a face; None where the generator came
    without one. Faces of other sizes than the generator's image_size are resized to it and back.
    """

    generator: Generator
    space: ConditionalSpace
    device: torch.device
    dtype: torch.dtype
    name: str
    fingerprint: str
    face_encoder: Discriminator | None = None

    @classmethod
    def load(
        cls, path: Path | str | None = None, device: torch.device | str = "auto", dtype: torch.dtype = torch.float32,
        accelerate: bool = True,
    ) -> "Editor":  # fmt: skip
        """Load a generator (None: the one shipped) for use in `dtype` on `device` (auto: cuda, then mps, then cpu).
        Raises InputError. accelerate: see accelerate_generator."""
        path = Path(path or DEFAULT_GENERATOR)
        device = pick_device(device)
        generator, space = load_generator(path)
        weights = path / WEIGHTS_FILE if path.is_dir() else path
        fingerprint = hashlib.sha256(weights.read_bytes()).hexdigest()
        config = generator.config
        if path.is_file() and config.parametrisation == "linear":
            fingerprint += "+affectnet"  # its edits by an earlier version were to other emotions: not to be mixed
        if config.paint != Paint():  # other edits with the same weights
            fingerprint += f"+paint{config.paint_blur:g},{config.paint_gain:g}"
            fingerprint += f",{config.paint_highpass:g}" * (config.paint_highpass > 0) + ",soft" * config.paint_soft
        if accelerate:
            accelerate_generator(generator)
        generator = generator.eval().requires_grad_(False).to(device).to(memory_format=torch.channels_last)
        encoder = load_face_encoder(path) if path.is_dir() else None
        if encoder:
            fingerprint += "+" + hashlib.sha256(encoder_files(path)[0].read_bytes()).hexdigest()
            encoder = encoder.to(device).to(memory_format=torch.channels_last)
        editor = cls(generator, space, device, dtype, one_line(path.name), fingerprint, encoder)
        editor.check_outputs(weights)
        return editor

    @torch.inference_mode()
    def check_outputs(self, path: Path) -> None:
        """Raise InputError where a grey face becomes no finite numbers: they would be written as black."""
        face = torch.zeros(1, self.generator.config.channels, self.image_size, self.image_size, device=self.device)
        if not self.generate(face, self.space.centres[:1]).isfinite().all():
            raise InputError(
                f"{path}: the generator's outputs are not all finite numbers: it has diverged, or is damaged"
            )

    @property
    def image_size(self) -> int:
        return self.generator.config.image_size

    def encode_faces(self, faces: Tensor) -> Tensor:
        """The code of each face uint8 [N,H,W]: float32 [N,2] on the CPU. Raises InputError when the generator came
        without a face encoder."""
        if self.face_encoder is None:
            raise InputError(f"{self.name}: this generator has no {FILES[0]} beside it, which finds the code of a "
                             "face; take --centre emotion, or a generator of python -m EmotionGAN.learn")  # fmt: skip
        size, channels = self.face_encoder.settings["image_size"], self.face_encoder.settings["channels"]
        images = (to_range(batch.to(self.device), size, channels) for batch in faces.split(ENCODE_BATCH))
        return torch.cat([encode_images(self.face_encoder, batch).cpu() for batch in images])

    def edit_pictures(
        self, pictures: Picture | Sequence[Picture], to: str | Sequence, strength: float = 1.0,
        find_faces: bool = False,
    ) -> np.ndarray | list[np.ndarray]:  # fmt: skip
        """Give the faces in pictures another expression; all else stays as it is.

        pictures: one or several of: an array or tensor uint8 [H,W] (grey) or [H,W,3], a batch of them [N,H,W] or
        [N,H,W,3], a PIL image, a path. to: an emotion's name, or a code (x, y) in [-1,1]; or one of these for each
        picture. strength: how much of the change is added, 1 as generated. A picture is taken for one face, cut as
        closely as FER2013's; with `find_faces` dlib finds the faces in each.
        Returns the edited pictures, uint8 in the shapes of the given: one array for one picture or a batch, a list for
        a list. Raises InputError for a picture that cannot be read or has no face, and for an unknown emotion.
        """
        given = as_photographs(pictures)
        if not 0 <= strength <= 100:
            raise InputError(f"strength {strength}, expected a number from 0 to 100")
        config, detector = self.generator.config, "dlib" if find_faces else "none"
        crops = [face_crops(photo, detector, config.framing, name) for photo, name in zip(*given.named, strict=True)]
        codes = self.codes_of(to, len(crops))
        rows = [row for row, found in enumerate(crops) for _ in found]
        views = [generator_view(cut(given.photographs[row].pixels, crop), config)
                 for row, found in enumerate(crops) for crop in found]  # fmt: skip
        changes = iter(self.luminance_changes(torch.cat(views), codes[rows], torch.arange(len(rows))).numpy())
        edited = [
            add_changes(photograph, found, [next(changes) for _ in found], strength).pixels
            for photograph, found in zip(given.photographs, crops, strict=True)
        ]
        return given.in_their_shape(edited)

    @torch.inference_mode()
    def luminance_changes(self, views: Tensor, codes: Tensor, faces: Tensor, batch_size: int = 64) -> Tensor:
        """The change of luminance at each code [M,2] of the view, float [N,C,S,S] in [-1,1], whose index `faces` [M]
        has: float [M,S,S] in grey levels, -255 to 255, on the CPU. With a progress bar."""
        batches = list(zip(faces.split(batch_size), codes.split(batch_size), strict=True))
        changes = []
        for batch, at in tqdm(batches, desc="editing", unit="batch", delay=2, leave=False):
            images = views[batch].to(self.device, memory_format=torch.channels_last)
            changes.append(luminance(self.generate(images, at) - images, self.generator.config.colours).cpu())
        return torch.cat(changes) * 127.5

    def codes_of(self, to: str | Sequence, count: int) -> Tensor:
        """Emotions' names or codes (x, y), one for all of `count` pictures or one for each, as codes float32 [count,2].

        Raises InputError for an unknown emotion and for another number of them.
        """
        to = to.tolist() if isinstance(to, np.ndarray | Tensor) else to
        one_for_all = isinstance(to, str) or not isinstance(to, Sequence) or all(isinstance(x, Real) for x in to)
        targets = [to] * count if one_for_all else list(to)
        if len(targets) != count:
            raise InputError(f"{len(targets)} emotions or codes for {count} pictures, expected one, or one for each")
        return torch.stack([self.code_of(target) for target in targets])

    def code_of(self, target: str | Sequence[float]) -> Tensor:
        """The centre of an emotion, or the code (x, y) itself: float32 [2]. Raises InputError."""
        if isinstance(target, str):
            if target.capitalize() not in self.space.emotions:
                raise InputError(f"{target!r}: no emotion, expected one of {', '.join(self.space.emotions)}")
            return self.space.centres[self.space.emotions.index(target.capitalize())]
        try:
            code = torch.as_tensor(target, dtype=torch.float32)
        except (TypeError, ValueError, RuntimeError):  # of texts, of None, of lists in lists
            code = torch.empty(0)
        if code.shape != (2,) or not (code.abs() <= 1).all():
            raise InputError(f"{target!r}: no code, expected two numbers from -1 to 1")
        return code

    @torch.inference_mode()
    def edit(self, faces: Tensor, codes: Tensor, boxes: Tensor | None = None) -> Tensor:
        """Edit grey faces: uint8 [B,H,W] to the expressions at codes float [B,2]; returns uint8 [B,H,W] on the device.

        Faces are normalised by their own statistics, so that others in the batch do not matter. With boxes, float
        [B,4] in pixels (left, top, right, bottom) of square faces, the generator sees and changes these alone.
        """
        faces, channels = faces.to(self.device), self.generator.config.channels
        if boxes is None:
            seen = to_range(faces, self.image_size, channels)
            edited, size = self.generate(seen, codes), faces.shape[-2:]
            if self.generator.config.output == "warp" and size != seen.shape[-2:]:
                # the change alone is resized: the rest stays as sharp as it is
                edited = faces[:, None].float() / 127.5 - 1 + resize((edited - seen).mean(dim=1, keepdim=True), size)
            return from_range(edited, size)
        boxes, side = boxes.to(self.device), faces.shape[-1]
        images = to_range(faces, side, channels)
        seen = cut_out(images, boxes, self.image_size).contiguous(memory_format=torch.channels_last)
        change = (self.generate(seen, codes) - seen).mean(dim=1, keepdim=True)
        return from_range(images + put_back(change, boxes, side), faces.shape[-2:])

    def edit_all(self, faces: Tensor, codes: Tensor) -> Tensor:
        """`edit` of any number of faces, uint8 [N,H,W] on the CPU, in batches that suit the device, with a progress
        bar."""
        batch_size = CUDA_BATCH if self.device.type == "cuda" else CPU_BATCH
        batches = tqdm(
            zip(faces.split(batch_size), codes.split(batch_size), strict=True),
            total=-(-len(faces) // batch_size), desc="editing", unit="batch", leave=False, delay=2,
        )  # fmt: skip
        return torch.cat([self.edit(*batch).cpu() for batch in batches])

    def generate(self, images: Tensor, codes: Tensor) -> Tensor:
        """The generator on images float [B,C,S,S] in [-1,1] at codes [B,2]: the same shape and range, float32."""
        with autocast(self.device, self.dtype):
            edited, _, _ = self.generator(images, codes.to(self.device))
        return edited.float()
