"""Training and judging emotion classifiers on real and GAN-generated faces.

    from core_code import Classifier

Classifier: pictures in, probabilities of seven emotions out (`Classifier.load("checkpoints/ckpt_....pth")`).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from core_code.prediction.classifier import Classifier

__all__ = ["Classifier"]


def __getattr__(name: str) -> Any:
    """Import the public name when it is first used: commands that only print their help need no PyTorch."""
    if name != "Classifier":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module("core_code.prediction.classifier").Classifier
