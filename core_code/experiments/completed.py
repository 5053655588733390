"""Which steps of a study are complete, so that they are not run again: their files are there, and are this study's."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

from core_code.core_utils.checkpoints import BEST, FINAL
from core_code.core_utils.errors import InputError
from core_code.core_utils.files import load_weights, read_json
from core_code.core_utils.npz import read_npz
from core_code.datasets.augmentations.manifest import MANIFEST_NAME, check_faces, check_format
from core_code.datasets.fer2013 import FER2013
from core_code.experiments.arms import ARMS
from core_code.experiments.plan import (
    Step,
    checkpoint_files,
    flag_values,
    generator_folder,
    image_folders,
    images_a_face,
    steps_learned,
)
from core_code.experiments.presets import StudySettings
from core_code.training.recipes import PUBLISHED, recipe_values
from core_code.training.settings import HEAD, IMAGES_KEY, LATER, WHOLE_NET, with_current_names
from core_code.training.soft_labels import SoftLabels
from EmotionGAN.editor import Editor
from EmotionGAN.learn.config import LearnConfig
from EmotionGAN.learn.run import CHECKPOINT


def with_completed(steps: Sequence[Step], study: StudySettings, faces: FER2013) -> list[Step]:
    """The steps, each with `complete` as its files say. Raises InputError where a training, a learned generator or the
    faces of images are another study's.

    `faces` are all training faces of the study. Images of fewer of them, or by another generator, are not complete:
    create_augmentations.py adds to them, or tells why it cannot.
    """
    parts = {share: PartFiles(study, share, faces) for share in study.shares}
    return [replace(step, complete=parts[step.share].has(step)) for step in steps]


@dataclass(frozen=True)
class PartFiles:
    """The files of a study's steps on a share of its training faces."""

    study: StudySettings
    share: float
    faces: FER2013

    @cached_property
    def training_data(self) -> str:
        """What the trainings on this part write down of their faces."""
        return self.faces.fingerprint(round(self.share * len(self.faces)))

    @cached_property
    def generator_fingerprint(self) -> str | None:
        """That of the generator that the images of this part come from; None where it is still to be learned."""
        path = self.study.generator
        if self.study.learn_generators and self.share < 1:
            path = generator_folder(self.study, self.share) / "generator"
            if not path.exists():
                return None
        return Editor.load(path, "cpu").fingerprint

    def has(self, step: Step) -> bool:
        """Whether the step's files are all there."""
        if step.kind == "generator":
            return self.has_generator(step)
        if step.kind == "labels":
            return self.has_labels(step)
        return self.has_images(step) if step.kind == "images" else self.has_training(step)

    def has_generator(self, step: Step) -> bool:
        """Raises InputError where it was learned from other faces, with other settings or for more steps."""
        folder = generator_folder(self.study, self.share)
        learned, path = steps_learned(folder), folder / CHECKPOINT
        if learned < step.amount:
            return False
        saved = load_weights(path, "checkpoint of a learning run") if path.exists() else {}
        settings = json_settings(saved.get("settings", "{}"), path)
        if settings.get("training_data", self.training_data) != self.training_data:
            raise InputError(f"{path}: learned from other faces than this study's; give another --images_root")
        expected = {**asdict(LearnConfig()), **flag_values(step.command[2:]), "steps": step.amount}
        check_settings(path, "learned", settings | {"steps": learned}, expected, "--images_root")
        return True

    def has_images(self, step: Step) -> bool:
        """Raises InputError for a damaged manifest, and for images of other faces."""
        path = image_folders(self.study, self.share)[step.experiment] / MANIFEST_NAME
        if not path.exists():
            return False
        found, study = read_json(path), self.study
        check_format(found, path)
        check_faces(found, path, self.faces)
        expected = {"complete": True, "dataset": study.dataset, "seed": study.seed,
                    "num_augments": images_a_face(study, step.experiment),
                    "generator_fingerprint": self.generator_fingerprint}  # fmt: skip
        return found["faces"] >= step.faces and all(found.get(key) == value for key, value in expected.items())

    def has_labels(self, step: Step) -> bool:
        """Whether the soft labels are there, those of images no older than these. Raises InputError where they are of
        other faces, or by teachers with other settings than this study's."""
        path = Path(flag_values(step.command[2:])["dest"])
        try:
            arrays = read_npz(path, "file of soft labels")
        except InputError:
            return False  # missing or damaged: the teachers label again
        if str(arrays.get("training_data")) != self.training_data:
            raise InputError(f"{path}: labels of other faces than this study's; give another --output_root")
        check_settings(path, "labelled", json_settings(arrays.get("settings", "{}"), path), expected_settings(step))
        if not step.experiment:
            return True
        manifest = image_folders(self.study, self.share)[step.experiment] / MANIFEST_NAME
        return self.has_images(step) and manifest.stat().st_mtime <= path.stat().st_mtime

    def has_training(self, step: Step) -> bool:
        """Whether the net is trained, and its best epoch is one of the same run. Raises InputError where it is another
        study's, or was trained with other settings than this one's."""
        files = checkpoint_files(step, self.study.output_root)
        path, best = files.path(FINAL), files.path(BEST)
        try:
            state = files.load(FINAL, "settings")
        except InputError:
            return False  # missing or damaged: the training, resumed, writes it again or tells what is wrong
        if not best.exists() or best.stat().st_mtime_ns > path.stat().st_mtime_ns:  # of a run that was begun later
            return False
        settings = with_current_names(state["settings"], files.byol) | {"epochs": state["epoch"]}
        check_settings(path, "trained", settings, expected_settings(step))
        labels = expected_labels(step)
        if labels and settings.get("soft_labels") not in (None, labels):
            return False  # resumed, the training tells that the labels are others
        if settings.get("training_data", self.training_data) != self.training_data:
            raise InputError(f"{path}: trained on other faces than this study's; give another --output_root")
        generator, images = settings.get(f"{IMAGES_KEY}generator_fingerprint"), ARMS[step.experiment].images
        each, seen = images_a_face(self.study, images), settings.get(f"{IMAGES_KEY}images")
        if each and seen is not None and seen < each * self.faces_with_images(step, images):
            raise InputError(f"{path}: trained on {seen} images, this study has {each} of each face; give another "
                             "--output_root, or the --num_augments of that run")  # fmt: skip
        if images and generator and self.generator_fingerprint not in (None, generator):
            raise InputError(
                f"{path}: trained on images of another generator than this study's; give that one as --generator, or "
                "another --output_root"
            )
        return True

    def faces_with_images(self, step: Step, images: str) -> int:
        """How many of the step's faces have images: all but those that the face detector has not found."""
        path = image_folders(self.study, self.share)[images] / MANIFEST_NAME
        without = read_json(path).get("faces_without_images") if path.exists() else None
        rows = without if isinstance(without, list) else []
        return step.faces - sum(isinstance(row, int) and row < step.faces for row in rows)


