"""The command's work: from a photograph to the edited one, a sheet of all emotions, or an animated walk."""

import math
import os
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from core_code.core_utils.devices import pick_hardware
from core_code.core_utils.errors import InputError
from core_code.core_utils.photos.photographs import check_format, face_crops, read_photograph, write_photograph
from EmotionGAN.edit.album import luminance_changes, write_sheet, write_walk
from EmotionGAN.editor import Editor
from EmotionGAN.photographs import add_changes


@dataclass(frozen=True)
class EditSettings:
    """The flags of `python -m EmotionGAN.edit`: one of emotion, (x, y), (theta, rho), sheet and gif is given."""

    photo: Path
    emotion: str | None
    x: float | None
    y: float | None
    theta: float | None
    rho: float | None
    sheet: bool
    gif: bool
    strength: float
    face: int | None
    face_detector: str
    output: Path | None
    generator: Path | None
    accelerate: bool
    device: str
    precision: str

    def default_output(self) -> Path:
        """Beside the photo, named after it and the target."""
        if self.gif or self.sheet:
            name = "walk.gif" if self.gif else "emotions.png"
        elif self.emotion is not None:
            name = f"{self.emotion}.png"
        else:
            name = f"x{self.x:g}_y{self.y:g}.png" if self.x is not None else f"theta{self.theta:g}_rho{self.rho:g}.png"
        return self.photo.with_name(f"{self.photo.stem}_{name}")

    def code(self, editor: Editor) -> Tensor:
        """The code that they name: float [1,2]. Raises InputError."""
        if self.emotion is not None:
            return editor.code_of(self.emotion)[None]
        if self.x is not None:
            return torch.tensor([[self.x, self.y]])
        if editor.generator.config.parametrisation != "linear":
            raise InputError(f"--theta and --rho are of linear generators, {editor.name} is not one: take --x and --y")
        assert self.theta is not None and self.rho is not None
        angle = math.radians(self.theta)
        return torch.tensor([[self.rho * math.cos(angle), self.rho * math.sin(angle)]])


def check_output(output: Path, photo: Path, channels: int, ending: str | None) -> None:
    """Raise InputError for a name that is the photo's own, or whose ending is not `ending` (None: of a photograph)."""
    if os.path.realpath(output) == os.path.realpath(photo) or (output.exists() and output.samefile(photo)):
        raise InputError(f"{output}: is the photo itself, which is never written over; take another --output")
    if ending is None:
        check_format(output, channels)
    elif output.suffix.lower() != ending:
        raise InputError(f"{output}: unknown ending {output.suffix!r}, expected {ending}")


def edit_photo(settings: EditSettings) -> None:
    """Write what the settings ask for and print where it is. Raises InputError."""
    photo, face = settings.photo, settings.face
    photograph = read_photograph(photo)
    output = settings.output or settings.default_output()
    ending = ".gif" if settings.gif else ".png" if settings.sheet else None
    check_output(output, photo, photograph.pixels.shape[2], ending)
    hardware = pick_hardware(settings.device, settings.precision)
    editor = Editor.load(settings.generator, *hardware, settings.accelerate)
    code = None if ending else settings.code(editor)
    crops = face_crops(photograph, settings.face_detector, editor.generator.config.framing, str(photo))
    if face is not None:
        if face > len(crops):
            found = "1 face" if len(crops) == 1 else f"{len(crops)} faces"
            raise InputError(f"{photo}: --face {face}, but it has {found} (counted from left to right)")
        crops = [crops[face - 1]]
    for number, crop in enumerate(crops, start=face or 1):
        print(f"face {number}: {crop.width}x{crop.height} pixels at ({crop.left}, {crop.top})")
    if code is not None:
        (changes,) = luminance_changes(editor, photograph, crops, code)
        write_photograph(output, add_changes(photograph, crops, changes, settings.strength))
        print(f"edited: {output}")
    elif settings.sheet:
        print(f"{write_sheet(output, editor, photograph, crops, settings.strength)} pictures: {output}")
    else:
        print(f"{write_walk(output, editor, photograph, crops, settings.strength)} frames: {output}")
