"""Which steps of a study are complete, so that they are not run again: their files are there, and are this study's."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from core_code.core_utils.checkpoints import FINAL
from core_code.core_utils.errors import InputError
from core_code.core_utils.files import read_json
from core_code.datasets.augmentations.manifest import MANIFEST_NAME, check_format
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
from core_code.training.settings import IMAGES_KEY, with_current_names
from EmotionGAN.editor import Editor


def with_completed(steps: Sequence[Step], study: StudySettings, faces: FER2013) -> list[Step]:
    """The steps, each with `complete` as its files say. Raises InputError where a training is another study's.

    `faces` are all training faces of the study. Images of others, or by another generator, are not complete:
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
            return steps_learned(generator_folder(self.study, self.share)) >= step.amount
        if step.kind == "labels":
            return self.has_labels(step)
        return self.has_images(step) if step.kind == "images" else self.has_training(step)

    def has_images(self, step: Step) -> bool:
        """Raises InputError for a damaged manifest."""
        path = image_folders(self.study, self.share)[step.experiment] / MANIFEST_NAME
        if not path.exists():
            return False
        found, study = read_json(path), self.study
        check_format(found, path)
        expected = {"complete": True, "dataset": study.dataset, "seed": study.seed,
                    "num_augments": images_a_face(study, step.experiment),
                    "generator_fingerprint": self.generator_fingerprint}  # fmt: skip
        return found["faces"] >= step.faces and all(found.get(key) == value for key, value in expected.items())

    def has_labels(self, step: Step) -> bool:
        """Whether the soft labels are there, those of images no older than these."""
        path = Path(flag_values(step.command[2:])["dest"])
        if not step.experiment:
            return path.is_file()
        manifest = image_folders(self.study, self.share)[step.experiment] / MANIFEST_NAME
        return path.is_file() and self.has_images(step) and manifest.stat().st_mtime <= path.stat().st_mtime

    def has_training(self, step: Step) -> bool:
        """Raises InputError where it is another study's, or was trained with other settings than this one's."""
        files = checkpoint_files(step, self.study.output_root)
        path = files.path(FINAL)
        if not path.exists():
            return False
        state = files.load(FINAL, "settings")
        settings = with_current_names(state["settings"], byol=False) | {"epochs": state["epoch"]}
        for key, word in flag_values(step.command[1:]).items():
            if key in settings and key != "soft_labels" and not same_value(word, settings[key]):
                raise InputError(
                    f"{path}: trained with {key} {settings[key]}, this study has {word}; give another "
                    f"--output_root, or the {key} of that run"
                )
        if settings.get("training_data", self.training_data) != self.training_data:
            raise InputError(f"{path}: trained on other faces than this study's; give another --output_root")
        generator, images = settings.get(f"{IMAGES_KEY}generator_fingerprint"), ARMS[step.experiment].images
        each, seen = images_a_face(self.study, images), settings.get(f"{IMAGES_KEY}images")
        if each and seen is not None and seen < each * step.faces:
            raise InputError(f"{path}: trained on {seen} images, this study has {each} of each face; give another "
                             "--output_root, or the --num_augments of that run")  # fmt: skip
        if images and generator and self.generator_fingerprint not in (None, generator):
            raise InputError(
                f"{path}: trained on images of another generator than this study's; give that one as --generator, or "
                "another --output_root"
            )
        return True


def same_value(word: str, value: object) -> bool:
    """Whether a setting of a checkpoint is what a word of the command line gives."""
    return float(word) == value if isinstance(value, float) else word == str(value)
