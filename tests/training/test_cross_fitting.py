"""Cross-fitting: no teacher labels a face that it was trained on, nor an edit of one; and the command that does it."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from training_runs import make_augmentations

import train_model
from core_code import soft_labels
from core_code.core_utils.errors import InputError
from core_code.core_utils.transforms import evaluation_view
from core_code.datasets.augmentations.pack import ImagePack
from core_code.datasets.augmentations.plan import AUGMENTATIONS, EXPANSION
from core_code.datasets.augmentations.store import load_images
from core_code.datasets.fer2013 import FER2013
from core_code.datasets.labelled_faces import LabelledFaces
from core_code.models.emotion_net import EmotionNet
from core_code.training.cross_fitting import cross_fit, split_into_folds
from core_code.training.soft_labels import read_soft_labels


def faces_with_copies() -> LabelledFaces:
    """140 faces, of which the last 40 are copies of the first 40, some with another label."""
    faces = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (100, 48, 48), dtype=np.uint8))
    labels = torch.arange(100) % 7
    return LabelledFaces(torch.cat([faces, faces[:40]]), torch.cat([labels, (labels[:40] + torch.arange(40) % 2) % 7]))


@pytest.mark.parametrize("folds", [2, 5])
def test_folds_are_even_random_and_keep_copies_together(folds):
    data = faces_with_copies()
    fold_of = split_into_folds(data, folds, 1)
    assert (fold_of[100:] == fold_of[:40]).all()
    counts = np.bincount(fold_of[:100], minlength=folds)
    assert len(counts) == folds and counts.max() - counts.min() <= 1
    for label in range(7):  # each fold has its part of each emotion
        of_label = np.bincount(fold_of[:100][data.labels[:100] == label], minlength=folds)
        assert of_label.max() - of_label.min() <= 2
    assert (split_into_folds(data, folds, 1) == fold_of).all()
    assert (split_into_folds(data, folds, 2) != fold_of).any()
    with pytest.raises(InputError, match="--folds 101: expected at most one a face, of which 100 are different"):
        split_into_folds(data, 101, 1)


@pytest.mark.parametrize("leaking", [False, True])
def test_a_net_that_memorises_knows_none_of_what_it_labels(leaking):
    """Images are the face that they are generated from; each teacher is sure of what it has seen, of nothing else."""
    data = faces_with_copies()
    whose = np.repeat(np.arange(140), 2)
    packs = {
        kind: ImagePack(whose, np.tile([0, 1], 140), data.faces[whose].numpy()) for kind in (AUGMENTATIONS, EXPANSION)
    }
    taught = []

    def teach(rows, fold, member):
        taught.append((fold, member, rows))
        known = {face.numpy().tobytes() for face in data.faces[rows]}

        def label(images):
            knows = torch.tensor([image.numpy().tobytes() in known for image in images])
            return torch.where(knows[:, None], torch.eye(7)[0], torch.full((7,), (member + 1) / 14))

        return label

    fold_of = split_into_folds(data, 3, 1)
    if leaking:  # folds that take copies apart are found out
        fold_of[100:] = (fold_of[:40] + 1) % 3
    found = cross_fit(data.faces, packs, fold_of, 2, 7, teach)
    assert [one[:2] for one in taught] == [(fold, member) for fold in range(3) for member in range(2)]
    for fold, _, rows in taught:
        assert not set(rows.tolist()) & set(np.flatnonzero(fold_of == fold).tolist())
    clean = all(np.allclose(values, 1.5 / 14) for values in found.values())  # the mean of both teachers' ignorance
    assert clean != leaking and {kind: len(values) for kind, values in found.items()} == {
        "faces": 140, AUGMENTATIONS: 280, EXPANSION: 280
    }  # fmt: skip


@pytest.fixture
def there(data_there, small):
    """`there(...)` runs the command with a small net where data/fer2013 and its images are."""
    make_augmentations()
    make_augmentations("--expand_dataset", "True")
    quick = ["--net_name", small, "--exp_name", "T", "--weights", "none", "--image_size", "32", "--precision", "fp32",
             "--device", "cpu", "--recipe", "published", "--epochs", "1", "--batch_size", "10",
             "--augmentations_folder", "data/fer2013_augmentations", "--expanded_folder", "data/expanded_fer_2013",
             "--dest", "soft.npz"]  # fmt: skip
    return lambda *arguments: soft_labels.main([*quick, *arguments])


def test_a_file_that_cannot_be_written_is_found_before_anything_is_trained(there, capsys):
    Path("a").write_text("a file")
    Path("b.csv").mkdir()
    for dest, message in (("a/soft.npz", "expected a folder"), ("b.npz", "b.csv: is a folder")):
        with pytest.raises(InputError, match=message):
            there("--dest", dest)
    with pytest.raises(SystemExit):
        there("--dest", "labels.csv")  # which is the table's name
    assert "--dest labels.csv: expected a name that ends in .npz" in capsys.readouterr().err
    assert not Path("checkpoints").exists()


def fingerprint(faces: torch.Tensor, labels: torch.Tensor) -> str:
    return hashlib.sha256(labels.numpy().tobytes() + faces.numpy().tobytes()).hexdigest()


def test_the_command_trains_each_teacher_on_the_other_folds_and_writes_what_they_predict(there, capsys):
    there("--folds", "2", "--ensemble", "2", "--temperature", "2", "--confidence", "0.14", "--max_faces", "30")
    data, stored = FER2013(max_faces=30), np.load("soft.npz")
    folds = stored["folds"]
    assert len(folds) == 30 and sorted(np.bincount(folds)) == [15, 15]
    packs = {
        kind: load_images(Path(folder), kind, data)
        for kind, folder in ((AUGMENTATIONS, "data/fer2013_augmentations"), (EXPANSION, "data/expanded_fer_2013"))
    }
    images = {"faces": (np.arange(30), data.faces), AUGMENTATIONS: (packs[AUGMENTATIONS].faces, None),
              EXPANSION: (packs[EXPANSION].faces, None)}  # fmt: skip
    expected = {name: np.zeros((len(rows), 7)) for name, (rows, _) in images.items()}
    for fold in range(2):
        for member in range(2):
            path = f"checkpoints/ckpt_small_T_fold{fold + 1}of2_teacher{member + 1}_final_checkpoint.pth"
            state = torch.load(path, weights_only=True)
            others = torch.from_numpy(folds != fold)
            assert state["settings"]["training_data"] == fingerprint(data.faces[others], data.labels[others])
            assert state["settings"]["seed"] == 1 + member
            net = EmotionNet("small").eval()
            net.load_state_dict(state["net"])
            for name, (rows, faces) in images.items():
                its = folds[rows] == fold
                faces = data.faces if name == "faces" else torch.from_numpy(packs[name].images)
                with torch.no_grad():
                    expected[name][its] += (net(evaluation_view(faces[its], 32)) / 2).softmax(1).numpy() / 2
    np.testing.assert_allclose(stored["faces"], expected["faces"], atol=1e-5)
    np.testing.assert_allclose(stored["expansion"], expected[EXPANSION], atol=1e-5)
    own = stored["augmentations"][packs[AUGMENTATIONS].faces, packs[AUGMENTATIONS].ks]
    np.testing.assert_allclose(own, expected[AUGMENTATIONS], atol=1e-5)
    kept = np.take_along_axis(stored["expansion"], stored["expansion_emotions"][:, None], 1)[:, 0] >= 0.14
    assert (stored["expansion_keep"] == kept).all() and 0 < kept.sum() < len(kept)
    of_label = np.take_along_axis(stored["augmentations"], data.labels.numpy()[:, None, None], 2)[..., 0]
    assert (stored["augmentations_keep"] == (of_label >= 0.14)).all()
    settings = json.loads(str(stored["settings"]))
    assert (settings["confidence"], settings["image_size"], settings["trained"]) == (0.14, 32, "the whole net")
    read_soft_labels(Path("soft.npz"), data)
    table = pd.read_csv("soft.csv").set_index(["images", "emotion"])
    assert table.loc[("expansion", "all"), "kept (%)"] == pytest.approx(100 * kept.mean())
    agreement = (stored["faces"].argmax(1) == data.labels.numpy()).mean()
    assert table.loc[("faces", "all"), "predicted (%)"] == pytest.approx(100 * agreement)
    fear = stored["expansion_emotions"] == 2
    assert table.loc[("expansion", "Fear"), "kept (%)"] == pytest.approx(100 * kept[fear].mean())
    assert "soft labels: soft.npz" in capsys.readouterr().out


def test_teachers_that_are_complete_stay_and_train_model_takes_the_file(there, small, capsys):
    there("--folds", "2")
    first = Path("soft.npz").read_bytes()
    capsys.readouterr()
    there("--folds", "2", "--resume", "True")
    assert capsys.readouterr().out.count("resumed: ") == 2
    assert Path("soft.npz").read_bytes() == first
    with pytest.raises(InputError, match=r"fold1of2_teacher1_last_trained_epoch\.pth: made with other training faces"):
        there("--folds", "2", "--resume", "True", "--max_faces", "20")
    train_model.main(["--net_name", small, "--exp_name", "S", "--weights", "none", "--image_size", "32", "--device",
                      "cpu", "--precision", "fp32", "--epochs", "1", "--fine_tune", "--use_expanded_dataset",
                      "--recipe", "published", "--soft_labels", "soft.npz"])  # fmt: skip
    assert Path("checkpoints/ckpt_small_S_final_checkpoint.pth").exists()
