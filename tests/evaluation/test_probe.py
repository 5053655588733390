"""python -m core_code.evaluate --probe byol: accuracies of a linear classifier on frozen features."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from printed_tables import printed_tables
from sklearn.linear_model import LogisticRegression
from torchvision import models

from core_code import evaluate
from core_code.core_utils.checkpoints import CheckpointFiles
from core_code.core_utils.errors import run_command
from core_code.core_utils.transforms import evaluation_view
from core_code.datasets.fer2013 import FER2013
from core_code.models.byol import BYOL

FACES = 60


@pytest.fixture
def there(tmp_path, monkeypatch, small):
    """A working folder with, as weights.pth, what BYOL started from; `there(...)` runs the probe on sample faces."""
    monkeypatch.chdir(tmp_path)
    torch.save(plain_net(seed=1).state_dict(), "weights.pth")

    def run(*arguments: str) -> None:
        usual = ["--dataset", "sample", "--max_faces", str(FACES), "--precision", "fp32", "--device", "cpu"]
        evaluate.main(["--probe", "byol", "--net_name", small, *usual, *arguments])

    return run


def plain_net(seed: int) -> torch.nn.Module:
    """torchvision's own, whose batch norms have seen faces."""
    torch.manual_seed(seed)
    net = models.shufflenet_v2_x0_5(weights=None)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    net.train()(evaluation_view(FER2013(split="val", dataset="sample").faces, 32))
    return net.eval()


def save_byol(pretrained: torch.nn.Module, weights: str, experiment: str = "E", seed: int = 3) -> None:
    """A checkpoint of the net, its target another one."""
    net = BYOL("small")
    net.target.requires_grad_(False)
    own = {f"nn_model.{name}": value for name, value in pretrained.state_dict().items() if not name.startswith("fc.")}
    rest = {key: None for key in ("optimizer", "scheduler", "loss", "history")}
    settings = {"weights": weights, "image_size": 32}
    state = {**rest, "net": {**net.state_dict(), **own}, "epoch": 1, "seed": seed, "settings": settings}
    CheckpointFiles(Path("checkpoints"), "small", experiment, byol=True).save("best_validation", state)


def accuracies_of(net: torch.nn.Module) -> dict[str, float]:
    """From what goes into torchvision's last layer, caught by a hook, to scikit-learn's score, worked out here."""
    caught = []
    net.fc.register_forward_hook(lambda module, inputs, output: caught.append(inputs[0].double().numpy()))
    data = [FER2013(split="train", dataset="sample", max_faces=FACES)]
    data += [FER2013(split=split, dataset="sample") for split in ("val", "test")]
    with torch.no_grad():
        for faces in data:
            net.eval()(evaluation_view(faces.faces, 32))
    mean, deviation = caught[0].mean(axis=0), caught[0].std(axis=0)
    deviation[deviation == 0] = 1
    train, val, test = ((features - mean) / deviation for features in caught)
    labels = data[0].labels.numpy()
    best, chosen = -1.0, 0.0
    for strength in (0.01, 0.001, 0.1, 1.0):
        fold = [row for row in range(FACES) if row % 5 == 4], [row for row in range(FACES) if row % 5 != 4]
        held, rest = (caught[0][rows] for rows in fold)
        scale = np.where(rest.std(axis=0) == 0, 1, rest.std(axis=0))
        tried = LogisticRegression(C=strength, max_iter=500).fit((rest - rest.mean(axis=0)) / scale, labels[fold[1]])
        right = (tried.predict((held - rest.mean(axis=0)) / scale) == labels[fold[0]]).mean()
        if right > best:
            best, chosen = right, strength
    classifier = LogisticRegression(C=chosen, max_iter=500).fit(train, labels)
    return {"val": classifier.score(val, data[1].labels), "test": classifier.score(test, data[2].labels)}


