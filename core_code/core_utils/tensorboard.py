"""Figures and pictures of a training for TensorBoard, beside the files that are always written."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from core_code.core_utils.errors import InputError


class Board:
    """Writes TensorBoard's event files into a folder; without a folder it takes everything and writes nothing.

    Raises InputError where tensorboard is missing or the folder cannot be written.
    """

    def __init__(self, folder: Path | None) -> None:
        self.writer: Any = None
        if folder is None:
            return
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise InputError("--tensorboard needs tensorboard: pip install tensorboard") from error
        try:
            self.writer = SummaryWriter(folder)
        except OSError as error:
            raise InputError(f"{folder}: cannot be written ({error.strerror})") from error

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Each value under its name, at an epoch or a step."""
        if self.writer:
            for name, value in values.items():
                self.writer.add_scalar(name, value, step)
            self.writer.flush()

    def picture(self, name: str, path: Path, step: int) -> None:
        """A picture file under a name, at an epoch or a step."""
        if self.writer:
            with Image.open(path) as image:
                self.writer.add_image(name, np.array(image.convert("RGB")), step, dataformats="HWC")
            self.writer.flush()


NO_BOARD = Board(None)
