"""EmotionGAN edits the expression of a face by a point of a two-dimensional conditional space of emotions.

After GANmut: d'Apolito et al., "GANmut: Learning Interpretable Conditional Space for Gamut of Emotions", CVPR 2021.

    from EmotionGAN import EMOTIONS, Editor, load_generator

Editor: faces and codes in, edited faces out, in batches (`Editor.load()` takes the shipped generator).
load_generator: a generator of a folder or a published GANmut file, and its conditional space.
EMOTIONS: the seven emotions, in the order of FER2013's labels.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from core_code.core_utils.emotions import EMOTIONS
    from EmotionGAN.editor import Editor, load_generator

HOMES = {
    "Editor": "EmotionGAN.editor",
    "load_generator": "EmotionGAN.editor",
    "EMOTIONS": "core_code.core_utils.emotions",
}
__all__ = ["EMOTIONS", "Editor", "load_generator"]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: commands that only print their help need no PyTorch."""
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(HOMES[name]), name)
