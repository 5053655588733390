"""An editor whose generator torch.compile has compiled for batches of one size, and when that pays."""

import copy
import warnings
from dataclasses import replace

import torch

from core_code.core_utils.devices import has_matrix_units
from EmotionGAN.editor import Editor

FACE = 48
# benchmarks/generate.py, one core: compiling took 20 to 30 s. What an image then takes less is shared out over the
# pixels of the generator's widest maps: nanoseconds for each pixel and channel of its first layer. In float32 (AMD
# Zen 5) the shipped generator makes an image in 2.72 ms instead of 2.98. In bfloat16 with AMX (Intel Xeon) it does so
# in 1.0 instead of 1.3, GANmut's 128-px one in 21 instead of 26; without AMX (Zen 5) nothing is saved beside
# cpu_layers.py. GPUs were not measured.
COMPILE_SECONDS = 30
SAVED_NS = {torch.float32: 3.5, torch.bfloat16: 4.0}


def compile_editor(editor: Editor, batch_size: int) -> Editor:
    """The same editor with a compiled generator, for batches of `batch_size` faces; takes half a minute and more.
    Raises RuntimeError, with one line as its message, where it cannot be compiled: no C++ compiler, or one that
    fails."""
    generator = copy.copy(editor.generator)  # its own forward, the same weights
    generator.forward = torch.compile(editor.generator.forward, dynamic=False)  # type: ignore[method-assign]
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
    measured = editor.dtype == torch.float32 or has_matrix_units(editor.device)
    if editor.device.type != "cpu" or not measured:
        return 0.0
    config = editor.generator.config
    return images * SAVED_NS[editor.dtype] * config.width * config.image_size**2 * 1e-9
