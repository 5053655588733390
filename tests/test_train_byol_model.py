"""train_byol_model.py as a user runs it: files, pairs, resumption, freezing, collapse, and the fine-tune after it."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from coded_faces import coded_face, read_codes
from PIL import Image
from small_faces import small_rows, write_csv
from torch_hooks import before_step, shown_to
from training_runs import differences, make_augmentations

import train_byol_model
import train_model
from core_code.core_utils.errors import InputError, run_command
from core_code.core_utils.files import read_json, write_json
from core_code.core_utils.photometric import RANDOM_NUMBERS, photometric_augmentation
from core_code.core_utils.seeding import rng_for
from core_code.core_utils.transforms import train_view
from core_code.datasets.fer2013 import FER2013
from core_code.datasets.loader import FaceBatches
from core_code.models.byol import BYOL
from core_code.models.emotion_net import EmotionNet
from core_code.training.byol import make_byol_task
from core_code.training.settings import TrainingSettings

KINDS = ("best_validation", "last_trained_epoch", "final_checkpoint")
QUICK = ["--exp_name", "E", "--weights", "none", "--image_size", "32", "--precision", "fp32", "--device", "cpu"]
ALONE = [*QUICK, "--batch_size", "16", "--fine_tune", "True", "--augmentations_folder", "none"]


@pytest.fixture
def there(data_there, small):
    """`there(...)` runs the command where data/fer2013 is, with a small net."""

    def run(*arguments: str) -> None:
        train_byol_model.main(["--net_name", small, *arguments])

    return run


def checkpoint(kind: str = "last_trained_epoch", folder: str = "checkpoints") -> dict:
    return torch.load(f"{folder}/ckpt_byol_small_E_{kind}.pth", weights_only=True)


def log_text(folder: str = "logs") -> str:
    (log,) = Path(folder).glob("training_*.log")
    return log.read_text()


def test_a_run_leaves_its_files_and_the_best_epoch_has_the_lowest_validation_loss(there, capsys):
    there(*ALONE, "--epochs", "3", "--lr", "0.01")
    assert {path.name for path in Path("checkpoints").glob("[!.]*")} == {
        f"ckpt_byol_small_E_{kind}.pth" for kind in KINDS
    }
    assert sorted(path.name for path in Path("plots_output").iterdir()) == [
        "byol_loss_small_E.png",
        "history_byol_small_E.csv",
    ]
    with Image.open("plots_output/byol_loss_small_E.png") as image:
        assert min(image.size) > 250
    last = checkpoint()
    assert (last["epoch"], last["name"], last["experiment"]) == (3, "small", "E")
    losses = [record["validation_loss"] for record in last["history"]]
    assert checkpoint("best_validation")["epoch"] == 1 + losses.index(min(losses))
    output = capsys.readouterr().out
    assert f"best epoch: {1 + losses.index(min(losses))} of 3" in output
    words = output.split("fine-tune: ")[1].splitlines()[0].split()
    assert words[:2] == ["python", "train_model.py"]
    args = train_model.parse_arguments(words[2:])
    assert (args.load_byol, args.fine_tune, args.weights, args.image_size) == (True, True, "none", 32)
    lines = [line for line in log_text().splitlines() if line.startswith("epoch ")]
    assert len(lines) == 3
    for line, record in zip(lines, last["history"], strict=True):
        for figure in ("loss", "validation_loss", "feature_std", "projection_std", "feature_rank"):
            assert f"{figure.replace('_', ' ')} {record[figure]:.4f}" in line
    assert "lr: 0.01" in log_text() and "BYOL(" in log_text()


def test_the_validation_loss_and_the_feature_std_are_those_of_the_saved_net(there):
    with shown_to(BYOL) as calls:
        there(*ALONE, "--epochs", "1")
    net = BYOL("small")
    net.load_state_dict(checkpoint()["net"])
    net.train()
    views = calls[-1].views  # of the 14 faces of val, after the training
    assert [len(call.views) for call in calls] == [32, 32, 16, 28]
    with torch.no_grad():
        features = net(views)
        predictions = net.prediction(net.projection(features))
        targets = net.target.projection(net.target(views))
    cosines = torch.cosine_similarity(predictions, targets.roll(14, dims=0))
    record = checkpoint()["history"][0]
    assert record["validation_loss"] == pytest.approx(-cosines.mean().item(), abs=1e-5)
    units = torch.nn.functional.normalize(features[:14]).double().numpy()
    assert record["feature_std"] == pytest.approx(units.std(axis=0).mean() * 1024**0.5, rel=1e-3)


def test_validation_leaves_the_net_as_it_is(there):
    batches = FaceBatches(FER2013(split="val"), 14, torch.device("cpu"))
    training = TrainingSettings(
        epochs=1, lr=1e-3, weight_decay=0.0, optimizer="adam", scheduler="none", image_size=32, seed=1,
        dtype=torch.float32,
    )  # fmt: skip
    task = make_byol_task("small", batches, batches, training, weights="none")
    before = {name: value.clone() for name, value in task.net.state_dict().items()}
    assert task.measure() == task.measure()
    assert differences(before, dict(task.net.state_dict())) == []
    task.net.train()(torch.rand(4, 3, 32, 32))
    assert differences(before, dict(task.net.state_dict())) != [], "training must go on to measure"


def test_second_views_are_of_the_faces_augmentations_and_how_many_have_none_is_logged(there):
    """Faces that are recognised in their views, and augmentations of the first 25 that tell whose they are."""
    rows = [(label, usage, coded_face(code)) for code, (label, usage, _) in enumerate(small_rows(test=7))]
    write_csv(Path("data/fer2013/icml_face_data.csv"), rows)
    make_augmentations("--max_faces", "25")
    for path in Path("data/fer2013_augmentations").glob("*/*.png"):
        Image.fromarray(coded_face(61 + int(path.stem.split("_")[0]))).save(path)
    with shown_to(BYOL) as calls:
        there(*QUICK, "--epochs", "1", "--fine_tune")
    assert "a GAN augmentation for 25 faces; of the face itself for 15 that have none" in log_text()
    pairs = [read_codes(call.views).view(2, -1) for call in calls]
    faces, second = torch.cat(pairs[:-1], dim=1)
    assert sorted(faces.tolist()) == list(range(40))
    assert second.tolist() == [face + 61 if face < 25 else face for face in faces.tolist()]
    assert pairs[-1].tolist() == [list(range(40, 54))] * 2  # val: two views of the face itself


def test_without_augmentations_each_face_gets_two_different_views_of_itself(there):
    with shown_to(BYOL) as calls:
        there(*ALONE, "--epochs", "1")
    seen = [call.views for call in calls[:-1]]  # the last is of val
    assert "a GAN augmentation for 0 faces; of the face itself for 40" in log_text()
    assert [len(views) for views in seen] == [32, 32, 16]
    assert all((one != other).any() for views in seen for one, other in zip(*views.chunk(2), strict=True))


@pytest.mark.parametrize("flag", ["--photometric", "--other_light"])
def test_with_photometric_augmentation_each_view_gets_one_of_its_own(there, flag):
    with shown_to(BYOL) as calls:
        there(*ALONE, "--epochs", "1", flag, "True")
    seen = [call.views for call in calls[:-1]]  # the last is of val
    assert checkpoint()["settings"]["photometric"] is True
    generator = rng_for(1, 1, "views")
    batches = FaceBatches(FER2013(Path("data/fer2013"), "train"), 16, torch.device("cpu"), shuffle=True, seed=1)
    batches.set_epoch(1)
    for (faces, _, _), views in zip(batches, seen, strict=True):
        plain = train_view(torch.cat([faces, faces]), 32, generator, channels=1)[:, 0]
        expected = photometric_augmentation(plain, torch.rand(RANDOM_NUMBERS, len(plain), generator=generator))
        assert torch.equal(views, expected[:, None].expand(-1, 3, -1, -1))
        assert (views[:, 0] - plain).abs().mean() > 0.05


def test_views_show_no_less_of_a_face_than_asked_for(there, capsys):
    with shown_to(BYOL) as calls:
        there(*ALONE, "--epochs", "1", "--smallest_crop", "0.6")
    generator = rng_for(1, 1, "views")
    batches = FaceBatches(FER2013(Path("data/fer2013"), "train"), 16, torch.device("cpu"), shuffle=True, seed=1)
    batches.set_epoch(1)
    for (faces, _, _), call in zip(batches, calls[:-1], strict=True):
        assert torch.equal(call.views, train_view(torch.cat([faces, faces]), 32, generator, smallest_crop=0.6))
    assert checkpoint()["settings"]["smallest_crop"] == 0.6
    with pytest.raises(SystemExit):
        there(*ALONE, "--smallest_crop", "0")
    assert "argument --smallest_crop: expected a number above 0 and up to 1, found '0'" in capsys.readouterr().err


def test_the_prediction_head_learns_at_a_rate_of_its_own(there, capsys):
    one_step = [*ALONE, "--max_faces", "16", "--optimizer", "sgd", "--lr", "0.01", "--weight_decay", "0"]
    run = [*one_step, "--epochs", "1", "--scheduler", "none"]
    there(*run, "--output_root", "common")
    there(*run, "--prediction_lr", "0.1")
    torch.manual_seed(1)
    start = BYOL("small").state_dict()
    common, own = checkpoint(folder="common/checkpoints")["net"], checkpoint()["net"]
    for name, _ in BYOL("small").named_parameters():
        if name.startswith("prediction."):
            way = common[name] - start[name]
            assert torch.allclose(own[name] - start[name], 10 * way, rtol=1e-3, atol=1e-6), name
        else:
            assert torch.equal(own[name], common[name]), name
    assert not torch.equal(common["prediction.0.weight"], start["prediction.0.weight"])
    with pytest.raises(SystemExit):
        run_command(lambda: there(*run, "--resume", "True"))
    assert "made with prediction_lr 0.1, expected None" in capsys.readouterr().err


def test_the_scheduler_lowers_both_learning_rates(there):
    there(*ALONE, "--max_faces", "16", "--epochs", "3", "--lr", "0.01", "--prediction_lr", "0.1")
    rest, prediction = checkpoint()["optimizer"]["param_groups"]
    assert prediction["lr"] == pytest.approx(10 * rest["lr"]) and rest["lr"] < 0.01
    assert len(prediction["params"]) == len(list(BYOL("small").prediction.parameters()))


@pytest.mark.parametrize("more", [[], ["--prediction_lr", "0.002"]])
def test_an_interrupted_run_goes_on_and_equals_an_unbroken_one(there, capsys, more):
    make_augmentations("--max_faces", "25")
    run = [*QUICK, "--epochs", "2", "--fine_tune", "True", *more]
    there(*run, "--output_root", "unbroken")
    with pytest.raises(SystemExit) as ended, before_step(4, lambda: os.kill(os.getpid(), signal.SIGINT)):
        run_command(lambda: there(*run))
    assert ended.value.code == 130 and "ckpt_byol_small_E_last_trained_epoch.pth" in capsys.readouterr().err
    assert checkpoint()["epoch"] == 1
    with pytest.raises(InputError, match=r"made with images' generator_fingerprint .*, expected None"):
        there(*run, "--resume", "True", "--augmentations_folder", "none")
    manifest = Path("data/fer2013_augmentations/manifest.json")
    known = read_json(manifest)
    write_json(manifest, known | {"half_width": 0.3})
    with pytest.raises(InputError, match=r"made with images' half_width 0.2, expected 0.3"):
        there(*run, "--resume", "True")
    write_json(manifest, known)
    earlier = checkpoint()
    for name in ("centre", "half_width", "precision", "face_detector"):
        del earlier["settings"][f"images' {name}"]
    torch.save(earlier, f"checkpoints/ckpt_byol_small_E_{KINDS[1]}.pth")  # as an earlier version wrote it
    there(*run, "--resume", "True")
    for kind in KINDS:
        assert differences(checkpoint(kind), checkpoint(kind, "unbroken/checkpoints")) == []
    with pytest.raises(SystemExit) as ended:
        run_command(lambda: there(*run, "--resume", "True", "--fine_tune", "False"))
    assert ended.value.code == 2 and "made with fine_tune True, expected False" in capsys.readouterr().err


def test_without_fine_tune_only_the_heads_learn_and_the_log_says_so(there):
    torch.manual_seed(5)
    start = EmotionNet("small")
    torch.save(start.state_dict(), "weights.pth")
    flags = ["weights.pth" if flag == "none" else flag for flag in QUICK]
    there(*flags, "--augmentations_folder", "none", "--epochs", "1")
    state = checkpoint()["net"]
    backbone = {name: value for name, value in start.state_dict().items() if not name.startswith("nn_model.fc.")}
    assert backbone.keys() == {name for name in state if name.startswith("nn_model.")}
    for name, value in backbone.items():
        assert torch.equal(state[name], value) and torch.equal(state[f"target.{name}"], value)
    assert not torch.equal(state["projection.0.weight"], state["target.projection.0.weight"])
    assert "only the projection and prediction heads learn" in log_text()
    there(*flags, "--augmentations_folder", "none", "--epochs", "1", "--fine_tune", "True", "--output_root", "tuned")
    assert not torch.equal(checkpoint(folder="tuned/checkpoints")["net"]["nn_model.conv1.0.weight"],
                           start.nn_model.conv1[0].weight)  # fmt: skip
    assert "only the projection" not in log_text("tuned/logs")


def test_a_checkpoint_with_the_names_of_earlier_versions_goes_on(there):
    there(*ALONE, "--epochs", "2", "--scheduler", "step", "--output_root", "unbroken")
    there(*ALONE, "--epochs", "1", "--scheduler", "step")
    path = "checkpoints/ckpt_byol_small_E_last_trained_epoch.pth"
    state = torch.load(path, weights_only=True)
    state["settings"]["other_light"] = state["settings"].pop("photometric")
    for name in ("smallest_crop", "prediction_lr"):
        del state["settings"][name]
    (record,) = state["history"]
    for name in ("feature", "projection"):
        record[f"{name}_spread"] = record.pop(f"{name}_std")
    torch.save(state, path)
    there(*ALONE, "--epochs", "2", "--scheduler", "step", "--resume")
    assert differences(checkpoint(), checkpoint(folder="unbroken/checkpoints")) == []


def weights_of(last_convolution: Callable[[torch.Tensor], object]) -> list[str]:
    """QUICK, but starting from a file of a net whose last convolution's weights [1024,192,1,1] were changed so."""
    torch.manual_seed(5)
    net = EmotionNet("small")
    with torch.no_grad():
        last_convolution(net.nn_model.conv5[0].weight)
    torch.save(net.state_dict(), "weights.pth")
    return ["weights.pth" if flag == "none" else flag for flag in QUICK]


