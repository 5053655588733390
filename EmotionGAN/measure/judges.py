"""The classifiers that judge a generator: they know real faces only."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from tqdm import tqdm

JUDGED_AT_ONCE = 256
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Classifier:
    """An independent classifier: faces uint8 [B,H,W] to logits float [B,7] and features float [B,D], on the CPU."""

    predict: Callable[[Tensor], tuple[Tensor, Tensor]]
    name: str

    def probabilities(self, faces: Tensor) -> Tensor:
        """Of each emotion, float [B,7]."""
        return self.predict(faces)[0].softmax(1)


def classifier_of(
    head: nn.Module, predict: Callable[[Tensor], Tensor], name: str, device: torch.device = CPU
) -> Classifier:  # fmt: skip
    """A net as a classifier: `predict` returns its logits [B,7] of faces on the device; the features are what its
    `head` is given."""
    features: list[Tensor] = []
    head.register_forward_pre_hook(lambda module, inputs: features.append(inputs[0]))

    def predict_both(faces: Tensor) -> tuple[Tensor, Tensor]:
        logits, seen = [], []
        batches = faces.split(JUDGED_AT_ONCE)
        for batch in tqdm(batches, desc=f"judging with {name}", unit="batch", leave=False, delay=2):
            features.clear()
            logits.append(predict(batch.to(device)).float().cpu())
            seen.append(torch.cat(features).float().cpu())
        return torch.cat(logits), torch.cat(seen)

    return Classifier(predict_both, name)
