"""Image folders with labels of one's own: trained, evaluated and predicted under their names."""

import json
from pathlib import Path

import pytest
from PIL import Image
from small_faces import smooth_faces

import create_augmentations
import train_model
from core_code import Classifier, evaluate, predict
from core_code.core_utils.emotions import EMOTIONS
from core_code.core_utils.errors import InputError
from core_code.datasets.fer2013 import FER2013
from core_code.training.inference import load_trained_file

NAMES = ("Contempt", "bored", "happy")  # sorted as text, capitals first
TRAIN = ["--net_name", "small", "--weights", "none", "--image_size", "32", "--recipe", "published", "--epochs", "1",
         "--fine_tune", "True", "--precision", "fp32", "--device", "cpu", "--dataset", "own_labels"]  # fmt: skip


@pytest.fixture
def folders(tmp_path, monkeypatch, small, small_pictures) -> Path:
    """Three faces of each label in train, two in val and test; the working folder."""
    monkeypatch.chdir(tmp_path)
    faces = iter(smooth_faces(21))
    for split, count in (("train", 3), ("val", 2), ("test", 2)):
        for name in NAMES:
            (tmp_path / "own" / split / name).mkdir(parents=True)
            for k in range(count):
                Image.fromarray(next(faces)).save(tmp_path / "own" / split / name / f"{k}.png")
    return tmp_path / "own"


def test_names_and_labels_are_those_of_the_folders(folders):
    for _ in ("first load", "from the cache"):
        val = FER2013(folders, "val", "own_labels")
        assert val.emotions == NAMES and val.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert FER2013(folders, "train", "own_labels").class_counts.tolist() == [3, 3, 3]
    with pytest.raises(InputError, match=r"Contempt: not the name of an emotion.*--dataset own_labels"):
        FER2013(folders, "val", "folder")
    assert FER2013(split="val", dataset="sample").emotions == EMOTIONS


def test_a_training_its_evaluation_and_its_predictions_use_these_names(folders, capsys):
    root = ["--data_root", str(folders)]
    train_model.main([*TRAIN, *root, "--exp_name", "own", "--emotion_transform_prob", "0", "--mixup", "0.2"])
    assert "| Contempt |" in capsys.readouterr().out
    checkpoint = Path("checkpoints/ckpt_small_own_best_validation.pth")
    assert load_trained_file(checkpoint).net.emotions == NAMES
    evaluate.main(["--net_name", "small", "--exp_names", "own", "--dataset", "own_labels", *root, "--device", "cpu"])
    report = json.loads(Path("plots_output/evaluation_small.json").read_text())
    assert report["emotions"] == list(NAMES)
    assert [len(row) for row in report["splits"]["test"]["own"]["confusion"]] == [3, 3, 3]
    predict.main(["own/test/bored", "--checkpoint", str(checkpoint), "--face_detector", "none", "--json", "out.json",
                  "--draw", "drawn", "--device", "cpu"])  # fmt: skip
    first = json.loads(Path("out.json").read_text())["faces"][0]
    assert tuple(first["probabilities"]) == NAMES and first["emotion"] in NAMES
    table = Classifier.load(checkpoint, device="cpu").predict(smooth_faces(2), find_faces=False)
    assert list(table.columns[-3:]) == list(NAMES)
    with pytest.raises(InputError, match="own: the net predicts Contempt, bored, happy; the faces' labels are Angry"):
        evaluate.main(["--net_name", "small", "--exp_names", "own", "--dataset", "sample", "--device", "cpu"])
    with pytest.raises(InputError, match="predicts Contempt, bored, happy, expected Angry"):
        load_trained_file(checkpoint, emotions=EMOTIONS)


def test_where_a_generator_is_involved_a_line_tells_so(folders, capsys):
    with pytest.raises(SystemExit):
        train_model.main([*TRAIN, "--exp_name", "own", "--emotion_transform_prob", "0.5"])
    assert "the generator knows the seven emotions of FER2013 alone" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        create_augmentations.main(["--dataset", "own_labels"])
    assert "invalid choice: 'own_labels'" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["sad, or so", "a\nb", "\x1b[31mred", "caf\udce9", "\u202eabc"])
def test_one_label_alone_or_a_comma_or_what_cannot_be_printed_are_no_labels(tmp_path, name):
    (tmp_path / "train" / "happy").mkdir(parents=True)
    with pytest.raises(InputError, match="1 folders with labels of your own"):
        FER2013(tmp_path, "train", "own_labels")
    (tmp_path / "train" / name).mkdir()
    with pytest.raises(
        InputError, match=r"2 folders with labels of your own in .*of printable characters without a comma"
    ):
        FER2013(tmp_path, "train", "own_labels")
