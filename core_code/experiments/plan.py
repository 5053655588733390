"""What a study consists of: images to make, nets to train, each a command that could be typed by hand."""

import argparse
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from core_code.core_utils.checkpoints import FINAL, CheckpointFiles
from core_code.core_utils.errors import InputError
from core_code.core_utils.files import read_json
from core_code.datasets.augmentations.manifest import MANIFEST_NAME
from core_code.experiments.presets import AUGMENTED_PROBABILITY, PRESETS

FACES_OF_A_PAIR = 2  # BYOL sees a face and its augmentation at a time
IMAGES = {"augmented": "augmentations", "augmented_face": "augmentations_face", "expanded": "expansion"}


@dataclass(frozen=True)
class Step:
    """A command of the study.

    `needs` names the steps that must be complete before; `kind` is images, byol or training, and `amount` how many
    images it makes at most or faces it trains on, of `image_size`: what its time is estimated from. `net` is empty
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
    """What a run is called in the names of its files."""
    return f"{experiment}_seed{seed}"


def image_folders(args: argparse.Namespace) -> dict[str, Path]:
    """Where the study's images lie: SPEC's folders for FER2013, folders of their own for other data sets."""
    fer2013 = args.dataset == "fer2013"
    prefix = "fer2013" if fer2013 else args.dataset
    return {
        "augmentations": args.images_root / f"{prefix}_augmentations",
        "augmentations_face": args.images_root / f"{prefix}_augmentations_face",
        "expansion": args.images_root / ("expanded_fer_2013" if fer2013 else f"expanded_{prefix}"),
    }


def make_plan(args: argparse.Namespace, class_counts: Sequence[int]) -> list[Step]:
    """All steps in an order in which they can be done; `class_counts` are the training faces of each emotion.

    Raises InputError for images or checkpoints of other settings in the places of this study's.
    """
    faces = sum(class_counts)
    wanted = [IMAGES[experiment] for experiment in args.experiments if experiment in IMAGES]
    if "byol" in args.experiments:
        wanted.append("augmentations")
    amounts = dict.fromkeys(IMAGES.values(), faces * args.num_augments) | {"expansion": expanded(class_counts)}
    steps = [image_step(args, what, amounts[what]) for what in dict.fromkeys(wanted)]
    for net in args.nets:
        for seed in args.seeds:
            for experiment in args.experiments:
                steps += training_steps(args, net, experiment, seed, faces, faces + amounts["expansion"])
    return [replace(step, complete=is_complete(step, args)) for step in steps]


def expanded(class_counts: Sequence[int]) -> int:
    """About how many images an expansion has: each face gets emotion k with probability 1 - k's share."""
    faces = sum(class_counts)
    return round(sum((faces - count) * (1 - count / faces) for count in class_counts))


def image_step(args: argparse.Namespace, what: str, images: int) -> Step:
    """The making of augmentations or of the expansion."""
    command = ["create_augmentations.py", "--dest_folder", str(image_folders(args)[what])]
    if what == "expansion":
        command += ["--expand_dataset", "True"]
    else:
        command += ["--num_augments", str(args.num_augments)]
        command += ["--centre", "face"] if what == "augmentations_face" else []
    command += ["--seed", str(args.seed), *shared_flags(args)]
    command += ["--generator", str(args.generator)] if args.generator else []
    return Step(what, tuple(command), (), "images", images)


