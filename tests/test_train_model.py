"""train_model.py as a user runs it: flags, files, figures, interruption and resumption, errors of one line."""

import csv
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, confusion_matrix
from torch_hooks import before_step, weights_after_steps
from training_runs import differences, make_augmentations

import train_model
from core_code.core_utils.checkpoints import CheckpointFiles
from core_code.core_utils.emotions import EMOTIONS
from core_code.core_utils.errors import InputError, run_command
from core_code.core_utils.seeding import rng_for
from core_code.core_utils.transforms import evaluation_view, train_view
from core_code.datasets.fer2013 import FER2013
from core_code.datasets.loader import FaceBatches
from core_code.models.architectures import ARCHITECTURES
from core_code.models.emotion_net import EmotionNet
from core_code.training import loop as epochs
from core_code.training.classifier import ClassifierTask
from core_code.training.inference import load_trained
from core_code.training.recipes import PARTS, recipe_values
from core_code.training.settings import LATER

SCRIPT = Path(train_model.__file__)
QUICK = ["--exp_name", "E", "--weights", "none", "--image_size", "32", "--precision", "fp32", "--device", "cpu",
         "--recipe", "published"]  # fmt: skip
BASELINE = [*QUICK, "--emotion_transform_prob", "0", "--fine_tune", "True"]


@pytest.fixture
def there(data_there, small):
    """`there(...)` runs the command where data/fer2013 is, with a small net."""

    def run(*arguments: str) -> None:
        train_model.main(["--net_name", small, *arguments])

    return run


def checkpoint(kind: str = "last_trained_epoch", folder: str = "checkpoints", name: str = "small") -> dict:
    return torch.load(f"{folder}/ckpt_{name}_E_{kind}.pth", weights_only=True)


def test_epochs_of_one_face_are_too_few_for_batch_norms_of_small_views(there):
    with pytest.raises(InputError, match="batches of 1 leave a batch norm of small one value a channel"):
        there(*BASELINE, "--epochs", "1", "--faces_per_epoch", "1")


def test_a_baseline_run_leaves_its_files_and_reports_on_val(there, capsys):
    there(*BASELINE, "--epochs", "2", "--verbose", "True")
    said = capsys.readouterr().out
    assert {path.name for path in Path("checkpoints").glob("[!.]*")} == {
        f"ckpt_small_E_{kind}.pth" for kind in ("best_validation", "last_trained_epoch", "final_checkpoint")
    }
    kinds = ("train_accuracy", "validation_accuracy", "train_validation_accuracy", "confusion_matrix")
    pictures = {f"{kind}_small_E.png" for kind in kinds}
    assert {path.name for path in Path("plots_output").iterdir()} == {*pictures, "history_small_E.csv"}
    (log,) = Path("logs").glob("training_*.log")
    logged = log.read_text()
    assert "lr: 0.001" in logged and "EmotionNet(" in logged
    assert [line.split()[1] for line in logged.splitlines() if line.startswith("epoch ")] == ["1/2", "2/2"]
    best = checkpoint("best_validation")
    net = EmotionNet("small").eval()
    net.load_state_dict(best["net"])
    val = FER2013(split="val")
    with torch.no_grad():
        logits = net(evaluation_view(val.faces, 32))
    top1 = accuracy_score(val.labels, logits.argmax(1))
    assert f"top-1 {100 * top1:.2f}%" in said
    assert top1 == max(record["validation_accuracy"] for record in checkpoint()["history"])
    matrix = confusion_matrix(val.labels, logits.argmax(1), labels=range(7))
    for emotion, row in zip(EMOTIONS, matrix, strict=True):
        assert f"{emotion} {' '.join(map(str, row))}" in " ".join(said.replace("|", " ").split())


