"""Training on soft labels: targets, the filter, the file, resumption; each beside the same computed here."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from torch_hooks import before_step
from training_runs import differences, make_augmentations

import train_model
from core_code.core_utils.errors import InputError, run_command
from core_code.core_utils.npz import write_npz
from core_code.datasets.augmentations.plan import AUGMENTATIONS, EXPANSION
from core_code.datasets.augmentations.store import load_images
from core_code.datasets.fer2013 import FER2013
from core_code.datasets.labelled_faces import LabelledFaces
from core_code.datasets.loader import FaceBatches
from core_code.models.emotion_net import EmotionNet
from core_code.training.classifier import ClassifierTask
from core_code.training.classifier_data import classifier_data
from core_code.training.settings import ClassifierRun, TrainingSettings
from core_code.training.soft_labels import images_fingerprint, read_soft_labels

CPU = torch.device("cpu")
QUICK = ["--exp_name", "E", "--weights", "none", "--image_size", "32", "--precision", "fp32", "--device", "cpu",
         "--recipe", "published", "--fine_tune", "--epochs", "3", "--batch_size", "10"]  # fmt: skip


def random_probabilities(*shape: int) -> np.ndarray:
    values = np.random.default_rng(0).random((*shape, 7)) ** 2
    return (values / values.sum(-1, keepdims=True)).astype(np.float32)


def make_task(name: str, **changes) -> tuple[ClassifierTask, torch.Tensor]:
    """A task on 48 faces, of which every third has a hard label alone; and its targets."""
    torch.manual_seed(0)
    faces = torch.randint(0, 256, (48, 48, 48), dtype=torch.uint8)
    data = LabelledFaces(faces, torch.arange(48) % 7)
    targets = torch.from_numpy(random_probabilities(48))
    targets[::3] = 0.8 * F.one_hot(data.labels[::3], 7) + 0.2 / 7
    base = {"epochs": 2, "lr": 1e-30, "weight_decay": 0, "optimizer": "sgd", "scheduler": "none", "image_size": 32,
            "seed": 1, "dtype": torch.float32, "label_smoothing": 0.2}  # fmt: skip
    train = FaceBatches(data, 16, CPU, shuffle=True)
    val = FaceBatches(data, 16, CPU)
    return ClassifierTask(EmotionNet(name), train, val, TrainingSettings(**base | changes), targets), targets


def test_the_loss_is_the_cross_entropy_with_the_targets_without_smoothing(small):
    task, targets = make_task(small)
    views, compute, correct = [], task.compute_gradients, 0

    def kept(seen, *others):
        views.append(seen.clone())
        return compute(seen, *others)

    task.forward_backward = kept
    task.net.train()
    losses = [loss.item() for loss, _ in task.steps(1)]
    task.train.set_epoch(1)
    for seen, loss, (_, labels, indices) in zip(views, losses, task.train, strict=True):
        with torch.no_grad():
            logs = task.net(seen).double().log_softmax(1)
        assert loss == pytest.approx(-(targets[indices] * logs).sum(1).mean().item(), rel=1e-5)
        correct += (logs.argmax(1) == labels).sum().item()  # against the hard labels
    assert task.measure()["train_accuracy"] == pytest.approx(correct / 48)


def test_mixup_blends_soft_targets(small):
    task, targets = make_task(small, mixup=0.4)
    seen = {}
    task.step = lambda views, mixed, labels: seen.update(mixed=mixed, labels=labels) or torch.zeros(())
    next(task.steps(1))
    task.train.set_epoch(1)
    _, labels, indices = next(iter(task.train))
    own = targets[indices]
    assert torch.equal(seen["labels"], labels)
    fits = []  # shares that explain all rows: (mixed - own) = (1 - share) * (partner - own)
    for partner in range(1, 16):
        step = (own[partner] - own[0]).abs().argmax()
        share = 1 - (seen["mixed"][0] - own[0])[step] / (own[partner] - own[0])[step]
        rest = (seen["mixed"] - share * own) / (1 - share)
        if 0.5 <= share < 1 and (torch.cdist(rest, own).min(1).values < 1e-3).all():
            fits.append(share)
    assert fits


@pytest.fixture
def there(data_there, small):
    """`there(...)` runs the command where data/fer2013 and its images are, with a small net."""

    def run(*arguments: str) -> None:
        train_model.main(["--net_name", small, *QUICK, *arguments])

    make_augmentations()
    make_augmentations("--expand_dataset", "True")
    return run


def make_file(keep: bool = True, max_faces: int | None = None, **changes) -> Path:
    """A file of random probabilities of all faces and images there."""
    faces = FER2013(max_faces=max_faces)
    augmentations = load_images(Path("data/fer2013_augmentations"), AUGMENTATIONS, faces)
    expansion = load_images(Path("data/expanded_fer_2013"), EXPANSION, faces)
    arrays = {
        "training_data": np.array(faces.fingerprint()), "faces": random_probabilities(len(faces)),
        "augmentations": random_probabilities(len(faces), 2),
        "augmentations_images": np.array(images_fingerprint(augmentations)),
        "expansion": random_probabilities(len(expansion.faces)),
        "expansion_rows": expansion.faces, "expansion_emotions": expansion.ks,
        "expansion_images": np.array(images_fingerprint(expansion)),
    }  # fmt: skip
    if keep:
        arrays["augmentations_keep"] = arrays["augmentations"][..., 0] < 0.1
        arrays["expansion_keep"] = arrays["expansion"][..., 0] < 0.1
    arrays |= changes
    write_npz(Path("soft.npz"), {name: array for name, array in arrays.items() if array is not None})
    return Path("soft.npz")


def settings_of(*arguments: str) -> ClassifierRun:
    args = train_model.parse_arguments(["--net_name", "resnet18", *QUICK, *arguments])
    named = {name: value for name, value in vars(args).items() if name in ClassifierRun.__dataclass_fields__}
    return ClassifierRun(**named | {"device": CPU, "dtype": torch.float32})


@pytest.mark.parametrize("keep", [True, False])
def test_every_image_has_its_own_target_and_what_the_filter_leaves_out_is_never_seen(there, keep):
    path = make_file(keep)
    stored = np.load(path)
    pack = load_images(Path("data/fer2013_augmentations"), AUGMENTATIONS, FER2013())
    target_of = {
        (face, image.tobytes()): stored["augmentations"][face, k]
        for face, k, image in zip(pack.faces, pack.ks, pack.images, strict=True)
    }
    data = classifier_data(settings_of("--emotion_transform_prob", "0.7", "--soft_labels", str(path)))
    shown = set()
    for epoch in range(1, 20):
        data.train.set_epoch(epoch)
        for faces, _, indices, sources, _ in data.train.sharded():
            for face, row, source, target in zip(faces, indices.tolist(), sources, data.targets[sources], strict=True):
                expected = stored["faces"][row] if source < 40 else target_of[row, face.numpy().tobytes()]
                np.testing.assert_allclose(target, expected, rtol=1e-6)
                shown.add((row, face.numpy().tobytes()) if source >= 40 else None)
    passing = {key for key, target in target_of.items() if not keep or target[0] < 0.1}
    assert shown - {None} == passing and (len(passing) < 80) == keep
    data = classifier_data(settings_of("--use_expanded_dataset", "--soft_labels", str(path)))
    kept = stored["expansion_keep"] if keep else np.ones(len(stored["expansion"]), dtype=bool)
    expected = np.concatenate([stored["faces"], stored["expansion"][kept]])
    np.testing.assert_allclose(data.targets, expected, rtol=1e-6)
    assert data.train.labels[40:].tolist() == stored["expansion_emotions"][kept].tolist()


def test_images_that_a_file_lacks_have_hard_labels(there):
    path = make_file(augmentations=None, augmentations_keep=None, augmentations_images=None)
    run = settings_of("--emotion_transform_prob", "0.7", "--soft_labels", str(path), "--label_smoothing", "0.1")
    labels = FER2013().labels.repeat_interleave(2)
    torch.testing.assert_close(classifier_data(run).targets[40:], 0.9 * F.one_hot(labels, 7) + 0.1 / 7)


def test_a_run_on_soft_labels_goes_on_and_equals_an_unbroken_one(there, capsys):
    path = make_file()
    run = ["--emotion_transform_prob", "0.6", "--soft_labels", str(path), "--mixup", "0.2", "--real_only_last", "0.4"]
    there(*run, "--output_root", "unbroken")
    with pytest.raises(SystemExit), before_step(6, lambda: os.kill(os.getpid(), signal.SIGTERM)):
        run_command(lambda: there(*run))
    there(*run, "--resume")
    last = [torch.load(f"{folder}checkpoints/ckpt_small_E_last_trained_epoch.pth", weights_only=True)
            for folder in ("", "unbroken/")]  # fmt: skip
    assert differences(*last) == [] and last[0]["epoch"] == 3
    make_file(keep=False)
    capsys.readouterr()
    for other in (run, [word for word in run if word not in ("--soft_labels", str(path))]):
        with pytest.raises(InputError, match="made with soft_labels"):
            there(*other, "--resume")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"training_data": np.array("abc")}, "labels are of other training faces"),
        ({"max_faces": 30}, "it is of 30 faces, expected 40"),
        ({"augmentations_images": np.array("abc")}, "labels are of other images \\(augmentations\\)"),
        ({"augmentations_images": None}, "augmentations_images is missing"),
        ({"faces": None}, "faces is missing"),
        ({"faces": np.full((40, 7), np.nan, np.float32)}, "faces lacks those of 40 faces"),
        ({"faces": np.ones((40, 7), np.float32)}, "faces holds something else than probabilities of 7 emotions"),
        ({"faces": np.ones((40, 1), np.float32)}, "faces holds something else than probabilities of 7 emotions"),
        ({"faces": np.ones((40, 7), np.int64)}, "faces is int64 of 2 axes"),
        ({"faces": np.full((40, 7), 1 / 7, ">f8")}, "faces is >f8 of 2 axes"),
        ({"augmentations_keep": np.ones((40, 3), bool)}, "augmentations_keep is of another size than augmentations"),
        ({"expansion_rows": np.zeros(3, np.int64)}, "expansion_rows is of another size than expansion"),
        ({"faces": np.array([{}, []], dtype=object)}, "not a readable file of soft labels"),
    ],
)
def test_a_file_of_other_data_or_a_damaged_one_is_refused(there, change, said):
    path = make_file(**change)
    with pytest.raises(InputError, match=said) as refused:
        classifier_data(settings_of("--emotion_transform_prob", "0.5", "--soft_labels", str(path)))
    assert "soft.npz" in str(refused.value)


def test_a_file_that_is_missing_cut_or_packed_is_refused(data_there):
    faces = FER2013()
    with pytest.raises(InputError, match=r"soft.npz: no such file of soft labels \(python -m core_code.soft_labels"):
        read_soft_labels(Path("soft.npz"), faces)
    np.savez_compressed("soft.npz", faces=np.zeros((100_000, 7)))
    with pytest.raises(InputError, match="not a readable file"):
        read_soft_labels(Path("soft.npz"), faces)
    np.savez("soft.npz", faces=np.zeros((40, 7)))
    Path("soft.npz").write_bytes(Path("soft.npz").read_bytes()[:-30])
    with pytest.raises(InputError, match="not a readable file"):
        read_soft_labels(Path("soft.npz"), faces)


def test_changed_bytes_are_an_error_of_one_line_or_change_nothing(data_there):
    """Flipped, cut out and doubled bytes of a small file, among them those of the arrays' headers."""
    faces, rng = FER2013(), np.random.default_rng(0)
    write_npz(Path("soft.npz"), {"training_data": np.array(faces.fingerprint()), "faces": random_probabilities(40)})
    whole, refused = Path("soft.npz").read_bytes(), 0
    for _ in range(300):
        start, length = int(rng.integers(len(whole))), int(rng.integers(1, 9))
        middle = rng.bytes(length) if rng.random() < 0.7 else b""
        Path("soft.npz").write_bytes(whole[:start] + middle + whole[start + length :])
        try:
            found = read_soft_labels(Path("soft.npz"), faces)
        except InputError as error:
            refused += 1
            assert str(error).startswith("soft.npz: ")
        else:
            np.testing.assert_array_equal(found.arrays["faces"], random_probabilities(40))
    assert refused > 200
