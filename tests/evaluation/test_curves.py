"""python -m core_code.evaluate --from_log: curves out of logs that the program wrote, and bad logs."""

from pathlib import Path

import pytest
import torch

import train_model
from core_code import evaluate
from core_code.core_utils.errors import InputError, run_command
from core_code.core_utils.logs import history_path, write_history
from core_code.evaluation import curves
from core_code.training.loop import describe

HEAD = "net_name: resnet18\nexp_name: E\nepochs: 9\nEmotionNet(\n  (conv1): Conv2d(3, 64)\n)\n"
FIRST = "epoch 1/9  loss 1.9000  validation accuracy 30.00%  lr 0.0002  time 1.5 s\n"
SECOND = "epoch 2/9  loss 1.7000  validation accuracy 35.25%  train accuracy 40.00%  lr 1.2e-05  time 1.0 s\n"
BYOL_EPOCH = (
    "epoch 1/9  loss -1.5  validation loss -1.6  feature spread 0.4  projection spread 0.3  lr 0.1  time 1.0 s\n"
)


def test_a_log_of_the_program_gives_back_its_history_and_its_pictures(data_there, small, monkeypatch, capsys):
    train_model.main(
        ["--net_name", small, "--exp_name", "E", "--weights", "none", "--image_size", "32", "--precision", "fp32",
         "--device", "cpu", "--emotion_transform_prob", "0", "--epochs", "2", "--verbose"]
    )  # fmt: skip
    history = torch.load("checkpoints/ckpt_small_E_last_trained_epoch.pth", weights_only=True)["history"]
    (log,) = Path("logs").glob("*.log")
    assert curves.read_run(Path("logs/history_small_E.jsonl")) == (("small", "E", False), history)
    run, records = curves.read_log(log)
    assert run == ("small", "E", False) and len(records) == len(history) == 2
    for record, wanted in zip(records, history, strict=True):
        assert list(record) == list(wanted)
        assert record == pytest.approx(wanted, rel=5e-3, abs=0.06)
        assert describe(record, 2) == describe(wanted, 2)
    names = {f"{kind}_small_E.png" for kind in ("train_accuracy", "validation_accuracy", "train_validation_accuracy")}
    for name in names:
        (Path("plots_output") / name).unlink()
    evaluate.main(["--from_log", *map(str, Path("logs").iterdir())])
    there = {path.name for path in Path("plots_output").glob("*.png")}
    assert names | {"loss_small_E.png"} == there - {"confusion_matrix_small_E.png"}
    assert "plots_output/loss_small_E.png" in capsys.readouterr().out


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.fixture
def drawn(monkeypatch) -> dict[str, list]:
    """What each picture would be drawn from."""
    seen = {}
    for name in ("plot_accuracies", "plot_losses", "plot_byol_losses"):
        monkeypatch.setattr(curves, name, lambda history, *rest, name=name: seen.update({name: history}) or [])
    return seen


def test_the_logs_of_a_resumed_run_make_one_curve(tmp_path, drawn):
    first = write(tmp_path / "1.log", HEAD + FIRST + SECOND + "interrupted: 2 of 9 epochs are saved\n")
    again = SECOND.replace("epoch 2", "epoch 3")
    second = write(tmp_path / "2.log", HEAD + SECOND.replace("35.25", "36.00") + again)
    curves.draw_logs([first, second], tmp_path)
    for history in drawn.values():
        assert [record["epoch"] for record in history] == [1, 2, 3]
        assert [record["validation_accuracy"] for record in history] == pytest.approx([0.3, 0.36, 0.3525])
    assert set(drawn) == {"plot_accuracies", "plot_losses"}


def test_a_published_log_gives_its_figures_under_its_own_name(tmp_path, monkeypatch, drawn):
    stamp = "2022-06-01 12:00:0{},123 - INFO - "
    lines = [stamp.format(0) + "Training started", stamp.format(1) + "Epoch: 1 | Loss: 1.7018 | Validation accuracy: "
             "40.549% | Epoch Time: 266.98 secs"]  # fmt: skip
    lines += [lines[-1].replace("Epoch: 1 |", f"Epoch: {epoch} |") for epoch in (2, 3, 4)]
    lines += [stamp.format(5) + "Epoch: 5 | Loss: 0.0018 | Training accuracy: 91.870% | Validation accuracy: 70.549% | "
              "Epoch Time: 266.98 secs"]  # fmt: skip
    run, records = curves.read_log(write(tmp_path / "training_2022-06-01 12.log", "\n".join(lines)))
    assert run == ("published", "training_2022-06-01_12", False)
    assert [record["epoch"] for record in records] == [1, 2, 3, 4, 5]
    wanted = {"epoch": 5, "loss": 0.0018, "train_accuracy": 0.9187, "validation_accuracy": 0.70549, "seconds": 266.98}
    assert records[-1] == pytest.approx(wanted) and "train_accuracy" not in records[0]
    named = [stamp.format(0) + "net_name: resnet18", stamp.format(0) + "exp_name: Augmented", *lines]
    run, _ = curves.read_log(write(tmp_path / "named.log", "\n".join(named)))
    assert run == ("resnet18", "Augmented", False)
    curves.draw_logs([tmp_path / "named.log"], tmp_path)
    assert set(drawn) == {"plot_accuracies", "plot_losses"}


