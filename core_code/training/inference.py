"""What a net says of faces: logits of a whole data set, and trained nets out of their checkpoints."""

from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from tqdm import tqdm

from core_code.core_utils.checkpoints import BEST, CheckpointFiles, load_net, read_checkpoint
from core_code.core_utils.devices import autocast
from core_code.core_utils.distributed.data_parallel import gather_rows
from core_code.core_utils.errors import InputError
from core_code.datasets.loader import FaceBatches
from core_code.models.architectures import ARCHITECTURES
from core_code.models.emotion_net import EmotionNet
from core_code.training.tta import NONE, views_of


@torch.no_grad()
def predict(
    net: EmotionNet, batches: FaceBatches, image_size: int, dtype: torch.dtype, what: str = "evaluation",
    tta: str = NONE,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Logits float32 [N,7] and labels int64 [N] on the CPU, of evaluation views, in the data set's order.

    Of several processes each reads its part of every batch, and all get the whole. Leaves the net in evaluation mode.
    `what` stands before the progress bar. With `tta` of tta.KINDS other than
    `none` the logits are the mean of those of several views.
    """
    net.eval()
    logits, rows = [], []
    count = len(batches.dataset)
    with tqdm(total=count, desc=what, unit=" faces", leave=False, delay=2) as bar:
        for faces, _, indices, part in batches.parts():
            logits.append(read(net, faces, image_size, dtype, tta))
            rows.append(indices)
            bar.update(part.total)
    return gather_rows(torch.cat(logits), torch.cat(rows), count).cpu(), batches.labels.cpu()


@torch.no_grad()
def read(net: EmotionNet, faces: Tensor, image_size: int, dtype: torch.dtype, tta: str = NONE) -> Tensor:
    """Logits float32 [B,7] of a batch, uint8 [B,H,W], by a net in evaluation mode on the same device.

    Several views are averaged as logits, not as softmaxes, so that what comes after (votes, confidences) is on the
    scale of one view's logits.
    """
    with autocast(faces.device, dtype):
        several = [net(view).float() for view in views_of(faces, image_size, tta, dtype)]
    return torch.stack(several).mean(0)


class Trained(NamedTuple):
    """A net out of a checkpoint, and the side in pixels of the views that it was trained on."""

    net: EmotionNet
    image_size: int


def load_trained(files: CheckpointFiles, kind: str) -> Trained:
    """The net of a run's checkpoint, on the CPU. Raises InputError."""
    return trained_of(files.load(kind, "settings"), files.path(kind))


def load_trained_file(path: Path) -> Trained:
    """The net of a checkpoint of train_model.py, whatever the file's name, on the CPU. Raises InputError."""
    state = read_checkpoint(path, "settings")
    if state["name"] not in ARCHITECTURES:
        raise InputError(f"{path}: a checkpoint of {state['name']!r}, expected one of {', '.join(ARCHITECTURES)}")
    return trained_of(state, path)


def trained_of(state: dict[str, Any], path: Path) -> Trained:
    """The net that a checkpoint's content describes; `path` names it in the InputError."""
    settings = state["settings"]
    net = EmotionNet(state["name"], hidden_head=bool(settings.get("load_byol")))
    load_net(net, state, path)
    return Trained(net, settings.get("image_size", 224))


def load_byol(
    folder: Path, name: str, experiment: str, kind: str = BEST, used: tuple[str, ...] = ()
) -> tuple[dict[str, Any], Path]:
    """A BYOL checkpoint, of which `used` will be used beside the net, and its path.

    Raises InputError; for a missing one it names the command that makes it.
    """
    files = CheckpointFiles(folder, name, experiment, byol=True)
    path = files.path(kind)
    if not path.exists():
        command = f"python train_byol_model.py --net_name {name} --exp_name {experiment} --fine_tune True"
        raise InputError(f"{path}: no such BYOL checkpoint; make it with: {command}")
    return files.load(kind, *used), path
