"""How well trained nets read faces, alone and voting."""

import torch
from torch import Tensor
from tqdm import tqdm

from core_code.core_utils.devices import autocast
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
                logits.append(net(evaluation_view(faces, image_size)).float())
            labels.append(answers)
            bar.update(len(answers))
    return torch.cat(logits).cpu(), torch.cat(labels).cpu()
