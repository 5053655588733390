"""Whether a run's generator is compiled: decided once for all the images of a folder."""

from pathlib import Path

from core_code.core_utils.files import read_json
from core_code.datasets.augmentations.manifest import MANIFEST_NAME, OLDER
from EmotionGAN.compiled import COMPILE_SECONDS, compile_editor, seconds_saved
from EmotionGAN.editor import Editor


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
