"""The commands of the published study, word for word: what they train, which files they leave, which faces they see.

Only what makes them small and keeps them offline is added behind. What a net is shown is read off its inputs, faces
being recognised by their stripes; that the labels are right follows from the loss in the checkpoint.
"""

import re
import shlex
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from coded_faces import coded_face, read_codes
from PIL import Image
from small_faces import write_csv
from torch import Tensor, nn
from torch_hooks import shown_to

import create_augmentations
import optuna_study
import train_model
from core_code.core_utils.plots import saving
from core_code.models.emotion_net import EmotionNet

ROOT = Path(__file__).parent.parent
MAINS = {"create_augmentations": create_augmentations, "optuna_study": optuna_study, "train_model": train_model}

AUGMENTATIONS = (
    "python create_augmentations.py --dataset fer2013 --dest_folder data/fer2013_augmentations --num_augments 10"
)
EXPANSION = (
    "python create_augmentations.py --dataset fer2013 --dest_folder data/expanded_fer_2013 --expand_dataset True"
)
STUDY = "python optuna_study.py --net_name resnet18 --exp_name Regular"
TRAININGS = {
    "Regular": "python train_model.py --net_name resnet18 --exp_name Regular --epochs 100 "
    "--emotion_transform_prob 0 --fine_tune True",
    "Augmented": "python train_model.py --net_name resnet18 --exp_name Augmented --epochs 100 "
    "--emotion_transform_prob 0.8 --fine_tune True",
    "Expanded": "python train_model.py --net_name resnet18 --exp_name Expanded --epochs 100 "
    "--fine_tune True --use_expanded_dataset True",
}
FEATURES = "python train_model.py --net_name resnet18 --exp_name Features --epochs 100 --emotion_transform_prob 0"
SMALL = " --epochs 1 --image_size 32 --weights none --device cpu"
SMALL_TRAINING = SMALL + " --recipe published"  # random weights would have another one

# Labels, and codes of the faces: first the rows of Training, then PublicTest's, PrivateTest's, then generated images.
TRAIN = [*range(7), *((row % 4 and 3) or row % 7 for row in range(7, 40))]  # Happy is the most frequent
HELD_OUT = list(range(7))
PUBLIC_TEST, PRIVATE_TEST = range(40, 47), range(47, 54)
GENERATED = 54


@dataclass
class Run:
    """What is seen of a command from outside.

    `training` and `evaluation` hold the codes of the faces that nets were shown, int64 [N]; `logits`, float [N, 7],
    are their answers in training; `nets` the nets, each with the tensors that it began with; `files` are new.
    """

    training: Tensor
    evaluation: Tensor
    logits: Tensor
    nets: dict[nn.Module, dict[str, Tensor]]
    files: set[str]
    folder: Path

    def checkpoint(self, kind: str) -> dict[str, Any]:
        (name,) = (name for name in self.files if name.endswith(f"_{kind}.pth"))
        return torch.load(self.folder / name, weights_only=True)


def files_in(folder: Path) -> set[str]:
    """The files below a folder, what it holds in data/ and hidden ones left out."""
    files = (path.relative_to(folder) for path in folder.rglob("[!.]*") if path.is_file())
    return {file.as_posix() for file in files if file.parts[0] != "data"}