def test_a_collapse_is_warned_of(there, capsys):
    """Of a frozen backbone that gives all faces the same features."""
    there(*ALONE, "--epochs", "1", "--output_root", "healthy")
    capsys.readouterr()
    there(*weights_of(lambda weight: weight.zero_()), "--augmentations_folder", "none", "--epochs", "1")
    assert "warning: the representation has collapsed: projection std 0.0000 after epoch 1" in log_text()
    assert "collapsed" in capsys.readouterr().out
    assert "collapsed" not in log_text("healthy/logs")


def test_features_in_few_directions_are_warned_of(there):
    """Of a frozen backbone whose features are copies of two."""
    flags = weights_of(lambda weight: weight.copy_(weight[:2].repeat(512, 1, 1, 1)))
    there(*flags, "--augmentations_folder", "none", "--epochs", "1")
    rank = checkpoint()["history"][0]["feature_rank"]
    assert 1 <= rank <= 2.01
    assert f"warning: after epoch 1 the features tell faces apart in {rank:.1f} directions only" in log_text()


def test_fine_tuning_starts_from_the_best_checkpoints_online_backbone(there, monkeypatch):
    there(*ALONE, "--epochs", "1")
    pretrained = checkpoint("best_validation")["net"]
    train_model.main(["--net_name", "small", *QUICK, "--emotion_transform_prob", "0", "--epochs", "1",
                      "--load_byol", "True", "--fine_tune", "False"])  # fmt: skip
    tuned = torch.load("checkpoints/ckpt_small_E_last_trained_epoch.pth", weights_only=True)["net"]
    backbone = [name for name in tuned if not name.startswith("nn_model.fc.")]
    assert set(backbone) == {name for name in pretrained if name.startswith("nn_model.")}
    assert all(torch.equal(tuned[name], pretrained[name]) for name in backbone)
    assert [tuned[f"nn_model.fc.{layer}.weight"].shape for layer in (0, 2)] == [(128, 1024), (7, 128)]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ([], "python create_augmentations.py --dest_folder data/fer2013_augmentations"),
        (["--augmentations_folder", "none", "--weights", "nowhere.pth"], "nowhere.pth: no such weights file"),
        (["--augmentations_folder", "none", "--data_root", "nowhere"], "nowhere"),
    ],
)
def test_what_is_missing_is_an_error_of_one_line_and_nothing_is_written(there, capsys, flags, said):
    with pytest.raises(SystemExit) as ended:
        run_command(lambda: there(*QUICK, *flags))
    assert ended.value.code == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 1 and errors[0].startswith("error: ") and said in errors[0]
    assert not any(Path(folder).exists() for folder in ("checkpoints", "plots_output", "logs"))