def test_accuracies_equal_an_independent_fit_on_features_from_plain_hooks(there, capsys):
    pretrained = plain_net(seed=2)
    save_byol(pretrained, "weights.pth")
    there("--exp_names", "E")
    before = models.shufflenet_v2_x0_5(weights=None)
    before.load_state_dict(torch.load("weights.pth", weights_only=True))
    found = json.loads(Path("plots_output/probe_byol_small.json").read_text())["top1"]["E"]
    assert found == {"before BYOL": accuracies_of(before), "after BYOL": accuracies_of(pretrained)}
    assert found["before BYOL"] != found["after BYOL"]
    (table,) = printed_tables(capsys.readouterr().out)
    wanted = [
        {"experiment": "E", "net": which} | {split: f"{100 * figure:.2f}" for split, figure in accuracies.items()}
        for which, accuracies in found.items()
    ]
    assert table == wanted
    written = pd.read_csv("plots_output/probe_byol_small.csv")
    assert written.val.tolist() == pytest.approx([accuracies["val"] for accuracies in found.values()])


def test_random_weights_that_byol_started_from_are_drawn_again(there):
    torch.manual_seed(4)
    start = BYOL("small")
    plain = models.shufflenet_v2_x0_5(weights=None)
    plain.load_state_dict({name.removeprefix("nn_model."): value for name, value in start.state_dict().items()
                           if name.startswith("nn_model.")}, strict=False)  # fmt: skip
    save_byol(plain_net(seed=2), "none", seed=4)
    there("--exp_names", "E")
    found = json.loads(Path("plots_output/probe_byol_small.json").read_text())["top1"]["E"]
    assert found["before BYOL"] == accuracies_of(plain)
    for module in plain.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0  # the 60 training faces are one batch: its statistics are all faces'
    with torch.no_grad():
        plain.train()(evaluation_view(FER2013(split="train", dataset="sample", max_faces=FACES).faces, 32))
    assert found["before, norms measured"] == pytest.approx(accuracies_of(plain), abs=0.04)


def test_a_net_that_several_experiments_started_from_is_fitted_once(there, capsys):
    for experiment, net, seed in (("E", 2, 3), ("same", 4, 3), ("other", 2, 5)):
        save_byol(plain_net(seed=net), "none", experiment, seed)
    there("--exp_names", "E", "same", "other")
    fitted = re.findall(r"^(\w+, .*): fitting", capsys.readouterr().out, re.MULTILINE)
    starts = ("before BYOL", "before, norms measured")
    assert sorted(fitted) == sorted(
        [f"{experiment}, {which}" for experiment in ("E", "other") for which in starts]
        + [f"{experiment}, after BYOL" for experiment in ("E", "same", "other")]
    )
    found = json.loads(Path("plots_output/probe_byol_small.json").read_text())["top1"]
    assert all(found["same"][which] == found["E"][which] for which in starts)
    assert found["other"]["before BYOL"] != found["E"]["before BYOL"]
    assert found["other"]["after BYOL"] == found["E"]["after BYOL"] != found["same"]["after BYOL"]


def test_a_last_batch_of_one_face_is_none_to_measure_norms_on(there):
    save_byol(plain_net(seed=2), "none")
    there("--exp_names", "E", "--max_faces", "17", "--batch_size", "8")
    found = json.loads(Path("plots_output/probe_byol_small.json").read_text())["top1"]["E"]
    assert set(found) == {"before BYOL", "before, norms measured", "after BYOL"}


def test_batches_of_one_face_measure_no_norms(there, capsys):
    save_byol(plain_net(seed=2), "none")
    with pytest.raises(SystemExit) as ended:
        run_command(lambda: there("--exp_names", "E", "--batch_size", "1"))
    assert ended.value.code == 2
    message = capsys.readouterr().err.strip().splitlines()[-1]  # behind the progress of the other nets
    assert "--image_size 32: batches of 1 leave a batch norm of small one value a channel" in message


def test_a_missing_checkpoint_is_an_error_that_names_the_command(there, capsys):
    with pytest.raises(SystemExit) as ended:
        run_command(lambda: there("--exp_names", "E"))
    assert ended.value.code == 2
    (message,) = capsys.readouterr().err.strip().splitlines()
    assert "ckpt_byol_small_E_best_validation.pth" in message
    assert "python train_byol_model.py --net_name small --exp_name E" in message
    assert not Path("plots_output").exists()


def test_too_few_faces_to_choose_by_end_in_one_line(there, capsys):
    save_byol(plain_net(seed=2), "weights.pth")
    with pytest.raises(SystemExit) as ended:
        run_command(lambda: there("--exp_names", "E", "--max_faces", "4"))
    assert ended.value.code == 2
    assert "4 training faces, expected 5 or more of two emotions or more" in capsys.readouterr().err
