"""Where checkpoints lie, what they hold, and what is refused."""

from pathlib import Path

import pytest
import torch

from core_code.core_utils.checkpoints import BEST, KINDS, LAST, TYPES, CheckpointFiles, best_epoch, load_net
from core_code.core_utils.errors import InputError


def state(**changes) -> dict:
    net = torch.nn.Linear(2, 3)
    values = {"net": net.state_dict(), "epoch": 2, "optimizer": {}, "loss": 0.5, "scheduler": None}
    return {**values, "seed": 1, "history": [{"epoch": 1}, {"epoch": 2}], "settings": {"lr": 0.1}, **changes}


def test_names_are_as_documented():
    names = [CheckpointFiles(Path("c"), "resnet18", "Exp").path(kind).as_posix() for kind in KINDS]
    assert names == [
        "c/ckpt_resnet18_Exp_best_validation.pth",
        "c/ckpt_resnet18_Exp_last_trained_epoch.pth",
        "c/ckpt_resnet18_Exp_final_checkpoint.pth",
    ]
    byol = CheckpointFiles(Path("c"), "densenet201", "Exp", byol=True)
    assert byol.path(BEST).name == "ckpt_byol_densenet201_Exp_best_validation.pth"


def test_what_is_saved_comes_back(tmp_path):
    files = CheckpointFiles(tmp_path / "checkpoints", "resnet18", "Exp")
    saved = state()
    path = files.save(BEST, saved)
    loaded = files.load(BEST)
    assert set(loaded) == set(TYPES)
    assert loaded["name"] == "resnet18" and loaded["experiment"] == "Exp" and loaded["history"] == saved["history"]
    net = torch.nn.Linear(2, 3)
    load_net(net, loaded, path)
    assert all(torch.equal(net.state_dict()[key], value) for key, value in saved["net"].items())
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_another_net_or_experiment_is_refused(tmp_path):
    path = CheckpointFiles(tmp_path, "resnet18", "A").save(LAST, state())
    for name, experiment, said in (("densenet201", "A", "name 'resnet18'"), ("resnet18", "B", "experiment 'A'")):
        other = CheckpointFiles(tmp_path, name, experiment)
        other.path(LAST).write_bytes(path.read_bytes())
        with pytest.raises(InputError, match=said) as error:
            other.load(LAST)
        assert str(other.path(LAST)) in str(error.value)


@pytest.mark.parametrize("damage", ["missing", "truncated", "not a checkpoint", "not a dict", "code"])
def test_damaged_checkpoints_are_one_line_errors(tmp_path, damage):
    files = CheckpointFiles(tmp_path, "resnet18", "A")
    path = files.path(BEST)
    if damage == "truncated":
        files.save(BEST, state())
        path.write_bytes(path.read_bytes()[:-200])
    elif damage == "not a checkpoint":
        torch.save({"weight": torch.zeros(2)}, path)
    elif damage == "not a dict":
        torch.save(torch.zeros(2), path)
    elif damage == "code":
        torch.save(torch.nn.Linear(2, 2), path)
    with pytest.raises(InputError) as error:
        files.load(BEST)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_weights_of_another_shape_are_refused(tmp_path):
    files = CheckpointFiles(tmp_path, "resnet18", "A")
    path = files.save(BEST, state())
    with pytest.raises(InputError, match="not of this net"):
        load_net(torch.nn.Linear(2, 4), files.load(BEST), path)


@pytest.mark.parametrize(
    ("figures", "lowest", "highest"),
    [([-0.5, -0.4, -0.3], 1, 3), ([-0.5, -0.6, -0.7], 3, 1), ([0.2, 0.1, 0.1], 2, 1), ([float("nan"), 0.3, 0.4], 2, 3)],
)
def test_the_best_epoch_is_the_first_of_the_lowest_loss_or_of_the_highest_accuracy(figures, lowest, highest):
    history = [{"epoch": epoch, "figure": figure} for epoch, figure in enumerate(figures, start=1)]
    assert best_epoch(history, "figure", higher_is_better=False) == lowest
    assert best_epoch(history, "figure", higher_is_better=True) == highest
