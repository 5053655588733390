"""What a study consists of: images to generate, nets to train, each a command that could be typed by hand."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from core_code.core_utils.checkpoints import FINAL, CheckpointFiles
from core_code.core_utils.errors import InputError
from core_code.core_utils.files import read_json
from core_code.core_utils.flags import as_words
from core_code.datasets.augmentations.manifest import MANIFEST_NAME
from core_code.experiments.presets import AUGMENTED_PROBABILITY, StudySettings
from core_code.training.recipes import PUBLISHED

FACES_OF_A_PAIR = 2  # BYOL sees a face and its augmentation at a time
IMAGES = {"augmented": "augmentations", "augmented_face": "augmentations_face", "byol": "augmentations",
          "expanded": "expansion"}  # fmt: skip


@dataclass(frozen=True)
class Step:
    """A command of the study.

    `needs` names the steps that must be complete before; `kind` is images, byol or training, and `amount` how many
    images it generates at most or faces it trains on, of `image_size`: what its time is estimated from. `net` is empty
    for images.
    """

    name: str
    command: tuple[str, ...]
    needs: tuple[str, ...]
    kind: str
    amount: int
    net: str = ""
    experiment: str = ""
    seed: int = 0
    image_size: int = 48
    complete: bool = False

    @property
    def shown(self) -> str:
        """The command as one would type it."""
        return shlex.join(("python", *self.command))


def run_name(experiment: str, seed: int) -> str:
    """The name of a run in the names of its files."""
    return f"{experiment}_seed{seed}"


def image_folders(study: StudySettings) -> dict[str, Path]:
    """The folders of the study's images: SPEC's for FER2013, folders of their own for other data sets."""
    names = {name: f"{study.dataset}_{name}" for name in ("augmentations", "augmentations_face")}
    names["expansion"] = f"expanded_{'fer_2013' if study.dataset == 'fer2013' else study.dataset}"
    return {images: study.images_root / name for images, name in names.items()}


def make_plan(study: StudySettings, class_counts: Sequence[int]) -> list[Step]:
    """All steps in an order in which they can be done; `class_counts` are the training faces of each emotion.

    Raises InputError for images or checkpoints of other settings in the places of this study's.
    """
    faces = sum(class_counts)
    amounts = dict.fromkeys(IMAGES.values(), faces * study.num_augments) | {"expansion": expanded(class_counts)}
    needed = {IMAGES[name] for name in study.experiments if name in IMAGES}
    steps = [image_step(study, images, amount) for images, amount in amounts.items() if images in needed]
    for net in study.nets:
        for seed in study.seeds:
            for experiment in study.experiments:
                steps += training_steps(study, net, experiment, seed, faces, faces + amounts["expansion"])
    return [replace(step, complete=is_complete(step, study)) for step in steps]


def expanded(class_counts: Sequence[int]) -> int:
    """About how many images an expansion has: each face gets emotion k with probability 1 - k's share."""
    faces = sum(class_counts)
    return round(sum((faces - count) * (1 - count / faces) for count in class_counts))


def shared_flags(study: StudySettings) -> tuple[str, ...]:
    """Data, device and output: the same for every command."""
    return as_words(
        dataset=study.dataset, data_root=None if study.dataset == "sample" else study.data_root,
        max_faces=study.max_faces, device=study.device, precision=study.precision, output_root=study.output_root,
    )  # fmt: skip


def image_step(study: StudySettings, images: str, amount: int) -> Step:
    """Generate augmentations or the expansion."""
    expand = images == "expansion"
    command = as_words(
        dest_folder=image_folders(study)[images], expand_dataset=expand or None,
        num_augments=None if expand else study.num_augments, centre="face" if images == "augmentations_face" else None,
        seed=study.seed,
    )  # fmt: skip
    command += shared_flags(study) + as_words(generator=study.generator)
    return Step(images, ("create_augmentations.py", *command), (), "images", amount)


