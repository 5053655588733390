"""What a study consists of: images to generate, nets to train, each a command that could be typed by hand."""

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from core_code.core_utils.checkpoints import CheckpointFiles
from core_code.core_utils.errors import InputError
from core_code.core_utils.flags import as_words
from core_code.experiments.arms import ARMS, AUGMENTED_PROBABILITY, EXPANSION, IMAGES, OWN_CODES, Arm
from core_code.experiments.presets import StudySettings
from EmotionGAN.learn.config import LearnConfig
from EmotionGAN.learn.run import LOG

FACES_OF_A_PAIR = 2  # BYOL sees a face and its augmentation at a time


@dataclass(frozen=True)
class Step:
    """A command of the study.

    `needs` names the steps that must be complete before; `kind` is generator, images, labels, byol or training, and
    `amount` how many steps it learns, images it generates at most or faces it trains on, of `image_size`: what its time
    is estimated from. It is of the first `faces` training faces. `net` is empty for generators and images.
    `experiment` is the arm; of images, and of labels of images, their kind.
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
    epochs: int = 0
    faces: int = 0
    share: float = 1.0
    complete: bool = False

    @property
    def shown(self) -> str:
        """The command as one would type it."""
        return shlex.join(("python", *self.command))


def part_name(name: str, share: float) -> str:
    """The name of what is of a share of the training faces; of the whole it is the name alone."""
    return name if share == 1 else f"{name}_share{share:g}"


def run_name(experiment: str, seed: int, share: float = 1.0) -> str:
    """The name of a run in the names of its files."""
    return f"{part_name(experiment, share)}_seed{seed}"


def image_folders(study: StudySettings, share: float = 1.0) -> dict[str, Path]:
    """The folders of the images of a part: SPEC's for FER2013, folders of their own for other data sets."""
    names = {images: f"{study.dataset}_{images}" for images in IMAGES}
    names[EXPANSION] = f"expanded_{'fer_2013' if study.dataset == 'fer2013' else study.dataset}"
    return {images: study.images_root / part_name(name, share) for images, name in names.items()}


def generator_folder(study: StudySettings, share: float) -> Path:
    """Where the generator of a part is learned."""
    return study.images_root / part_name(f"{study.dataset}_generator", share)


def seeds_of(study: StudySettings, share: float) -> tuple[int, ...]:
    """The seeds that nets are trained with on a share of the faces."""
    return study.seeds[: study.whole_seeds] if share == 1 else study.seeds


def make_plan(study: StudySettings, class_counts: Sequence[int]) -> list[Step]:
    """All steps, the most important first, each after those that it needs: an arm with all its seeds before the next.

    `class_counts` are the training faces of each emotion. Raises InputError.
    """
    plan: dict[str, Step] = {}
    for share in study.shares:
        if round(share * sum(class_counts)) < 1:
            raise InputError(f"--shares {share:g}: not one of {sum(class_counts)} training faces")
    for experiment in study.experiments:
        for net in study.nets:
            for share in study.shares:
                part = Part(study, net, share, [round(share * count) for count in class_counts], sum(class_counts))
                for step in part.steps(experiment):
                    plan.setdefault(step.name, step)
    return list(plan.values())


def images_a_face(study: StudySettings, images: str) -> int | None:
    """How many images of each face a kind of IMAGES has; None for the expansion, which has its own rule, and none."""
    return {"": None, EXPANSION: None, OWN_CODES: 1}.get(images, study.num_augments)


def expanded(class_counts: Sequence[int]) -> int:
    """About how many images an expansion has: each face gets emotion k with probability 1 - k's share."""
    faces = sum(class_counts)
    return round(sum((faces - count) * (1 - count / max(faces, 1)) for count in class_counts))


