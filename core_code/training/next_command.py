"""The command that is printed as the next one to run."""

import shlex
from collections.abc import Mapping
from typing import Any

from core_code.core_utils.choices import AUGMENTATIONS_FOLDER, DATA_ROOT
from core_code.core_utils.flags import as_words

# What it repeats where it differs from the training scripts' defaults.
REPEATED = {
    "dataset": "fer2013", "data_root": DATA_ROOT, "weights": "imagenet", "image_size": 224,
    "augmentations_folder": AUGMENTATIONS_FOLDER, "output_root": ".",
}  # fmt: skip


def next_command(script: str, settings: Mapping[str, Any], **given: Any) -> str:
    """`script` with the flags that are given, then those of REPEATED that `settings` have other values of; a flag given
    as None is left out."""
    changed = {name: settings[name] for name, usual in REPEATED.items()
               if name not in given and str(settings.get(name, usual)) != str(usual)}  # fmt: skip
    return shlex.join(["python", script, *as_words(**given, **changed)])