def typed(line: str, folder: Path) -> Run:
    """The command, run in this process as if it had been typed in `folder`."""
    script, *words = shlex.split(line)[1:]
    there, begun = files_in(folder), {}

    def note_beginning(net: nn.Module) -> None:
        begun[net] = {name: tensor.clone() for name, tensor in net.state_dict().items()}

    with pytest.MonkeyPatch.context() as patch, shown_to(EmotionNet, note_beginning) as calls:
        patch.setattr(saving, "DPI", 40)  # drawing takes long
        patch.chdir(folder)
        MAINS[script.removesuffix(".py")].main(words)
    codes = [[read_codes(call.views) for call in calls if call.training is training] for training in (True, False)]
    logits = [call.answer.float() for call in calls if call.training]
    every = [torch.cat(parts) if parts else torch.zeros(0) for parts in (*codes, logits)]
    return Run(*every, begun, files_in(folder) - there, folder)


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Iterator[Path]:
    """A clone of the repository with FER2013 in data/fer2013 and, of lines 1 and 2, the images."""
    folder = tmp_path_factory.mktemp("clone")
    for name in ("create_augmentations.py", "core_code", "EmotionGAN"):
        (folder / name).symlink_to(ROOT / name)
    rows = [
        (label, usage, coded_face(code))
        for codes, labels, usage in (
            (range(40), TRAIN, "Training"),
            (PUBLIC_TEST, HELD_OUT, "PublicTest"),
            (PRIVATE_TEST, HELD_OUT, "PrivateTest"),
        )
        for code, label in zip(codes, labels, strict=True)
    ]
    (folder / "data/fer2013").mkdir(parents=True)
    write_csv(folder / "data/fer2013/icml_face_data.csv", rows)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def augmentations(clone) -> Path:
    """Line 1, typed into a shell."""
    command = [sys.executable, *shlex.split(AUGMENTATIONS)[1:]]
    done = subprocess.run(command, cwd=clone, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return clone / "data/fer2013_augmentations"


@pytest.fixture(scope="module")
def expansion(clone) -> Path:
    """Line 2."""
    typed(EXPANSION, clone)
    return clone / "data/expanded_fer_2013"


@pytest.fixture(scope="module")
def recognisable(clone, augmentations, expansion, tmp_path_factory) -> Iterator[Path]:
    """The same folder, but each image with a code: an augmentation's tells its face, an expansion's its label."""
    folder = tmp_path_factory.mktemp("recognisable")
    shutil.copytree(clone / "data", folder / "data", dirs_exist_ok=True)
    for path in folder.glob("data/fer2013_augmentations/*/*.png"):
        Image.fromarray(coded_face(GENERATED + int(path.stem.split("_")[0]))).save(path)
    for path in folder.glob("data/expanded_fer_2013/*/*.png"):
        Image.fromarray(coded_face(GENERATED + int(path.parent.name))).save(path)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def trained(recognisable) -> dict[str, Run]:
    """Lines 4 to 6, by the experiment's name."""
    return {name: typed(line + SMALL_TRAINING, recognisable) for name, line in TRAININGS.items()}


@pytest.fixture(scope="module")
def searched(clone) -> Run:
    """Line 3."""
    return typed(STUDY + SMALL + " --n_trials 2", clone)


def test_line_1_makes_ten_augmentations_of_every_training_face(augmentations):
    images = {path.relative_to(augmentations).as_posix() for path in augmentations.rglob("*.png")}
    assert images == {f"{face % 100}/{face}_{k}.png" for face in range(40) for k in range(10)}
    assert {path.name for path in augmentations.glob("[!.]*") if path.is_file()} == {"manifest.json"}
    check_images(augmentations)


def test_line_2_makes_the_other_emotions_of_every_training_face_fewer_of_frequent_ones(expansion):
    images = {path.relative_to(expansion).as_posix() for path in expansion.rglob("*.png")}
    pairs = {
        (int(label), int(face)) for label, face in (re.fullmatch(r"(\d)/(\d+)\.png", name).groups() for name in images)
    }
    every = {(label, face) for label in range(7) for face in range(40) if TRAIN[face] != label}
    assert pairs <= every and len(pairs) == len(images)
    for label, share in ((label, TRAIN.count(label) / 40) for label in range(7)):
        count = sum(pair[0] == label for pair in pairs)
        others = 40 - TRAIN.count(label)
        assert abs(count - others * (1 - share)) <= 3 * np.sqrt(others * share * (1 - share))
    check_images(expansion)


def check_images(folder: Path) -> None:
    """48x48 grey images, and no two of a face the same."""
    contents = set()
    for path in folder.rglob("*.png"):
        with Image.open(path) as image:
            assert (image.mode, image.size) == ("L", (48, 48))
            contents.add(image.tobytes())
    assert len(contents) == len(list(folder.rglob("*.png")))


def initial_tensors(net_name: str, head: str, features: int) -> dict[str, Tensor]:
    """What --seed 1 and --weights none start from, built without this program."""
    torch.manual_seed(1)
    net = torchvision.models.get_model(net_name, weights=None)
    setattr(net, head, nn.Linear(features, 7))
    return {f"nn_model.{name}": tensor.clone() for name, tensor in net.state_dict().items()}


def moved(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    assert before.keys() == after.keys()
    return {name for name, tensor in after.items() if not torch.equal(tensor, before[name])}


@pytest.mark.parametrize("experiment", TRAININGS)
def test_lines_4_to_6_train_every_tensor_of_the_net(trained, experiment):
    start = initial_tensors("resnet18", "fc", 512)
    assert len(start) == 122
    assert moved(start, trained[experiment].checkpoint("last_trained_epoch")["net"]) == set(start)


def test_without_fine_tune_only_the_head_learns(recognisable):
    last = typed(FEATURES + SMALL_TRAINING, recognisable).checkpoint("last_trained_epoch")["net"]
    assert moved(initial_tensors("resnet18", "fc", 512), last) == {"nn_model.fc.weight", "nn_model.fc.bias"}


@pytest.mark.parametrize("experiment", TRAININGS)
def test_lines_4_to_6_leave_the_files_of_the_study(trained, experiment):
    run, name = trained[experiment], f"resnet18_{experiment}"
    kinds = ("train_accuracy", "validation_accuracy", "train_validation_accuracy", "confusion_matrix")
    (log,) = (file for file in run.files if re.fullmatch(r"logs/training_[\d_-]+\.log", file))
    expected = {
        log,
        *(f"plots_output/{kind}_{name}.png" for kind in kinds),
        *(f"checkpoints/ckpt_{name}_{kind}.pth"
          for kind in ("best_validation", "last_trained_epoch", "final_checkpoint")),
    }  # fmt: skip
    assert expected <= run.files
    assert {Path(file).suffix for file in run.files - expected} <= {".csv", ".json", ".jsonl"}  # histories
    for kind in ("best_validation", "last_trained_epoch", "final_checkpoint"):
        checkpoint = run.checkpoint(kind)
        assert {"net", "epoch", "optimizer", "loss", "name", "experiment"} <= checkpoint.keys()
        assert (checkpoint["epoch"], checkpoint["name"], checkpoint["experiment"]) == (1, "resnet18", experiment)
    text = (run.folder / log).read_text()
    assert f"exp_name: {experiment}" in text and "EmotionNet(" in text
    accuracy = r"accuracy:? [\d.]+ ?%"
    epoch = rf"^.*epoch:? 1\b.*loss:? [\d.]+.*{accuracy}.*{accuracy}.*time:? [\d.]+ s.*$"
    assert len(re.findall(epoch, text, re.IGNORECASE | re.MULTILINE)) == 1


def faces_of(codes: Tensor) -> list[int]:
    """The rows of Training that views are of, augmentations among them, in order."""
    return sorted(code - GENERATED if code >= GENERATED else code for code in codes.tolist())


def test_line_4_trains_on_every_training_face_as_it_is(trained):
    assert sorted(trained["Regular"].training.tolist()) == list(range(40))


def test_line_5_puts_augmentations_of_a_face_in_the_place_of_four_faces_in_five(trained):
    codes = trained["Augmented"].training
    assert faces_of(codes) == list(range(40))
    replaced = int((codes >= GENERATED).sum())
    assert abs(replaced - 32) <= 3 * np.sqrt(40 * 0.8 * 0.2)


def test_line_6_trains_on_every_training_face_and_every_image_of_the_expansion(trained, expansion):
    shown = Counter(trained["Expanded"].training.tolist())
    generated = Counter(GENERATED + int(path.parent.name) for path in expansion.rglob("*.png"))
    assert shown == Counter(range(40)) + generated


@pytest.mark.parametrize("experiment", TRAININGS)
def test_lines_4_to_6_validate_on_public_test_and_leave_private_test_alone(trained, experiment):
    run = trained[experiment]
    assert set(run.evaluation.tolist()) == set(PUBLIC_TEST)
    assert not set(run.training.tolist()) & {*PUBLIC_TEST, *PRIVATE_TEST}


@pytest.mark.parametrize("experiment", TRAININGS)
def test_loss_and_training_accuracy_are_those_of_the_shown_views_with_their_labels(trained, experiment):
    run = trained[experiment]
    label_of = (lambda code: code - GENERATED) if experiment == "Expanded" else (lambda code: TRAIN[code - GENERATED])
    labels = [label_of(code) if code >= GENERATED else TRAIN[code] for code in run.training.tolist()]
    last = run.checkpoint("last_trained_epoch")
    right = run.logits.log_softmax(1)[range(len(labels)), labels]
    assert last["loss"] == pytest.approx(-right.mean().item(), rel=1e-4)
    accuracy = np.mean(run.logits.argmax(1).numpy() == labels)
    assert last["history"][-1]["train_accuracy"] == pytest.approx(accuracy)


def test_line_3_searches_with_whole_nets_on_training_faces(searched):
    assert len(searched.nets) == 2
    for net, start in searched.nets.items():
        assert moved(start, net.state_dict()) == set(start)
    assert Counter(searched.training.tolist()) == Counter({code: 2 for code in range(40)})
    assert set(searched.evaluation.tolist()) == set(PUBLIC_TEST)


def test_line_3_leaves_the_files_of_the_study(searched):
    folder, name = "optuna_study_output", "resnet18_Regular"
    expected = {
        f"{folder}/optuna_study_results_{name}.pkl",
        f"{folder}/param_importances_{name}.png",
        f"{folder}/optimization_history_{name}.png",
    }
    assert expected <= searched.files
    assert not any(file.startswith("checkpoints/") for file in searched.files)


def densenet(line: str) -> list[str]:
    return shlex.split(line.replace("resnet18", "densenet201"))[2:]


def test_the_same_lines_are_understood_with_densenet201():
    args = {name: train_model.parse_arguments(densenet(line)) for name, line in TRAININGS.items()}
    assert [one.fine_tune for one in args.values()] == [True] * 3
    assert [one.emotion_transform_prob for one in args.values()] == [0, 0.8, None]
    assert [one.use_expanded_dataset for one in args.values()] == [False, False, True]
    for one in args.values():
        assert (one.net_name, one.epochs, one.batch_size, one.lr) == ("densenet201", 100, 32, 3e-4)
    assert optuna_study.parse_arguments(densenet(STUDY)).net_name == "densenet201"


@pytest.mark.slow
@pytest.mark.parametrize("experiment", TRAININGS)
def test_the_same_lines_train_every_tensor_of_densenet201(recognisable, experiment):
    run = typed(TRAININGS[experiment].replace("resnet18", "densenet201") + SMALL_TRAINING, recognisable)
    start = initial_tensors("densenet201", "classifier", 1920)
    assert moved(start, run.checkpoint("last_trained_epoch")["net"]) == set(start)
    assert set(range(40)) <= set(faces_of(run.training))
