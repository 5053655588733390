"""FERPlus's votes in place of FER2013's labels: counts, distributions, training, evaluation, damaged files."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import train_model
from core_code import evaluate, predict
from core_code.core_utils.errors import InputError
from core_code.datasets.fer2013 import FER2013
from core_code.datasets.ferplus import label_distributions

HEADER = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"
COLUMN_OF_LABEL = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral", "contempt")
TRAIN = ["--net_name", "small", "--exp_name", "plus", "--weights", "none", "--image_size", "32", "--recipe",
         "published", "--fine_tune", "--precision", "fp32", "--device", "cpu", "--epochs", "1", "--batch_size", "16",
         "--emotion_transform_prob", "0", "--labels", "ferplus"]  # fmt: skip


@pytest.fixture
def votes(data_there, small) -> pd.DataFrame:
    """fer2013new.csv beside the 40 + 14 + 14 faces: mostly votes for their labels; what it says, as a table."""
    rng, rows = np.random.default_rng(0), []
    for usage, split in (("Training", "train"), ("PublicTest", "val"), ("PrivateTest", "test")):
        for label in FER2013(split=split).labels.tolist():
            row = dict.fromkeys(HEADER.split(",")[2:], 0)
            row[COLUMN_OF_LABEL[label]] = 6
            row[HEADER.split(",")[2 + rng.integers(10)]] += 3
            row[HEADER.split(",")[2 + rng.integers(10)]] += 1
            if len(rows) % 10 == 4:  # of the eighth emotion, of no face, of none that is known
                row = dict.fromkeys(row, 0) | {("contempt", "NF", "unknown")[len(rows) // 10 % 3]: 10}
            rows.append({"Usage": usage, "Image name": "" if row["NF"] == 10 else f"fer{len(rows):07}.png", **row})
    table = pd.DataFrame(rows, columns=HEADER.split(","))
    table.to_csv("data/fer2013/fer2013new.csv", index=False)
    return table


def expected_of(votes: pd.DataFrame, usage: str) -> tuple[list[int], list[int], list[list[float]]]:
    """Rows that are used, their labels and distributions, by plain loops."""
    used, labels, shares = [], [], []
    for number, (_, row) in enumerate(votes[votes.Usage == usage].iterrows()):
        counted = {name: row[name] if row[name] > 1 else 0 for name in (*COLUMN_OF_LABEL, "unknown", "NF")}
        most = max(counted.values())
        if not any(counted[name] == most for name in COLUMN_OF_LABEL):
            continue
        own = [counted[name] for name in COLUMN_OF_LABEL]
        used.append(number)
        labels.append(own.index(max(own)))
        shares.append([value / sum(own) for value in own])
    return used, labels, shares


def test_labels_distributions_and_faces_that_are_left_out(votes):
    for usage, split, left_out in (("Training", "train", 2), ("PublicTest", "val", 1), ("PrivateTest", "test", 1)):
        plain, plus = FER2013(split=split), FER2013(split=split, dataset="ferplus")
        used, labels, shares = expected_of(votes, usage)
        assert len(plus) == len(used) == len(plain) - left_out and plus.labels.tolist() == labels
        np.testing.assert_allclose(plus.distributions, shares, rtol=1e-6)
        assert torch.equal(plus.faces, plain.faces[used])
        assert plus.emotions[-1] == "Contempt" and plus.class_counts[7] == labels.count(7)
    part = FER2013(max_faces=9, dataset="ferplus")
    assert len(part) == len(part.distributions) == 9
    whole = FER2013(dataset="ferplus")
    other = whole.fingerprint()
    whole.distributions[0] = whole.distributions[0].flip(0)
    assert whole.fingerprint() != other


def test_single_votes_are_noise_and_equal_votes_count_for_the_emotion():
    table = np.array([
        [5, 1, 0, 3, 0, 0, 0, 0, 1, 0], [0, 0, 0, 0, 0, 0, 0, 5, 5, 0], [0, 0, 0, 4, 0, 0, 0, 0, 0, 6],
        [1, 1, 1, 1, 1, 1, 1, 1, 1, 1], [0, 2, 0, 2, 0, 0, 0, 0, 6, 0],
    ])  # fmt: skip
    shares, kept = label_distributions(table)
    assert kept.tolist() == [True, True, False, False, False]
    np.testing.assert_allclose(shares[:2], [[5 / 8, 0, 0, 3 / 8, 0, 0, 0, 0], [0] * 7 + [1]])


def test_a_training_its_evaluation_and_its_predictions_have_eight_emotions(votes, capsys):
    train_model.main(TRAIN)
    state = torch.load("checkpoints/ckpt_small_plus_final_checkpoint.pth", weights_only=True)
    assert state["settings"]["emotions"].endswith("Neutral,Contempt") and state["settings"]["dataset"] == "ferplus"
    train_model.main([*TRAIN, "--epochs", "1", "--resume"])
    with pytest.raises(InputError, match="made with dataset ferplus, expected fer2013"):
        train_model.main([*TRAIN, "--labels", "hard", "--resume"])
    evaluate.main(["--net_name", "small", "--exp_names", "plus", "--device", "cpu", "--precision", "fp32"])
    report = json.loads(Path("plots_output/evaluation_small.json").read_text())
    assert report["dataset"] == "ferplus" and report["emotions"][-1] == "Contempt"
    confusion = np.array(report["splits"]["test"]["plus"]["confusion"])
    assert confusion.shape == (8, 8)
    assert confusion.sum(1).tolist() == np.bincount(expected_of(votes, "PrivateTest")[1], minlength=8).tolist()
    Image.fromarray(FER2013(split="test").faces[0].numpy()).save("face.png")
    predict.main(["face.png", "--checkpoint", "checkpoints/ckpt_small_plus_best_validation.pth", "--face_detector",
                  "none", "--json", "out.json", "--device", "cpu"])  # fmt: skip
    assert [*json.loads(Path("out.json").read_text())["faces"][0]["probabilities"]][-1] == "Contempt"


def test_it_is_trained_on_the_distributions(votes):
    """With steps too small to move a weight, the loss of an epoch of one batch is the cross entropy with them."""
    from core_code.training.classifier import ClassifierTask

    seen, step = {}, ClassifierTask.step

    def spying(task, views, targets, labels):
        seen.update(targets=targets, labels=labels)
        return step(task, views, targets, labels)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ClassifierTask, "step", spying)
        train_model.main([*TRAIN, "--batch_size", "40", "--label_smoothing", "0.1"])
    used, labels, shares = expected_of(votes, "Training")
    assert sorted(map(tuple, seen["targets"].tolist())) == sorted(map(tuple, np.float32(shares).tolist()))
    assert sorted(seen["labels"].tolist()) == sorted(labels) and len(used) == 38


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--emotion_transform_prob", "0.5"], "has an eighth emotion, contempt, which generators"),
        (["--use_expanded_dataset"], "has an eighth emotion, contempt, which generators"),
        (["--soft_labels", "soft.npz"], "has an eighth emotion, contempt, which generators and soft labels"),
        (["--dataset", "sample"], "--labels ferplus is about the CSV of FER2013"),
    ],
)
def test_with_generated_faces_it_is_an_error_of_one_line(capsys, small, flags, said):
    with pytest.raises(SystemExit) as ended:
        train_model.main([*TRAIN, *flags])
    assert ended.value.code == 2 and said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.replace("contempt", "scorn"), "line 1: no column 'contempt', expected a header"),
        (lambda text: text.replace("\nTraining", "\nTrain", 1), "line 2: Usage 'Train', expected one of Training"),
        (lambda text: text.replace("png,", "png,,", 1), "line 2: 13 columns, expected 12 as in the header"),
        (lambda text: text.replace("png,", "png,x", 1), "line 2: votes .* expected whole numbers"),
        (lambda text: text.replace("png,", "png,-", 1), "line 2: votes .* expected whole numbers"),
        (lambda text: "\n".join(text.splitlines()[:30]), "29 rows of Training, expected 40, one for each face"),
        (lambda text: "\n".join([HEADER, *text.splitlines()[6:41], *text.splitlines()[1:6], *text.splitlines()[41:]]),
         "% of its labels of train agree with the CSV's, expected about two thirds"),
        (lambda text: "", "line 1: no column 'usage'"),
        (lambda text: text.replace(",", ";"), "line 1: columns are separated by ';', expected by ','"),
        (lambda text: "\0x" + text, "line 1: no column"),
    ],
)  # fmt: skip
def test_a_damaged_file_or_one_of_other_faces_is_refused(votes, change, said):
    path = Path("data/fer2013/fer2013new.csv")
    path.write_text(change(path.read_text()))
    with pytest.raises(InputError, match=said) as refused:
        FER2013(dataset="ferplus")
    assert "fer2013new.csv" in str(refused.value)


def test_columns_may_stand_in_any_order_and_the_file_must_be_there(votes):
    expected = FER2013(dataset="ferplus").distributions
    path = Path("data/fer2013/fer2013new.csv")
    votes[votes.columns[::-1]].assign(more="x").rename(columns=lambda name: f" {name.upper()} ").to_csv(path)
    path.write_text("\ufeff" + path.read_text() + "\n\n", encoding="utf-8")
    assert torch.equal(FER2013(dataset="ferplus").distributions, expected)
    path.unlink()
    with pytest.raises(InputError, match=r"fer2013new\.csv: no such file; --labels ferplus needs FERPlus's votes"):
        FER2013(dataset="ferplus")
    shutil.rmtree("data/fer2013")
    with pytest.raises(InputError, match=r"icml_face_data\.csv: no such file"):
        FER2013(dataset="ferplus")
