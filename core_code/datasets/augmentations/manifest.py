"""The manifest beside generated images: of which faces, how they were generated, and whether they are complete."""

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import torch

from core_code.core_utils.choices import DATA_ROOT
from core_code.core_utils.emotions import EMOTIONS
from core_code.core_utils.errors import InputError
from core_code.core_utils.files import read_json
from core_code.core_utils.flags import as_words
from core_code.datasets.augmentations.plan import AUGMENTATIONS, EMOTION, EXPANSION, PNG, SHARDS, Plan, Settings
from core_code.datasets.fer2013 import FER2013
from EmotionGAN.editor import Editor

MANIFEST_NAME = "manifest.json"
COUNT = re.compile(r"0|[1-9][0-9]{0,8}")
FORMAT = 1
# all images of one folder share these; an error names them so
FIXED = {
    "generator_fingerprint": "generator", "seed": "--seed", "centre": "--centre", "half_width": "--neighborhood",
    "precision": "--precision", "face_detector": "--face_detector", "batch_size": "--batch_size",
    "folder_batch_size": "--folder_batch_size", "storage": "--format", "compiled": "--compile",
    "accelerate": "--accelerate", "class_counts": "training labels' counts",
}  # fmt: skip
OLDER = {"centre": EMOTION, "face_detector": "none", "storage": PNG, "compiled": False,
         "accelerate": True}  # fmt: skip  # where they are missing
# of the settings
DESCRIBED = ("mode", "seed", "centre", "half_width", "precision", "batch_size", "storage", "compiled",
             "accelerate")  # fmt: skip
GROWING = {"faces": "--max_faces", "num_augments": "--num_augments"}


def describe(
    settings: Settings, faces: FER2013, face_count: int, generator: Editor, plan: Plan, command: str,
    boxes: torch.Tensor | None = None,
) -> dict[str, Any]:  # fmt: skip
    """The manifest of images that are not generated yet: `complete` is false. `boxes`: see generate_images."""
    own = ("folder_batch_size", "num_augments") if settings.mode == AUGMENTATIONS else ()
    counts = {} if own else {"class_counts": faces.class_counts.tolist()}
    per_emotion = np.bincount(plan.emotions, minlength=len(EMOTIONS)).tolist()
    powers = [1 << power for power in range((face_count - 1).bit_length())]  # a training on fewer can compare too
    return {
        "format": FORMAT, "dataset": faces.dataset,
        "generator": generator.name, "generator_fingerprint": generator.fingerprint,
        **{name: getattr(settings, name) for name in (*DESCRIBED, *own)}, **counts,
        "faces": face_count,
        "face_fingerprints": {str(count): faces.fingerprint(count) for count in [*powers, face_count]},
        "images": len(plan),
        "face_detector": "none" if boxes is None else "dlib",
        "faces_without_images": [] if boxes is None else boxes.isnan().any(dim=1).nonzero()[:, 0].tolist(),
        "images_per_emotion": dict(zip(EMOTIONS, per_emotion, strict=True)),
        "command": command, "complete": False,
    }  # fmt: skip


def check_same(old: dict[str, Any], new: dict[str, Any], folder: Path, train: FER2013) -> None:
    """Raise InputError where images of `train` described by `new` would not belong to those that `old` describes.

    More faces than before, and more augmentations of each, may follow. In shards, where the images of a face are
    adjacent, only more faces.
    """
    check_mode_and_faces(old, new["mode"], folder, train)
    old = OLDER | old
    fixed = FIXED | ({"num_augments": GROWING["num_augments"]} if new.get("storage") == SHARDS else {})
    different = [(key, name, "") for key, name in fixed.items() if old.get(key) != new.get(key)]
    different += [(key, name, "only ") for key, name in GROWING.items() if old.get(key, 0) > new.get(key, 0)]
    for key, name, only in different[:1]:
        key = "generator" if name == "generator" else key  # its name rather than its fingerprint
        what = f"the images there were generated with {name} {old.get(key)}, this run has {only}{new.get(key)}"
        raise InputError(f"{folder / MANIFEST_NAME}: {what}; {elsewhere(folder)}")


