"""python -m core_code.evaluate --from_log: curves out of logs that the program wrote, and bad logs."""

from pathlib import Path

import pytest
import torch

import train_model
from core_code import evaluate
from core_code.core_utils.errors import InputError, run_command
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
    (log,) = Path("logs").iterdir()
    run, records = curves.read_log(log)
    assert run == ("small", "E", False) and len(records) == len(history) == 2
    for record, wanted in zip(records, history, strict=True):
        assert list(record) == list(wanted)
        assert record == pytest.approx(wanted, rel=5e-3, abs=0.06)
        assert describe(record, 2) == describe(wanted, 2)
    names = {f"{kind}_small_E.png" for kind in ("train_accuracy", "validation_accuracy", "train_validation_accuracy")}
    for name in names:
        (Path("plots_output") / name).unlink()
    evaluate.main(["--from_log", str(log)])
    there = {path.name for path in Path("plots_output").iterdir()}
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


def test_a_log_of_byol_makes_byols_curve(tmp_path, drawn):
    curves.draw_logs([write(tmp_path / "1.log", HEAD + BYOL_EPOCH)], tmp_path)
    (record,) = drawn["plot_byol_losses"]
    assert list(drawn) == ["plot_byol_losses"] and record["loss"] == -1.5 and record["projection_std"] == 0.3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no finished epoch in its 0 lines"),
        (HEAD, "no finished epoch in its 6 lines"),
        (FIRST, ", line 1: an epoch, expected lines 'net_name"),
        (HEAD + FIRST + "epoch two\n", ", line 8: expected 'epoch 1/100  loss ...', found 'epoch two'"),
        (HEAD + FIRST[:40] + "\n", ", line 7: expected a name and a number, found 'validation accur'"),
        (HEAD + "epoch 1/9  loss 1.0\n", ", line 7: expected a loss and a validation accuracy"),
        (HEAD + FIRST.replace("1.9000", "nan"), ", line 7: expected a name and a number, found 'loss nan'"),
        (HEAD + FIRST.replace("30.00", "300.00"), ", line 7: expected an accuracy from 0% to 100%"),
        (HEAD + FIRST.replace("1/9", "10/9"), ", line 7: epoch 10 of 9"),
        (HEAD + FIRST + SECOND + FIRST, ", line 9: epoch 1 after epoch 2, expected the log of one training run"),
        (HEAD + FIRST + BYOL_EPOCH.replace("1/9", "2/9"), ", line 8: other figures than in the epoch before"),
        (HEAD.replace("exp_name: E", "exp_name: ../../E") + FIRST, ", line 2: exp_name: expected letters"),
        ("net_name: resnet18\n\xff", ", line 2: not text"),
    ],
)
def test_bad_logs_are_errors_of_one_line_that_name_the_line(tmp_path, capsys, text, said):
    good = write(tmp_path / "good.log", HEAD + FIRST)
    bad = tmp_path / "bad.log"
    bad.write_bytes(text.encode("latin-1"))
    command = ["--from_log", str(good), str(bad), "--output_root", str(tmp_path / "out")]
    with pytest.raises(SystemExit) as ended:
        run_command(lambda: evaluate.main(command))
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert ended.value.code == 2 and line.startswith(f"error: {bad}") and said in line
    assert not (tmp_path / "out").exists()


def test_a_missing_log_and_missing_flags(tmp_path, capsys):
    with pytest.raises(InputError, match=r"none\.log: no such log"):
        curves.read_log(tmp_path / "none.log")
    with pytest.raises(InputError, match="cannot be read"):
        curves.read_log(tmp_path)
    with pytest.raises(SystemExit):
        evaluate.main(["--net_name", "resnet18"])
    assert "--net_name and --exp_names are required" in capsys.readouterr().err
