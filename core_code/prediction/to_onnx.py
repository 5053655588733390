"""A classifier as an ONNX file."""

from pathlib import Path

import torch
from torch import Tensor, nn

from core_code.core_utils.onnx_files import export_onnx
from core_code.core_utils.transforms import evaluation_view
from core_code.datasets.splits import SIDE
from core_code.models.emotion_net import EmotionNet
from core_code.prediction.classifier import Classifier

TOLERANCE, TOLERANCE_FLOAT16 = 1e-3, 5e-2  # of logits, relative to the largest
COMPARED = 4  # faces


class FacesToProbabilities(nn.Module):
    """From faces, uint8 [B,48,48], to logits and probabilities, float32 [B,E] each."""

    def __init__(self, net: EmotionNet, image_size: int) -> None:
        super().__init__()
        self.net, self.image_size = net, image_size

    def forward(self, faces: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.net(evaluation_view(faces, self.image_size))
        return logits, logits.softmax(1)


def export_classifier(classifier: Classifier, output: Path | None = None, float16: bool = False) -> str:
    """Write the first net of a classifier on the CPU (None: beside its checkpoint) and return what to print about it.

    Raises InputError as export_onnx does.
    """
    (net, size), source = classifier.nets[0], Path(classifier.settings.checkpoint[0])
    path = output or source.with_suffix(".onnx")
    module = FacesToProbabilities(net, size).eval()
    faces = torch.randint(0, 256, (COMPARED, SIDE, SIDE), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        scale = max(1.0, module(faces)[0].abs().max().item())
    metadata = {
        "emotions": classifier.emotions, "architecture": net.name, "view": size, "size": SIDE,
        "input": "faces: grey, uint8, 0 to 255", "output": "logits; probabilities, in the order of emotions",
    }  # fmt: skip
    tolerance = scale * (TOLERANCE_FLOAT16 if float16 else TOLERANCE)
    difference = export_onnx(path, module, {"faces": faces}, ("logits", "probabilities"), metadata, tolerance, float16)
    return (f"{path}: {path.stat().st_size / 1e6:.1f} MB, faces uint8 [batch, {SIDE}, {SIDE}] -> logits, probabilities "
            f"[batch, {len(classifier.emotions)}]; onnxruntime differs by at most {difference:.2g}")  # fmt: skip