def check_settings(
    path: Path, done: str, found: Mapping[str, object], expected: Mapping[str, object], root: str = "--output_root"
) -> None:  # fmt: skip
    """Raise InputError where a file was made with another value of a setting than is expected. `root`: the flag of the
    folder that it lies in."""
    for key, value in expected.items():
        if key in found and not same_value(value, found[key]):
            raise InputError(f"{path}: {done} with {key} {found[key]}, this study has {value}; give another "
                             f"{root}, or the {key} of that run")  # fmt: skip


def json_settings(text: object, path: Path) -> dict[str, object]:
    """The settings that a file of labels, or a checkpoint of EmotionGAN.learn, holds as JSON. Raises InputError."""
    try:
        return dict(json.loads(str(text)))
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: its settings are damaged; remove it, or give another folder") from error


def expected_settings(step: Step) -> dict[str, object]:
    """The settings that the checkpoint of a training's command holds, or a file of labels: the flags as they are typed,
    and where they are left out the values that they have then."""
    words = dict(flag_values(step.command[2:] if step.kind == "labels" else step.command[1:]))
    if step.kind == "byol":
        return {**with_current_names({}, byol=True), **words}
    words["trained"] = WHOLE_NET if words.pop("fine_tune", "True") == "True" else HEAD
    left_out = {"load_byol": False, "use_expanded_dataset": False, "faces_per_epoch": None}
    recipe = recipe_values(words.get("recipe", PUBLISHED), step.net, step.image_size)
    expected = {**LATER, **left_out, **recipe, **words}
    return {key: value for key, value in expected.items() if key != "soft_labels"}


def expected_labels(step: Step) -> str | None:
    """The fingerprint of the soft labels that a training takes; None where it takes none, or they are not there."""
    path = Path(flag_values(step.command[1:]).get("soft_labels", ""))
    try:
        return SoftLabels(path, read_npz(path, "file of soft labels")).fingerprint
    except InputError:
        return None


def same_value(expected: object, value: object) -> bool:
    """Whether a setting of a checkpoint is the expected one, or what this word of a command line gives."""
    if isinstance(value, float) and isinstance(expected, str):
        return float(expected) == value
    return str(expected) == str(value)