def test_checkpoints_hold_what_is_documented(there):
    there(*BASELINE, "--epochs", "6", "--scheduler", "none", "--batch_size", "40")
    last = checkpoint()
    assert {"net", "epoch", "optimizer", "loss", "name", "experiment"} <= set(last)
    assert all(key.startswith("nn_model.") for key in last["net"])
    assert (last["epoch"], last["name"], last["experiment"]) == (6, "small", "E")
    assert last["loss"] == last["history"][-1]["loss"]
    assert [record["epoch"] for record in last["history"]] == [1, 2, 3, 4, 5, 6]
    assert all(0 <= record["train_accuracy"] <= 1 for record in last["history"])
    assert last["settings"]["batch_size"] == 40 and last["settings"]["lr"] == 1e-3
    best = checkpoint("best_validation")
    assert best["epoch"] == 1 + int(np.argmax([record["validation_accuracy"] for record in last["history"]]))


def test_a_net_learns_what_can_be_learned(there, tmp_path):
    """Faces of which each emotion has its own brightness are told apart after a few epochs."""
    rows = ["emotion,pixels,Usage"]
    for usage, count in (("Training", 140), ("PublicTest", 35), ("PrivateTest", 7)):
        for row in range(count):
            label = row % 7
            shade = np.random.default_rng(row).integers(0, 20, (48, 48)) + (200 if label < 3 else 0)
            rows.append(f"{3 if label < 3 else 0},{' '.join(map(str, shade.ravel()))},{usage}")
    (tmp_path / "easy").mkdir()
    (tmp_path / "easy" / "fer2013.csv").write_text("\n".join(rows) + "\n")
    there(*BASELINE, "--data_root", "easy", "--epochs", "8", "--lr", "0.003", "--batch_size", "8")
    history = checkpoint()["history"]
    assert history[-1]["loss"] < history[0]["loss"] and history[-1]["validation_accuracy"] > 0.9


def test_an_interrupted_run_goes_on_and_equals_an_unbroken_one(there, capsys):
    make_augmentations("--max_faces", "25")
    run = [*QUICK, "--emotion_transform_prob", "0.6", "--fine_tune", "--epochs", "3", "--batch_size", "10"]
    there(*run, "--output_root", "unbroken")
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended, before_step(6, lambda: os.kill(os.getpid(), signal.SIGTERM)):
        run_command(lambda: there(*run))
    assert ended.value.code == 143
    said = capsys.readouterr().err
    assert "1 of 3 epochs are saved" in said and "ckpt_small_E_last_trained_epoch.pth" in said
    assert "--resume True" in said
    assert checkpoint()["epoch"] == 1 and not Path("checkpoints/ckpt_small_E_final_checkpoint.pth").exists()
    there(*run, "--resume", "True")
    for kind in ("best_validation", "last_trained_epoch", "final_checkpoint"):
        assert differences(checkpoint(kind), checkpoint(kind, "unbroken/checkpoints")) == []


def test_a_run_with_every_part_of_the_recipe_goes_on_and_equals_an_unbroken_one(there, small, monkeypatch):
    """The moving average too, which is what checkpoints hold as `net`; and the net is rebuilt with its stem."""
    monkeypatch.setitem(ARCHITECTURES, small, replace(ARCHITECTURES[small], stem=("conv1.0", "maxpool")))
    run = [*BASELINE, "--recipe", "scratch", "--epochs", "3", "--batch_size", "10", "--mixup", "0.4", "--ema", "0.9"]
    there(*run, "--output_root", "unbroken")
    with pytest.raises(SystemExit), before_step(6, lambda: os.kill(os.getpid(), signal.SIGTERM)):
        run_command(lambda: there(*run))
    assert checkpoint()["epoch"] == 1
    there(*run, "--resume", "True")
    for kind in ("best_validation", "last_trained_epoch", "final_checkpoint"):
        assert differences(checkpoint(kind), checkpoint(kind, "unbroken/checkpoints")) == []
    last, files = checkpoint(), CheckpointFiles(Path("checkpoints"), small, "E")
    assert last["settings"]["stem"] == "small" and last["settings"]["warm_up"] == 3 and last["ema_steps"] == 12
    assert not torch.equal(last["net"]["nn_model.fc.weight"], last["unaveraged_net"]["nn_model.fc.weight"])
    trained = load_trained(files, "last_trained_epoch")
    assert trained.net.nn_model.conv1[0].stride == (1, 1) and trained.image_size == 32
    val = FER2013(split="val")
    with torch.no_grad():
        right = (trained.net.eval()(evaluation_view(val.faces, 32)).argmax(1) == val.labels).float().mean().item()
    assert right == pytest.approx(last["history"][-1]["validation_accuracy"])
    last["settings"]["stem"] = "tiny"
    torch.save(last, files.path("last_trained_epoch"))
    with pytest.raises(InputError, match="its stem is 'tiny', expected one of imagenet, small"):
        load_trained(files, "last_trained_epoch")


