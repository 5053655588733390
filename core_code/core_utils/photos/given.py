"""Pictures as a Python user has them, arrays, tensors, PIL images or paths, one or many, as photographs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from core_code.core_utils.errors import InputError
from core_code.core_utils.photos.photographs import Photograph, from_image, read_photograph
from core_code.core_utils.photos.pictures import decoding

Picture = np.ndarray | Tensor | Image.Image | Path | str


@dataclass(frozen=True)
class Given:
    """What was given, picture by picture.

    names: its path, or its place from 0 on. shapes: of each picture's array, [H,W] or [H,W,C]. batch: whether they
    were one array; single: whether it was one picture, and no sequence.
    """

    photographs: list[Photograph]
    names: Sequence[str | int]
    shapes: list[tuple[int, ...]]
    batch: bool = False
    single: bool = False

    @property
    def named(self) -> tuple[list[Photograph], list[str]]:
        """The photographs, and what an error message calls each."""
        return self.photographs, [name if isinstance(name, str) else f"picture {name}" for name in self.names]

    def in_their_shape(self, pixels: Sequence[np.ndarray]) -> np.ndarray | list[np.ndarray]:
        """Arrays uint8 [H,W,C], one a picture, as what was given: one array for one picture or a batch, else a list."""
        arrays = [array.reshape(shape) for array, shape in zip(pixels, self.shapes, strict=True)]
        if self.single:
            return arrays[0]
        return np.stack(arrays) if self.batch else arrays


def as_photographs(pictures: Picture | Sequence[Picture]) -> Given:
    """Arrays and tensors are uint8 [H,W] (grey), [H,W,C] with C of 1 to 4, or batches of these, [N,H,W], [N,H,W,C].

    Raises InputError for a file that cannot be read as a picture, for no picture at all and for another type or shape.
    """
    if isinstance(pictures, np.ndarray | Tensor):
        array = as_array(pictures, 0)
        if array.ndim < 3 or (array.ndim == 3 and array.shape[2] <= 4):
            return given_of([array], single=True)
        return given_of(list(array), batch=True)
    if isinstance(pictures, Image.Image | Path | str) or not isinstance(pictures, Iterable):
        return given_of([pictures], single=True)
    return given_of(list(pictures))


def given_of(pictures: Sequence[Picture], batch: bool = False, single: bool = False) -> Given:
    """Each picture as a photograph."""
    if not pictures:
        raise InputError("no pictures were given, expected one or more")
    photographs: list[Photograph] = []
    names: list[str | int] = []
    shapes: list[tuple[int, ...]] = []
    for place, picture in enumerate(pictures):
        if isinstance(picture, Path | str):
            photograph = read_photograph(Path(picture))
        elif isinstance(picture, Image.Image):
            with decoding(where := Path(f"picture {place}"), "picture"):
                photograph = from_image(picture, where)
        else:
            array = as_array(picture, place)
            if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] > 4) or not array.size:
                raise InputError(f"picture {place}: an array {list(array.shape)}, expected [H,W] or [H,W,C], C up to 4")
            photograph = Photograph(array.reshape(*array.shape[:2], -1))
        height, width, channels = photograph.pixels.shape
        grey = channels == 1 and getattr(picture, "ndim", 2) == 2
        photographs.append(photograph)
        names.append(str(picture) if isinstance(picture, Path | str) else place)
        shapes.append((height, width) if grey else (height, width, channels))
    return Given(photographs, names, shapes, batch, single)


def as_array(picture: Picture, place: int) -> np.ndarray:
    """An array or tensor of pixels as an array uint8. Raises InputError for anything else."""
    if isinstance(picture, Tensor) and picture.dtype == torch.uint8:
        picture = picture.detach().to_dense().cpu().numpy()
    if not isinstance(picture, np.ndarray) or picture.dtype != np.uint8:
        found = f"an array of {picture.dtype}" if isinstance(picture, np.ndarray | Tensor) else type(picture).__name__
        raise InputError(f"picture {place}: {found}, expected an array or tensor of uint8, a PIL image or a path")
    return np.asarray(picture)  # of a matrix, or an array with a mask, its values alone
