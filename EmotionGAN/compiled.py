"""An editor whose generator torch.compile has compiled for batches of one size, and when that pays."""

import copy
import warnings
from dataclasses import replace

import torch

from EmotionGAN.editor import Editor

FACE = 48
# Measured on one core of an AMD EPYC (Zen 5): compiling took 20 s. In float32 the shipped generator then makes an
# image in 2.72 ms instead of 2.98, which is shared out over the pixels of its widest maps. In bfloat16 nothing
# was saved beside cpu_layers.py (128 px: 49 ms compiled, 47 not). GPUs were not measured.
COMPILE_SECONDS = 30
SAVED_NS = 3.5  # for each pixel and channel of the first layer


def compile_editor(editor: Editor, batch_size: int) -> Editor:
    """The same editor with a compiled generator, for batches of `batch_size` faces; takes half a minute and more.

    Raises RuntimeError, with one line as its message, where it cannot be compiled: no C++ compiler, or one that fails.
    """
    generator = copy.copy(editor.generator)  # its own forward, the same weights
    generator.forward = torch.compile(editor.generator.forward, dynamic=False)
    compiled = replace(editor, generator=generator)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the compiler's own
            compiled.edit(torch.zeros(batch_size, FACE, FACE, dtype=torch.uint8), torch.zeros(batch_size, 2))
    except Exception as error:  # of every kind: the compiler's, the linker's, the file system's
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise RuntimeError(reason[:200]) from error
    return compiled


def seconds_saved(editor: Editor, images: int) -> float:
    """What a compiled generator is expected to save over so many images: 0 where that was not measured, or nothing."""
    if editor.device.type != "cpu" or editor.dtype != torch.float32:
        return 0.0
    config = editor.generator.config
    return images * SAVED_NS * config.width * config.image_size**2 * 1e-9