def test_a_checkpoint_without_what_its_average_needs_is_not_resumed(there, capsys):
    run = [*BASELINE, "--batch_size", "40", "--ema", "0.9", "--scheduler", "none", "--epochs"]
    there(*run, "1")
    whole = checkpoint()
    for change in ({"ema_steps": None}, {"ema_steps": -1}, {"unaveraged_net": None}):
        torch.save(whole | change, "checkpoints/ckpt_small_E_last_trained_epoch.pth")
        with pytest.raises(SystemExit) as ended:
            run_command(lambda: there(*run, "2", "--resume"))
        assert ended.value.code == 2
        (error,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
        assert "E_last_trained_epoch.pth: its ema_steps or its unaveraged_net are damaged" in error


def test_an_interruption_before_the_first_epoch_says_that_nothing_is_saved(there, capsys):
    with pytest.raises(SystemExit) as ended, before_step(1, lambda: os.kill(os.getpid(), signal.SIGINT)):
        run_command(lambda: there(*BASELINE))
    assert ended.value.code == 130 and "0 of 100 epochs are saved" in capsys.readouterr().err


def test_resuming_without_a_checkpoint_starts_with_epoch_1(there, capsys):
    there(*BASELINE, "--epochs", "1", "--resume")
    assert "nothing to resume" in capsys.readouterr().out and checkpoint()["epoch"] == 1


def test_resuming_with_other_settings_or_data_is_refused(there, capsys, fer2013_csv, tmp_path):
    there(*BASELINE, "--epochs", "1")
    before = checkpoint()
    fer2013_csv(tmp_path / "other", seed=5)
    for change, said in (
        (["--lr", "0.5"], "made with lr 0.001, expected 0.5"),
        (["--epochs", "4"], "made with epochs 1, expected 4"),
        (["--class_shares", "equal"], "made with class_shares own, expected equal"),
        (["--data_root", "other"], "made with other training faces"),
    ):
        with pytest.raises(SystemExit) as ended:
            run_command(lambda change=change: there(*BASELINE, "--epochs", "1", "--resume", *change))
        assert ended.value.code == 2
        errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
        assert len(errors) == 1 and said in errors[0] and "ckpt_small_E_last_trained_epoch.pth" in errors[0]
    assert differences(before, checkpoint()) == []


def test_a_run_with_a_constant_learning_rate_can_be_made_longer(there):
    longer = [*BASELINE, "--scheduler", "step", "--batch_size", "20"]
    there(*longer, "--epochs", "1")
    there(*longer, "--epochs", "2", "--resume")
    there(*longer, "--epochs", "2", "--output_root", "at_once")
    assert differences(checkpoint()["net"], checkpoint(folder="at_once/checkpoints")["net"]) == []


def test_a_loss_that_is_not_finite_stops_with_the_last_good_checkpoint_named(there, monkeypatch, capsys):
    step, steps = ClassifierTask.step, []

    def breaking_step(*args):
        steps.append(1)
        loss = step(*args)
        return loss * float("nan") if len(steps) > 3 else loss

    monkeypatch.setattr(ClassifierTask, "step", breaking_step)
    with pytest.raises(SystemExit) as ended:
        run_command(lambda: there(*BASELINE, "--epochs", "3"))
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "loss became nan in epoch 2" in said and "ckpt_small_E_last_trained_epoch.pth" in said
    assert checkpoint()["epoch"] == 1 and all(torch.isfinite(value).all() for value in checkpoint()["net"].values())


def test_weights_that_are_not_finite_are_not_saved(there, capsys):
    with pytest.raises(SystemExit) as ended, weights_after_steps(float("inf")):
        run_command(lambda: there(*BASELINE, "--epochs", "1", "--batch_size", "40"))
    assert ended.value.code == 2 and "weights became inf in epoch 1" in capsys.readouterr().err
    assert not list(Path("checkpoints").glob("*.pth"))


def test_training_on_the_expansion_needs_no_probability(there, capsys):
    make_augmentations("--expand_dataset", "True")
    images = len(list(Path("data/expanded_fer_2013").glob("*/*.png")))
    capsys.readouterr()
    there(*QUICK, "--use_expanded_dataset", "True", "--fine_tune", "--epochs", "1", "--max_faces", "40")
    assert f"small on {40 + images} faces" in capsys.readouterr().out


FROZEN = "--fine_tune False: the backbone is frozen and the new head alone learns"


@pytest.mark.parametrize("flags", [[], ["--fine_tune", "False"], ["--fine_tune", "True"]])
def test_which_tensors_move(there, capsys, flags):
    """Without --fine_tune True the backbone stays as it is, its batch norms' statistics too."""
    torch.manual_seed(5)
    start = EmotionNet("small").state_dict()
    torch.save(start, "weights.pth")
    frozen = [flag if flag != "none" else "weights.pth" for flag in QUICK]
    there(*frozen, "--emotion_transform_prob", "0", "--epochs", "1", *flags)
    trained = checkpoint()["net"]
    moved = {key for key, value in start.items() if not torch.equal(value, trained[key])}
    assert moved == (set(start) if "True" in flags else {"nn_model.fc.weight", "nn_model.fc.bias"})
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith(FROZEN)]
    assert len(lines) == ("True" not in flags) and all(
        "--fine_tune True trains the whole net" in line for line in lines
    )