@pytest.mark.parametrize("byol", [False, True])
def test_a_history_replaces_the_logs_of_its_run(tmp_path, drawn, byol):
    figures = {"loss": 1.25, "lr": 1e-3, "seconds": 2.0}
    figures |= {"validation_loss": -1.5, "feature_std": 0.4, "projection_std": 0.3} if byol else {
        "train_accuracy": 0.5, "validation_accuracy": 1 / 3}  # fmt: skip
    history = [{"epoch": epoch, **figures} for epoch in (1, 2)]
    path = history_path(tmp_path, "resnet18", "E_1", byol)
    write_history(path, history)
    log = write(tmp_path / "z.log", HEAD.replace("exp_name: E", "exp_name: E_1") + (BYOL_EPOCH if byol else FIRST))
    assert curves.read_run(path) == (("resnet18", "E_1", byol), history)
    curves.draw_logs([path, log], tmp_path)
    assert drawn and all(records == history for records in drawn.values())


def test_histories_are_read_strictly(tmp_path):
    path = history_path(tmp_path, "resnet18", "E")
    for text, message in (
        ('{"epoch": 1, "loss": 1.0}\n', "line 1: expected a loss and a validation accuracy"),
        ('{"epoch": 2, "loss": 1.0, "validation_accuracy": 0.5}\n', "line 1: expected the figures of epoch 1"),
        ("epoch 1/9  loss 1.9\n", "line 1: expected"),
        ("", "no finished epoch"),
    ):
        with pytest.raises(InputError, match=message):
            curves.draw_logs([write(path, text)], tmp_path / "out")
    assert not (tmp_path / "out").exists()


STUDY = "net_name: resnet18\nexp_name: E\nn_trials: 2\ntrial 0: lr 0.1\n" + FIRST + "trial 1: lr 0.2\n" + FIRST


def test_logs_of_other_commands_are_passed_over_with_a_message(tmp_path, drawn, capsys):
    others = {
        "images.log": "num_augments: 10\n287090 images\n",
        "study.log": STUDY,
        "unfinished.log": HEAD,
        "b.log": "",
    }
    paths = [write(tmp_path / name, text) for name, text in others.items()]
    curves.draw_logs([*paths, write(tmp_path / "good.log", HEAD + FIRST)], tmp_path)
    assert [len(history) for history in drawn.values()] == [1, 1]
    messages = capsys.readouterr().out.splitlines()
    assert len(messages) == 4
    for message, path in zip(messages, paths, strict=True):
        assert message.startswith(f"passed over: {path}: ") and "no finished epoch" in message
    with pytest.raises(InputError, match=r"none of 4 files has epochs; .*no finished epoch"):
        curves.draw_logs(paths, tmp_path)


def test_a_log_of_byol_makes_byols_curve(tmp_path, drawn):
    curves.draw_logs([write(tmp_path / "1.log", HEAD + BYOL_EPOCH)], tmp_path)
    (record,) = drawn["plot_byol_losses"]
    assert list(drawn) == ["plot_byol_losses"] and record["loss"] == -1.5 and record["projection_std"] == 0.3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (FIRST, ", line 1: an epoch, expected lines 'net_name"),
        (HEAD + FIRST + "epoch two\n", ", line 8: expected 'epoch 1/100  loss ...', found 'epoch two'"),
        (HEAD + FIRST[:40] + "\n", ", line 7: expected 'epoch 1/100  loss ...', found 'validation accur'"),
        (HEAD + "epoch 1/9  loss 1.0\n", ", line 7: expected a loss and a validation accuracy"),
        (HEAD + FIRST.replace("1.9000", "nan"), ", line 7: expected 'epoch 1/100  loss ...', found 'loss nan'"),
        (
            HEAD + FIRST.replace("30.00", "300.00"),
            ", line 7: expected 'epoch 1/100  loss ...', found 'validation acc",
        ),
        (HEAD + FIRST.replace("1/9", "10/9"), ", line 7: expected 'epoch 1/100  loss ...', found 'epoch 10/9'"),
        (
            HEAD + FIRST + SECOND + FIRST,
            ", line 9: epoch 1 after epoch 2, or other figures",
        ),
        (
            HEAD + FIRST + BYOL_EPOCH.replace("1/9", "2/9"),
            ", line 8: epoch 2 after epoch 1, or other figures",
        ),
        (HEAD.replace("exp_name: E", "exp_name: ../../E") + FIRST, ", line 2: exp_name: expected letters"),
        (HEAD + FIRST + SECOND.replace("lr", "l\xff"), ", line 8: expected 'epoch 1/100  loss ...'"),
    ],
)
def test_bad_logs_are_errors_of_one_line_that_name_the_line(tmp_path, capsys, text, message):
    good = write(tmp_path / "good.log", HEAD + FIRST)
    bad = tmp_path / "bad.log"
    bad.write_bytes(text.encode("latin-1"))
    command = ["--from_log", str(good), str(bad), "--output_root", str(tmp_path / "out")]
    with pytest.raises(SystemExit) as ended:
        run_command(lambda: evaluate.main(command))
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert ended.value.code == 2 and line.startswith(f"error: {bad}") and message in line
    assert not (tmp_path / "out").exists()


def test_a_missing_log_and_missing_flags(tmp_path, capsys):
    with pytest.raises(InputError, match=r"none\.log: no log that can be read"):
        curves.read_log(tmp_path / "none.log")
    with pytest.raises(InputError, match="no log that can be read"):
        curves.read_log(tmp_path)
    with pytest.raises(SystemExit):
        evaluate.main(["--net_name", "resnet18"])
    assert "--net_name and --exp_names are required" in capsys.readouterr().err
