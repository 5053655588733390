"""`--tensorboard`: the event files hold the figures of the history, the confusion matrix and the sheets."""

import json
import shutil
import sys
import threading
from pathlib import Path

import pytest

import train_byol_model
import train_model
from core_code.core_utils.errors import InputError
from core_code.core_utils.tensorboard import Board
from EmotionGAN.learn.__main__ import main as learn

pytest.importorskip("tensorboard")
QUICK = ["--net_name", "small", "--exp_name", "E", "--weights", "none", "--image_size", "32", "--precision", "fp32",
         "--device", "cpu", "--epochs", "2", "--tensorboard", "--recipe", "published",
         "--emotion_transform_prob", "0"]  # fmt: skip


def written(folder):
    """The event files' scalars, as {name: {step: value}}, and their pictures' names and steps."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder)).Reload()
    scalars = {name: {event.step: event.value for event in events.Scalars(name)} for name in events.Tags()["scalars"]}
    return scalars, {name: [event.step for event in events.Images(name)] for name in events.Tags()["images"]}


def test_a_training_writes_the_figures_of_its_history_and_the_confusion_matrix(data_there, small):
    train_model.main(QUICK)
    scalars, pictures = written("runs/small_E")
    history = [json.loads(line) for line in Path("logs/history_small_E.jsonl").read_text().splitlines()]
    assert set(scalars) == set(history[0])
    for name in ("loss", "validation_accuracy", "lr"):
        assert scalars[name] == pytest.approx({1: history[0][name], 2: history[1][name]})
    assert list(pictures) == ["confusion_matrix"]


def test_a_training_that_cannot_start_leaves_no_run(data_there, small):
    for train, flags in ((train_model, [*QUICK[:-1], "0.8"]), (train_byol_model, QUICK[: QUICK.index("--recipe")])):
        with pytest.raises(InputError, match="augmentations"):
            train.main(flags)
    assert not Path("runs").exists()


def test_byol(data_there, small):
    flags = [*QUICK[: QUICK.index("--recipe")], "--augmentations_folder", "none"]
    train_byol_model.main(flags)
    assert len(written("runs/byol_small_E")[0]["validation_loss"]) == 2


def test_learning_a_generator_writes_its_losses_and_sheets(tmp_path, fer2013_csv):
    flags = ["--image_size", "16", "--width", "4", "--blocks", "1", "--discriminator_layers", "2", "--guide_width", "2",
             "--discriminator_width", "4", "--discriminator_steps", "1", "--steps", "3", "--every", "2",
             "--batch_size", "4", "--discriminator_batch_size", "4", "--device", "cpu", "--tensorboard"]  # fmt: skip
    learn([*flags, "--data_root", str(fer2013_csv(tmp_path / "data")), "--dest", str(tmp_path / "run")])
    scalars, pictures = written(tmp_path / "run" / "tensorboard")
    lines = [json.loads(line) for line in (tmp_path / "run" / "learning.jsonl").read_text().splitlines()]
    assert scalars["cycle"] == pytest.approx({line["step"]: line["cycle"] for line in lines if "cycle" in line})
    assert pictures == {"sheet": [2, 4]}


def test_without_tensorboard_one_line_tells_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(InputError, match="--tensorboard needs tensorboard: pip install tensorboard"):
        Board(tmp_path)
    Board(None).scalars({"loss": 1.0}, 1)
    assert not any(tmp_path.iterdir())


def test_a_folder_that_takes_no_more_is_named_and_a_traceback_of_the_writer_is_not_shown(tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr(threading, "excepthook", shown.append)
    board = Board(tmp_path / "runs")
    shutil.rmtree(tmp_path / "runs")
    (tmp_path / "runs").touch()
    with pytest.raises(InputError, match=r"runs: cannot be written \("):
        for step in range(100):
            board.scalars({"loss": 1.0}, step)
    board.writer.file_writer.event_writer._async_writer._worker.join()
    assert not shown
    thread = threading.Thread(target=[].pop)  # another thread's is shown as before
    thread.start()
    thread.join()
    assert [args.exc_type for args in shown] == [IndexError]