def as_before_the_change(fine_tune: bool) -> None:
    """Rewrite the checkpoint as earlier versions left it: `fine_tune` True for the head alone, no later settings."""
    path = "checkpoints/ckpt_small_E_last_trained_epoch.pth"
    state = torch.load(path, weights_only=True)
    for name in ("trained", *LATER, *PARTS):
        del state["settings"][name]
    state["settings"]["fine_tune"] = fine_tune
    torch.save(state, path)


@pytest.mark.parametrize(("made_with", "same"), [("False", "True"), ("True", "False")])
def test_a_checkpoint_of_before_fine_tune_changed_goes_on_with_what_it_trained(there, capsys, made_with, same):
    run = [*BASELINE, "--scheduler", "step"]
    there(*run, "--epochs", "1", "--fine_tune", same)
    as_before_the_change(fine_tune=made_with == "True")
    with pytest.raises(SystemExit) as ended:
        run_command(lambda: there(*run, "--epochs", "2", "--resume", "--fine_tune", made_with))
    assert ended.value.code == 2
    (error,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert "since this checkpoint was made, --fine_tune has taken its published meaning" in error
    there(*run, "--epochs", "2", "--resume", "--fine_tune", same)
    assert checkpoint()["epoch"] == 2 and checkpoint()["settings"]["trained"]


def test_the_training_accuracy_is_that_on_the_views_of_the_training_pass(there):
    """With steps too small to move a weight, the net that is left predicts what it predicted in the epoch."""
    there(
        *BASELINE, "--epochs", "1", "--batch_size", "16", "--lr", "1e-30", "--optimizer", "sgd", "--weight_decay", "0"
    )
    net = EmotionNet("small").train()
    net.load_state_dict(checkpoint()["net"])
    batches = FaceBatches(FER2013(split="train"), 16, torch.device("cpu"), shuffle=True, seed=1)
    batches.set_epoch(1)
    rng, correct = rng_for(1, 1, "views"), 0
    for faces, labels, _ in batches:
        with torch.no_grad():  # batch statistics, as in training
            correct += (net(train_view(faces, 32, rng)).argmax(1) == labels).sum().item()
    assert checkpoint()["history"][0]["train_accuracy"] == pytest.approx(correct / 40)


def test_label_smoothing_and_nesterov_are_those_of_the_papers(there):
    """One step of SGD on one batch, beside the same step computed here in float64."""
    torch.manual_seed(5)
    torch.save(EmotionNet("small").state_dict(), "weights.pth")
    flags = ["weights.pth" if flag == "none" else flag for flag in QUICK]
    run = [*flags, "--emotion_transform_prob", "0", "--batch_size", "40", "--optimizer", "sgd", "--lr", "0.5",
           "--weight_decay", "0", "--label_smoothing", "0.2", "--smallest_crop", "0.5",
           "--scheduler", "none", "--epochs", "1"]  # fmt: skip
    there(*run, "--nesterov")
    torch.manual_seed(1)
    net = EmotionNet("small", head_only=True)
    net.load_backbone("weights.pth")
    batches = FaceBatches(FER2013(split="train"), 40, torch.device("cpu"), shuffle=True, seed=1)
    batches.set_epoch(1)
    ((faces, labels, _),) = list(batches)
    weight, bias = (parameter.detach().double().requires_grad_() for parameter in net.head.parameters())
    net.train().drop_head()
    with torch.no_grad():
        features = net(train_view(faces, 32, rng_for(1, 1, "views"), smallest_crop=0.5)).double()
    logs = (features @ weight.T + bias).log_softmax(1)
    targets = 0.8 * torch.nn.functional.one_hot(labels, 7) + 0.2 / 7
    loss = -(targets * logs).sum(1).mean()
    loss.backward()
    assert checkpoint()["history"][0]["loss"] == pytest.approx(loss.item(), rel=1e-5)
    # the first step with momentum 0.9: the gradient, and under Nesterov 0.9 of it once more
    for name, start in (("weight", weight), ("bias", bias)):
        moved = checkpoint()["net"][f"nn_model.fc.{name}"].double() - start.detach()
        torch.testing.assert_close(moved, -0.5 * 1.9 * start.grad, rtol=1e-3, atol=1e-6)
    there(*run)
    moved = checkpoint()["net"]["nn_model.fc.bias"].double() - bias.detach()
    torch.testing.assert_close(moved, -0.5 * bias.grad, rtol=1e-3, atol=1e-6)


def test_acceleration_can_be_switched_off_and_trains_to_close_weights(there):
    run = [*BASELINE, "--epochs", "1", "--batch_size", "40", "--precision", "bf16", "--optimizer", "sgd"]
    there(*run)
    there(*run, "--accelerate", "False", "--output_root", "plain")
    logged = [next(Path(folder).glob("*.log")).read_text() for folder in ("logs", "plain/logs")]
    assert ["SmallMapConv2d(" in text for text in logged] == [True, False]
    fast, plain = (checkpoint(folder=folder) for folder in ("checkpoints", "plain/checkpoints"))
    assert [*fast["net"]] == [*plain["net"]] and fast["settings"] == plain["settings"]
    assert fast["history"][0]["loss"] == pytest.approx(plain["history"][0]["loss"], rel=0.01)
    torch.manual_seed(1)
    start = EmotionNet("small")
    way, apart = (
        torch.cat([(plain["net"][name] - other[name]).flatten() for name, _ in start.named_parameters()]).norm()
        for other in (start.state_dict(), fast["net"])
    )
    assert apart < 0.1 * way, f"{apart} apart after a way of {way}"


def test_the_history_is_written_as_json_lines_and_as_csv_and_goes_on_with_a_resumed_run(there):
    run = [*BASELINE, "--scheduler", "step"]
    path = Path("logs/history_small_E.jsonl")
    there(*run, "--epochs", "1")
    assert [json.loads(line) for line in path.read_text().splitlines()] == checkpoint()["history"]
    path.write_text('{"epoch": 1, "loss": 9}\n{"epoch": 2, "loss": 9}\n')  # the checkpoint is what counts
    there(*run, "--epochs", "3", "--resume")
    history = checkpoint()["history"]
    assert [json.loads(line) for line in path.read_text().splitlines()] == history and len(history) == 3
    with open("plots_output/history_small_E.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["validation_accuracy"]) for row in rows] == [record["validation_accuracy"] for record in history]
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3]
    there(*run, "--epochs", "1")
    assert len(path.read_text().splitlines()) == 1


def test_byol_weights_are_where_training_starts(there, monkeypatch):
    torch.manual_seed(5)
    pretrained = {f"nn_model.{key}": value for key, value in EmotionNet("small").nn_model.state_dict().items()}
    state = {key: None for key in ("optimizer", "scheduler", "loss", "seed", "history", "settings")}
    files = CheckpointFiles(Path("checkpoints"), "small", "E", byol=True)
    files.save("best_validation", {**state, "net": {**pretrained, "target.weight": torch.zeros(1)}, "epoch": 1})
    there(*BASELINE, "--epochs", "1", "--load_byol", "--fine_tune", "False")
    trained = checkpoint()["net"]
    assert torch.equal(trained["nn_model.conv1.0.weight"], pretrained["nn_model.conv1.0.weight"])
    assert trained["nn_model.fc.0.weight"].shape == (128, 1024)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (
            ["--load_byol", "--output_root", "out"],
            "train_byol_model.py --net_name small --exp_name E --fine_tune True "
            "--weights none --image_size 32 --output_root out",
        ),
        (["--emotion_transform_prob", "0.5"], "create_augmentations.py"),
        (["--use_expanded_dataset"], "create_augmentations.py --expand_dataset True"),
        (["--weights", "nowhere.pth"], "nowhere.pth: no such weights file"),
        (["--data_root", "nowhere"], "nowhere"),
        (["--output_root", "data/fer2013/icml_face_data.csv"], "expected folders"),
    ],
)
def test_what_is_missing_is_an_error_of_one_line_and_nothing_is_written(there, capsys, flags, said):
    with pytest.raises(SystemExit) as ended:
        run_command(lambda: there(*BASELINE, *flags))
    assert ended.value.code == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 1 and errors[0].startswith("error: ") and said in errors[0]
    assert not any(Path(folder).exists() for folder in ("checkpoints", "plots_output", "logs"))