def check_mode_and_faces(manifest: dict[str, Any], mode: str, folder: Path, train: FER2013) -> None:
    """Raise InputError where the images in the folder are of another mode or of other faces."""
    path = folder / MANIFEST_NAME
    check_format(manifest, path)
    if manifest["mode"] != mode:
        raise InputError(f"{path}: the folder holds {manifest['mode']}, not {mode}; {elsewhere(folder)}")
    check_faces(manifest, path, train)


def elsewhere(folder: Path) -> str:
    return f"use another --dest_folder, or remove {folder}"


def read_manifest(folder: Path, mode: str, faces: FER2013) -> dict[str, Any]:
    """The manifest of finished images of these training faces.

    Raises InputError when it is missing or damaged, of the other mode, of images that are not finished, or of
    faces other than `faces` (compared as far as both go).
    """
    path = folder / MANIFEST_NAME
    if not path.is_file():
        raise InputError(f"{path}: no such file; generate the images first: {command_for(mode, faces, folder)}")
    manifest = read_json(path)
    check_format(manifest, path)
    if manifest["mode"] != mode:
        origin = command_for(mode, faces)
        raise InputError(f"{path}: the folder holds {manifest['mode']}, expected {mode} (from {origin})")
    check_faces(manifest, path, faces)
    if manifest["complete"] is not True or "images" not in manifest:
        raise InputError(f"{path}: the images are not finished; go on with: {manifest['command']}")
    return OLDER | manifest


def command_for(mode: str, faces: FER2013, folder: Path | None = None) -> str:
    """The command that generates images of these faces; without a folder, into the default one."""
    data_root = None if faces.dataset == "sample" or faces.data_root == DATA_ROOT else faces.data_root
    dataset = None if faces.dataset == "fer2013" else faces.dataset
    words = as_words(expand_dataset=mode == EXPANSION or None, dataset=dataset, data_root=data_root, dest_folder=folder)
    return shlex.join(["python", "create_augmentations.py", *words])


def check_format(manifest: dict[str, Any], path: Path) -> None:
    """Raise InputError for a manifest of another format, and for a damaged one."""
    expected = {"mode": str, "dataset": str, "generator": str, "generator_fingerprint": str, "seed": int,
                "faces": int, "face_fingerprints": dict, "command": str, "complete": bool}  # fmt: skip
    if manifest.get("format") != FORMAT:
        found = manifest.get("format")
        raise InputError(f"{path}: format {found}, expected {FORMAT}; remove the folder, generate it again")
    wrong = [key for key, kind in expected.items() if not isinstance(manifest.get(key), kind)]
    wrong += [key for key in (*GROWING, "images") if type(manifest.get(key, 0)) is not int]
    may_lack = {"centre": str, "half_width": int | float, "precision": str, "face_detector": str}
    wrong += [key for key, kind in may_lack.items() if key in manifest and not isinstance(manifest[key], kind)]
    if "face_fingerprints" not in wrong and not all(map(COUNT.fullmatch, manifest["face_fingerprints"])):
        wrong.append("face_fingerprints")
    if wrong:
        raise InputError(f"{path}: {wrong[0]} is missing or damaged; remove the folder and generate the images again")


def check_faces(manifest: dict[str, Any], path: Path, faces: FER2013) -> None:
    """Raise InputError when the images are of other faces: never train on one set with the images of another."""
    fingerprints = manifest["face_fingerprints"]
    count = max((int(count) for count in fingerprints if int(count) <= len(faces)), default=0)
    if count == 0 or faces.fingerprint(count) != fingerprints[str(count)]:
        raise InputError(
            f"{path}: the images are of other faces (of {manifest['dataset']}) than the training faces of "
            f"{faces.dataset}; generate images of these into another folder: "
            f"{command_for(manifest['mode'], faces, Path('FOLDER'))}"
        )