def training_steps(
    args: argparse.Namespace, net: str, experiment: str, seed: int, faces: int, faces_expanded: int
) -> list[Step]:
    """The training of a net; for `byol` its pre-training before it."""
    name = run_name(experiment, seed)
    run = ["--net_name", net, "--exp_name", name, "--seed", str(seed), "--weights", args.weights, "--resume", "True"]
    run += shared_flags(args)
    folders = image_folders(args)
    epochs = epochs_of(args, experiment)
    train = ["train_model.py", *run, "--fine_tune", "True", "--epochs", str(epochs)]
    train += ["--image_size", str(args.image_size), *PRESETS[args.preset].training_flags]
    step = Step(f"{net}_{name}", (), (), "training", faces * epochs, net, experiment, seed, args.image_size)
    if experiment == "expanded":
        train += ["--use_expanded_dataset", "True", "--expanded_folder", str(folders["expansion"])]
        if PRESETS[args.preset].equal_faces:
            train += ["--faces_per_epoch", str(faces)]
        else:
            step = replace(step, amount=faces_expanded * args.epochs)
        return [replace(step, command=tuple(train), needs=("expansion",))]
    if experiment in ("augmented", "augmented_face"):
        images = IMAGES[experiment]
        train += [
            "--emotion_transform_prob",
            str(AUGMENTED_PROBABILITY),
            "--augmentations_folder",
            str(folders[images]),
        ]
        return [replace(step, command=tuple(train), needs=(images,))]
    train += ["--emotion_transform_prob", "0"]
    if experiment == "baseline":
        return [replace(step, command=tuple(train))]
    pretrain = ["train_byol_model.py", *run, "--fine_tune", "True", "--epochs", str(args.byol_epochs)]
    pretrain += ["--image_size", str(args.byol_image_size), "--augmentations_folder", str(folders["augmentations"])]
    first = replace(
        step, name=f"{net}_{name}_pretraining", command=tuple(pretrain), needs=("augmentations",), kind="byol",
        amount=faces * args.byol_epochs, image_size=args.byol_image_size,
    )  # fmt: skip
    return [first, replace(step, command=(*train, "--load_byol", "True"), needs=(first.name,))]


def epochs_of(args: argparse.Namespace, experiment: str) -> int:
    """Of a training: where all see equally many faces, those of the pre-training are taken off. Raises InputError."""
    if experiment != "byol" or not PRESETS[args.preset].equal_faces:
        return args.epochs
    left = args.epochs - FACES_OF_A_PAIR * args.byol_epochs
    if left < 1:
        raise InputError(
            f"--byol_epochs {args.byol_epochs}: each counts as {FACES_OF_A_PAIR} of --epochs {args.epochs}, which "
            f"leaves {left} for the training after it, expected 1 or more"
        )
    return left


def shared_flags(args: argparse.Namespace) -> list[str]:
    """Data, device and output: the same for every command."""
    flags = ["--dataset", args.dataset]
    flags += ["--data_root", str(args.data_root)] if args.dataset != "sample" else []
    flags += ["--max_faces", str(args.max_faces)] if args.max_faces else []
    return [*flags, "--device", args.device, "--precision", args.precision, "--output_root", str(args.output_root)]


def is_complete(step: Step, args: argparse.Namespace) -> bool:
    """Whether the step's files are all there. Raises InputError where they are another study's."""
    if step.kind == "images":
        return images_complete(step, args)
    files = checkpoint_files(step, args.output_root)
    path = files.path(FINAL)
    if not path.exists():
        return False
    state = files.load(FINAL, "settings")
    epochs = args.byol_epochs if step.kind == "byol" else epochs_of(args, step.experiment)
    wanted = {"image_size": step.image_size, "seed": step.seed, "weights": args.weights, "dataset": args.dataset}
    for key, value in {**wanted, "epochs": epochs}.items():
        found = state["epoch"] if key == "epochs" else state["settings"].get(key)
        if found != value:
            raise InputError(
                f"{path}: trained with {key} {found}, this study has {value}; give another --output_root, or the "
                f"{key} of that run"
            )
    return True


def images_complete(step: Step, args: argparse.Namespace) -> bool:
    """Whether create_augmentations.py has nothing left to make; whether it may is its own business."""
    path = image_folders(args)[step.name] / MANIFEST_NAME
    if not path.exists():
        return False
    manifest = read_json(path)
    enough = step.name == "expansion" or manifest.get("num_augments") == args.num_augments
    return manifest.get("complete") is True and enough and manifest.get("dataset") == args.dataset


def checkpoint_files(step: Step, output_root: Path) -> CheckpointFiles:
    """Where a training's checkpoints lie."""
    name = run_name(step.experiment, step.seed)
    return CheckpointFiles(output_root / "checkpoints", step.net, name, byol=step.kind == "byol")