def test_imagenet_weights_that_cannot_be_had_end_the_run(there, capsys, monkeypatch, tmp_path):
    def refuse(*args, **options):
        raise URLError("no way to the net")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(torch.hub, "urlopen", refuse)
    flags = [flag if flag != "none" else "imagenet" for flag in BASELINE]
    with pytest.raises(SystemExit) as ended:
        run_command(lambda: there(*flags))
    assert ended.value.code == 2
    assert "--weights none" in capsys.readouterr().err.strip().splitlines()[-1]
    assert not Path("checkpoints").exists()


@pytest.mark.parametrize(
    "flags",
    [
        QUICK,
        [*QUICK, "--emotion_transform_prob", "1.5"],
        [*QUICK, "--emotion_transform_prob", "-0.1"],
        [*BASELINE, "--epochs", "0"],
        [*BASELINE, "--batch_size", "0"],
        [*BASELINE, "--fine_tune", "maybe"],
        [*BASELINE, "--net_name", "vgg"],
        [*BASELINE, "--exp_name", "../E"],
        [*BASELINE, "--weight_decay", "-1"],
        [*BASELINE, "--use_expanded_dataset", "--class_shares", "equal"],
    ],
)
def test_flags_that_make_no_sense_are_argparse_errors(there, capsys, flags):
    with pytest.raises(SystemExit) as ended:
        there(*flags)
    assert ended.value.code == 2 and "error: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "expected"),
    [([], False), (["--fine_tune"], True), *[(["--fine_tune", yes], True) for yes in ("True", "true", "1", "yes")],
     *[(["--fine_tune", no], False) for no in ("False", "false", "0", "no")]],
)  # fmt: skip
def test_boolean_flags_mean_what_they_say(flags, expected):
    assert (
        train_model.parse_arguments(
            ["--net_name", "resnet18", *QUICK, "--emotion_transform_prob", "0", *flags]
        ).fine_tune
        is expected
    )


