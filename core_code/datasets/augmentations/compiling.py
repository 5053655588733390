"""Whether a run's generator is compiled, by torch.compile for batches of one size: decided once for all the images of a
folder."""

import copy
import warnings
from dataclasses import replace
from pathlib import Path

import torch

from core_code.core_utils.devices import has_matrix_units
from core_code.core_utils.files import read_json
from core_code.datasets.augmentations.manifest import MANIFEST_NAME, OLDER
from core_code.datasets.splits import SIDE
from EmotionGAN.editor import Editor

# benchmarks/generate.py, one core: compiling took 20 to 30 s. What an image then takes less is shared out over the
# pixels of the generator's widest maps: nanoseconds for each pixel and channel of its first layer. In float32 (AMD
# Zen 5) the shipped generator makes an image in 2.72 ms instead of 2.98. In bfloat16 with AMX (Intel Xeon) it does so
# in 1.0 instead of 1.3, GANmut's 128-px one in 21 instead of 26; without AMX (Zen 5) nothing is saved beside
# cpu_layers.py. GPUs were not measured.
COMPILE_SECONDS = 30
SAVED_NS = {torch.float32: 3.5, torch.bfloat16: 4.0}


def choose_editor(
    editor: Editor, choice: bool | None, folder: Path, images: int, batch_size: int
) -> tuple[Editor, bool]:
    """The editor that generates the images, and whether it is a compiled one; logs which, and why.

    choice: compile or not; None: as the folder's manifest has it or, without one, where the number of `images` of the
    whole plan pays for it. The number that is still missing does not count: all images of a folder are generated the
    same way, since a compiled generator's may differ in their last bits. Where compiling fails, the editor is not
    compiled. Raises InputError when the manifest cannot be read.
    """
    path = Path(folder) / MANIFEST_NAME
    saved = seconds_saved(editor, images)
    reason = f"expected to save {saved:.0f} s of {images} images, and to take {COMPILE_SECONDS} s"
    if choice is not None:
        wanted, reason = choice, f"--compile {choice}"
    elif path.exists():
        wanted, reason = (OLDER | read_json(path))["compiled"] is True, "as the images that are there"
    else:
        wanted = saved > 2 * COMPILE_SECONDS
    if not wanted:
        print(f"generator not compiled: {reason}")
        return editor, False
    try:
        compiled = compile_editor(editor, batch_size)
    except RuntimeError as error:
        print(f"generator not compiled: compiling failed ({error})")
        return editor, False
    print(f"generator compiled: {reason}")
    return compiled, True


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
            compiled.edit(torch.zeros(batch_size, SIDE, SIDE, dtype=torch.uint8), torch.zeros(batch_size, 2))
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
