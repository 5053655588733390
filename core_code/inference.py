"""What a net says of faces: logits of a whole data set, and trained nets out of their checkpoints."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from core_code.core_utils.checkpoints import BEST, CheckpointFiles, load_net
from core_code.core_utils.devices import autocast
from core_code.core_utils.errors import InputError
from core_code.core_utils.transforms import evaluation_view
from core_code.datasets.batches import FaceBatches
from core_code.models.emotion_net import EmotionNet


@torch.no_grad()
def predict(
    net: EmotionNet, batches: FaceBatches, image_size: int, dtype: torch.dtype, what: str = "evaluation"
) -> tuple[Tensor, Tensor]:
    """Logits float32 [N,7] and labels int64 [N] on the CPU, of evaluation views, in the data set's order.

    Leaves the net in evaluation mode. `what` stands before the progress bar.
    """
    net.eval()
    logits, labels = [], []
    with tqdm(total=len(batches.dataset), desc=what, unit=" faces", leave=False, delay=2) as bar:
        for faces, answers, _ in batches:
            with autocast(faces.device, dtype):
                logits.append(net(evaluation_view(faces, image_size, dtype)).float())
            labels.append(answers)
            bar.update(len(answers))
    return torch.cat(logits).cpu(), torch.cat(labels).cpu()


def load_trained(files: CheckpointFiles, kind: str) -> tuple[EmotionNet, int]:
    """The net of a checkpoint and the size of the views that it was trained on. Raises InputError."""
    state = files.load(kind)
    settings = state["settings"]
    net = EmotionNet(files.name, hidden_head=bool(settings.get("load_byol")))
    load_net(net, state, files.path(kind))
    return net, int(settings.get("image_size", 224))


def load_byol(folder: Path, name: str, experiment: str, kind: str = BEST) -> tuple[dict[str, Any], Path]:
    """A BYOL checkpoint and its path. Raises InputError; for a missing one it names the command that makes it."""
    files = CheckpointFiles(folder, name, experiment, byol=True)
    path = files.path(kind)
    if not path.exists():
        command = f"python train_byol_model.py --net_name {name} --exp_name {experiment} --fine_tune True"
        raise InputError(f"{path}: no such BYOL checkpoint; make it with: {command}")
    return files.load(kind), path