def test_defaults_come_from_the_nets_entry_in_batches_of_32():
    for net_name, lr, weight_decay in (("resnet18", 2e-4, 2e-5), ("densenet201", 3e-4, 3.4e-5)):
        args = train_byol_model.parse_arguments(["--net_name", net_name, "--exp_name", "E"])
        assert (args.batch_size, args.lr, args.weight_decay) == (32, lr, weight_decay)
        assert (args.epochs, args.fine_tune, args.image_size, args.weights) == (100, False, 224, "imagenet")


def test_densenet201_of_which_the_features_are_1920(tmp_path, fer2013_csv, monkeypatch, capsys):
    monkeypatch.chdir(fer2013_csv(tmp_path, train=7, val=7, test=7))
    train_byol_model.main(["--net_name", "densenet201", *ALONE, "--epochs", "1", "--data_root", "."])
    assert "best epoch: 1 of 1" in capsys.readouterr().out
    state = torch.load("checkpoints/ckpt_byol_densenet201_E_final_checkpoint.pth", weights_only=True)["net"]
    assert state["projection.0.weight"].shape == (1024, 1920)


def test_resnet18_from_the_shell(tmp_path, fer2013_csv):
    fer2013_csv(tmp_path / "faces", train=7, val=7, test=7)
    command = [sys.executable, train_byol_model.__file__, "--net_name", "resnet18", *ALONE, "--epochs", "1",
               "--data_root", "faces", "--optimizer", "sgd"]  # fmt: skip
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "best epoch: 1 of 1" in done.stdout and "--load_byol True" in done.stdout
    assert (tmp_path / "checkpoints/ckpt_byol_resnet18_E_final_checkpoint.pth").is_file()