def test_defaults_come_from_the_nets_entry():
    args = train_model.parse_arguments(
        ["--net_name", "densenet201", "--exp_name", "E", "--emotion_transform_prob", "0"]
    )
    assert (args.batch_size, args.lr, args.weight_decay) == (32, 3e-4, 3.4e-5)
    assert (args.optimizer, args.scheduler, args.epochs, args.image_size) == ("adam", "cosine", 100, 224)
    assert (args.weights, args.seed, args.data_root) == ("imagenet", 1, Path("data/fer2013"))


FROM = ["--net_name", "resnet18", "--exp_name", "E", "--emotion_transform_prob", "0", "--weights"]


@pytest.mark.parametrize(
    ("flags", "recipe"),
    [
        (["none"], "scratch"),
        (["imagenet"], "published"),
        (["file.pth"], "published"),
        (["none", "--load_byol"], "published"),
        (["none", "--recipe", "published"], "published"),
        (["imagenet", "--recipe", "scratch"], "scratch"),
    ],
)
def test_the_recipe_follows_from_what_training_starts_from(flags, recipe):
    args = train_model.parse_arguments([*FROM, *flags])
    values = recipe_values(recipe, "resnet18", 224)
    assert args.recipe == recipe and args.lr == (0.1 if recipe == "scratch" else 2e-4)
    assert {name: vars(args)[name] for name in values} == values


