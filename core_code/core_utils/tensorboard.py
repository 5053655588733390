"""Figures and pictures of a training for TensorBoard, beside the files that are always written."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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
        silence_writer_thread()
        with writing_to(folder):
            self.writer = SummaryWriter(folder)

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Each value under its name, at an epoch or a step."""
        if self.writer:
            with writing_to(self.writer.log_dir):
                for name, value in values.items():
                    self.writer.add_scalar(name, value, step)
                self.writer.flush()

    def picture(self, name: str, path: Path, step: int) -> None:
        """A picture file under a name, at an epoch or a step."""
        if self.writer:
            with Image.open(path) as image, writing_to(self.writer.log_dir):
                self.writer.add_image(name, np.array(image.convert("RGB")), step, dataformats="HWC")
                self.writer.flush()


def silence_writer_thread() -> None:
    """No traceback of TensorBoard's own thread: it hands its error to the next call, which raises it here."""
    before = threading.excepthook

    def hook(args: threading.ExceptHookArgs) -> None:
        if type(args.thread).__name__ != "_AsyncWriterThread":
            before(args)

    threading.excepthook = hook


@contextmanager
def writing_to(folder: Path) -> Iterator[None]:
    """Within it an error of the disk becomes an InputError that names the folder."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror})") from error


NO_BOARD = Board(None)
