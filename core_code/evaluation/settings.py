"""What is evaluated and how: the flags of `python -m core_code.evaluate` as one value."""

from dataclasses import dataclass
from pathlib import Path

import torch

from core_code.core_utils.checkpoints import BEST
from core_code.core_utils.choices import AUGMENTATIONS_FOLDER, DATA_ROOT, NO_TTA
from core_code.core_utils.emotions import EMOTIONS


@dataclass(frozen=True)
class EvaluationSettings:
    """Which experiments of a net are evaluated, on which faces, and where figures and pictures are written.

    exp_names: the first is what all others are compared with. checkpoint: one of checkpoints.KINDS. max_faces: how many
    of the training faces count, None for all. image_size: side of the views in pixels, None for what each net was
    trained on. tta: one of choices.TTA_KINDS. most_wrong: how many faces a sheet of errors shows. tsne_on: val, train
    or augmentations (of the training faces, in augmentations_folder). emotions: what the labels mean.
    """

    net_name: str
    device: torch.device
    dtype: torch.dtype
    exp_names: tuple[str, ...] = ()
    checkpoint: str = BEST
    data_root: Path = DATA_ROOT
    dataset: str = "fer2013"
    max_faces: int | None = None
    output_root: Path = Path(".")
    batch_size: int = 128
    image_size: int | None = None
    tta: str = NO_TTA
    most_wrong: int = 24
    tsne_on: str = "val"
    augmentations_folder: Path = AUGMENTATIONS_FOLDER
    seed: int = 1
    emotions: tuple[str, ...] = EMOTIONS

    def output(self, stem: str, ending: str) -> Path:
        """plots_output/<stem>.<ending>."""
        return self.output_root / "plots_output" / f"{stem}.{ending}"

    def picture(self, kind: str, name: str) -> Path:
        """plots_output/<kind>_<net>_<name>.png."""
        return self.output(f"{kind}_{self.net_name}_{name}", "png")