def training_steps(
    study: StudySettings, net: str, experiment: str, seed: int, faces: int, faces_expanded: int
) -> list[Step]:
    """The training of a net; for `byol` its pre-training before it."""
    name = run_name(experiment, seed)
    run = as_words(net_name=net, exp_name=name, seed=seed, weights=study.weights, resume=True) + shared_flags(study)
    folder = image_folders(study).get(IMAGES.get(experiment, ""))
    epochs = epochs_of(study, experiment)
    amount = faces_expanded if experiment == "expanded" and not study.equal_faces else faces
    needs = (IMAGES[experiment],) if experiment in IMAGES else ()
    steps = []
    if experiment == "byol":
        command = run + as_words(
            fine_tune=True, epochs=study.byol_epochs, image_size=study.byol_image_size, augmentations_folder=folder
        )
        steps = [Step(
            f"{net}_{name}_pretraining", ("train_byol_model.py", *command), needs, "byol",
            faces * study.byol_epochs, net, experiment, seed, study.byol_image_size,
        )]  # fmt: skip
        needs = (steps[0].name,)
    command = run + as_words(recipe=PUBLISHED, fine_tune=True, epochs=epochs, image_size=study.image_size)
    command += study.training_flags
    if experiment == "expanded":
        per_epoch = faces if study.equal_faces else None
        command += as_words(use_expanded_dataset=True, expanded_folder=folder, faces_per_epoch=per_epoch)
    elif experiment.startswith("augmented"):
        command += as_words(emotion_transform_prob=AUGMENTED_PROBABILITY, augmentations_folder=folder)
    else:
        command += as_words(emotion_transform_prob=0, load_byol=experiment == "byol" or None)
    training = Step(
        f"{net}_{name}", ("train_model.py", *command), needs, "training", amount * epochs, net, experiment, seed,
        study.image_size,
    )  # fmt: skip
    return [*steps, training]


def epochs_of(study: StudySettings, experiment: str) -> int:
    """Of a training: where all see equally many faces, those of the pre-training are taken off. Raises InputError."""
    if experiment != "byol" or not study.equal_faces:
        return study.epochs
    left = study.epochs - FACES_OF_A_PAIR * study.byol_epochs
    if left < 1:
        counted = f"each counts as {FACES_OF_A_PAIR} of --epochs {study.epochs}, which leaves {left} for the training"
        raise InputError(f"--byol_epochs {study.byol_epochs}: {counted} after it, expected 1 or more")
    return left


def is_complete(step: Step, study: StudySettings) -> bool:
    """Whether the step's files are all there. Raises InputError where a training is another study's.

    create_augmentations.py checks the other settings of its images itself.
    """
    if step.kind == "images":
        path = image_folders(study)[step.name] / MANIFEST_NAME
        count = {} if step.name == "expansion" else {"num_augments": study.num_augments}
        expected = {"complete": True, "dataset": study.dataset, **count}
        return path.exists() and expected.items() <= read_json(path).items()
    files = checkpoint_files(step, study.output_root)
    path = files.path(FINAL)
    if not path.exists():
        return False
    state = files.load(FINAL, "settings")
    epochs = study.byol_epochs if step.kind == "byol" else epochs_of(study, step.experiment)
    trained = {"image_size": step.image_size, "seed": step.seed, "weights": study.weights, "dataset": study.dataset,
               "epochs": epochs}  # fmt: skip
    for key, value in trained.items():
        found = state["epoch"] if key == "epochs" else state["settings"].get(key)
        if found != value:
            raise InputError(
                f"{path}: trained with {key} {found}, this study has {value}; give another --output_root, or the "
                f"{key} of that run"
            )
    return True


def checkpoint_files(step: Step, output_root: Path) -> CheckpointFiles:
    """The checkpoints of a training."""
    name = run_name(step.experiment, step.seed)
    return CheckpointFiles(output_root / "checkpoints", step.net, name, byol=step.kind == "byol")