@dataclass(frozen=True)
class Part:
    """The steps of a net on a share of the training faces, `class_counts` of each emotion, of `all_faces`."""

    study: StudySettings
    net: str
    share: float
    class_counts: Sequence[int]
    all_faces: int

    @property
    def faces(self) -> int:
        """How many training faces the part has."""
        return round(self.share * self.all_faces)

    @property
    def epochs(self) -> int:
        """How many a training has, with those that its pre-training takes the place of."""
        whole = self.study.whole_epochs if self.share == 1 else None
        return whole or self.study.epochs

    def epochs_of(self, experiment: str) -> int:
        """Of a training: where all see equally many faces, those of the pre-training are taken off.

        Raises InputError.
        """
        pretraining = self.study.byol_epochs
        if experiment != "byol" or not self.study.equal_faces:
            return self.epochs
        left = self.epochs - FACES_OF_A_PAIR * pretraining
        if left < 1:
            counted = f"each counts as {FACES_OF_A_PAIR} of {self.epochs} epochs, which leaves {left} for the training"
            raise InputError(f"--byol_epochs {pretraining}: {counted} after it, expected 1 or more")
        return left

    def steps(self, experiment: str) -> Iterator[Step]:
        """All steps of an arm, those that it needs before it."""
        arm = ARMS[experiment]
        needs: tuple[str, ...] = ()
        if arm.images:
            images = list(self.image_steps(arm.images))
            yield from images
            needs = (images[-1].name,)
        if arm.soft:
            labels = list(self.label_steps(arm.images))
            yield from labels
            needs = (*needs, labels[-1].name)
        for seed in seeds_of(self.study, self.share):
            yield from self.training_steps(experiment, arm, seed, needs)

    def flags(self, output_root: bool = True) -> tuple[str, ...]:
        """Data, device and output: the same for every command."""
        study = self.study
        return as_words(
            dataset=study.dataset, data_root=None if study.dataset == "sample" else study.data_root,
            max_faces=study.max_faces if self.share == 1 else self.faces, device=study.device,
            precision=study.precision, output_root=study.output_root if output_root else None,
        )  # fmt: skip

    def image_steps(self, images: str) -> Iterator[Step]:
        """Generate augmentations or the expansion, and before it, where that is asked for, learn the generator."""
        study, needs, generator = self.study, tuple[str, ...](), self.study.generator
        if study.learn_generators and self.share < 1:
            folder = generator_folder(study, self.share)
            words = as_words(dest=folder, seed=study.seed) + self.flags(output_root=False)
            command = ("-m", "EmotionGAN.learn", *words)
            name = part_name("generator", self.share)
            config, given = LearnConfig(), flag_values(study.generator_flags)
            steps = sum(int(given.get(part, getattr(config, part))) for part in ("discriminator_steps", "steps"))
            command += study.generator_flags
            yield Step(name, command, (), "generator", steps, faces=self.faces, share=self.share)
            needs, generator = (name,), folder / "generator"
        each = images_a_face(study, images)
        command = as_words(
            dest_folder=image_folders(study, self.share)[images], num_augments=each, seed=study.seed,
        ) + IMAGES[images] + self.flags() + as_words(generator=generator)  # fmt: skip
        amount = expanded(self.class_counts) if each is None else self.faces * each
        yield Step(
            part_name(images, self.share), ("create_augmentations.py", *command), needs, "images", amount,
            experiment=images, faces=self.faces, share=self.share,
        )  # fmt: skip

    def label_steps(self, images: str) -> Iterator[Step]:
        """Soft labels of the faces, and then of images, up to these.

        The teachers are trained for the first; the others wait for each other, since no two may use a run at once.
        """
        study, before = self.study, tuple[str, ...]()
        kinds = ["", *(ARMS[name].images for name in study.experiments if ARMS[name].soft)]
        folders = image_folders(study, self.share)
        for kind in dict.fromkeys(kinds[: kinds.index(images) + 1]):
            folder = {"expanded_folder" if kind == EXPANSION else "augmentations_folder": folders[kind]} if kind else {}
            command = as_words(
                net_name=self.net, exp_name=part_name("teachers", self.share), dest=self.labels_file(kind),
                weights=study.weights, recipe=study.recipe, epochs=self.epochs, image_size=study.image_size,
                seed=study.seed, resume=True, **folder,
            ) + self.flags() + study.training_flags + study.label_flags  # fmt: skip
            name = f"{self.net}_{part_name('_'.join(filter(None, ('soft_labels', kind))), self.share)}"
            needs = before + ((part_name(kind, self.share),) if kind else ())
            given = flag_values(study.label_flags)
            nets = 0 if kind else (int(given["folds"]) - 1) * int(given["ensemble"])  # each on all folds but one
            yield Step(
                name, ("-m", "core_code.soft_labels", *command), needs, "labels", nets * self.epochs * self.faces,
                self.net, kind, image_size=study.image_size, faces=self.faces, share=self.share,
            )  # fmt: skip
            before = (name,)

    def labels_file(self, images: str) -> Path:
        """The soft labels of the part's faces and of images, if any."""
        name = "_".join(filter(None, (self.net, part_name("teachers", self.share), images)))
        return self.study.output_root / "soft_labels" / f"{name}.npz"

    def training_steps(self, experiment: str, arm: Arm, seed: int, needs: tuple[str, ...]) -> Iterator[Step]:
        """The training of a net; for `byol` its pre-training before it."""
        study, net, byol = self.study, self.net, experiment == "byol"
        name, epochs = run_name(experiment, seed, self.share), self.epochs_of(experiment)
        run = as_words(net_name=net, exp_name=name, seed=seed, weights=study.weights, resume=True) + self.flags()
        folder = image_folders(study, self.share).get(arm.images)
        if byol:
            command = run + as_words(
                fine_tune=True, epochs=study.byol_epochs, image_size=study.byol_image_size, augmentations_folder=folder
            )
            pretraining = Step(
                f"{net}_{name}_pretraining", ("train_byol_model.py", *command, *study.byol_flags), needs, "byol",
                self.faces * study.byol_epochs, net, experiment, seed, study.byol_image_size, study.byol_epochs,
                self.faces, self.share,
            )  # fmt: skip
            yield pretraining
            needs = (pretraining.name,)
        command = run + as_words(recipe=study.recipe, fine_tune=True, epochs=epochs, image_size=study.image_size)
        command += study.training_flags
        per_epoch = self.faces
        if arm.expands:
            per_epoch += 0 if study.equal_faces else expanded(self.class_counts)
            each = self.faces if study.equal_faces else None
            command += as_words(use_expanded_dataset=True, expanded_folder=folder, faces_per_epoch=each)
        elif folder and not byol:
            command += as_words(emotion_transform_prob=AUGMENTED_PROBABILITY, augmentations_folder=folder)
        else:
            command += as_words(emotion_transform_prob=0, load_byol=byol or None)
        command += as_words(soft_labels=self.labels_file(arm.images) if arm.soft else None)
        yield Step(
            f"{net}_{name}", ("train_model.py", *command, *arm.flags), needs, "training", per_epoch * epochs, net,
            experiment, seed, study.image_size, epochs, self.faces, self.share,
        )  # fmt: skip


def flag_values(words: Sequence[str]) -> Mapping[str, str]:
    """The values of flags by their names, out of the words of a command line: `--name value` each."""
    return {name.removeprefix("--"): value for name, value in zip(words[::2], words[1::2], strict=True)}


def steps_learned(folder: Path) -> int:
    """How many steps the generator in a folder has been trained for; its log is written after its weights."""
    path = folder / LOG
    lines = path.read_bytes().splitlines() if path.is_file() else []
    with suppress(ValueError, LookupError, TypeError, OverflowError, RecursionError):  # a last line that was cut off
        return int(json.loads(lines[-1])["step"])
    return 0


def checkpoint_files(step: Step, output_root: Path) -> CheckpointFiles:
    """The checkpoints of a training."""
    name = run_name(step.experiment, step.seed, step.share)
    return CheckpointFiles(output_root / "checkpoints", step.net, name, byol=step.kind == "byol")