def test_every_part_of_a_recipe_is_a_flag():
    changed = {"batch_size": 7, "lr": 0.3, "weight_decay": 0.2, "optimizer": "adam", "scheduler": "step",
               "nesterov": False, "warm_up": 1, "decay_norms": True, "label_smoothing": 0.0, "mixup": 0.2,
               "smallest_crop": 0.3, "rotation": 5.0, "erasing": 0.0, "elastic": 9.0, "ema": 0.0,
               "stem": "imagenet"}  # fmt: skip
    flags = [word for name, value in changed.items() for word in (f"--{name}", str(value))]
    args = train_model.parse_arguments([*FROM, "none", "--image_size", "48", *flags])
    assert changed.keys() == recipe_values("scratch", "resnet18", 48).keys()
    assert {name: vars(args)[name] for name in changed} == changed


def test_adam_does_not_take_the_learning_rate_of_sgd(capsys):
    with pytest.raises(SystemExit):
        train_model.parse_arguments([*FROM, "none", "--optimizer", "adam"])
    assert "--optimizer adam needs an --lr" in capsys.readouterr().err
    assert train_model.parse_arguments([*FROM, "none", "--optimizer", "adam", "--lr", "1e-3"]).lr == 1e-3


@pytest.mark.parametrize("net_name", ["resnet18", "densenet201"])
def test_both_nets_from_the_shell(tmp_path, fer2013_csv, net_name):
    fer2013_csv(tmp_path / "faces", train=8, val=7, test=7)
    command = [sys.executable, str(SCRIPT), "--net_name", net_name, *BASELINE, "--epochs", "1", "--data_root", "faces",
               "--batch_size", "4", "--optimizer", "sgd", "--fine_tune", "False"]  # fmt: skip
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "best epoch on val: 1 of 1" in done.stdout
    assert (tmp_path / f"checkpoints/ckpt_{net_name}_E_final_checkpoint.pth").is_file()


def test_the_verbose_log_has_a_line_every_hundred_steps(there, monkeypatch):
    monkeypatch.setattr(epochs, "STATUS_EVERY", 2)
    there(*BASELINE, "--epochs", "1", "--batch_size", "10", "--verbose", "True", "--precision", "bf16")
    (log,) = Path("logs").glob("*.log")
    assert [line.split()[3] for line in log.read_text().splitlines() if " step " in line] == ["2", "4"]
    there(*BASELINE, "--epochs", "1", "--batch_size", "10", "--verbose", "False", "--output_root", "quiet")
    (log,) = Path("quiet/logs").glob("*.log")
    assert " step " not in log.read_text()
