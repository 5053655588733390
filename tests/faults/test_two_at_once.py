"""Two runs at once: the second one of the same destination or experiment is refused, or both are safe."""

import os
import signal

import pytest
from commands import COMMANDS
from kills import SAMPLE, VIEWS, script
from processes import SMALL_NET, check_whole, errors_of, files_of, finish, started, unlike

from core_code.core_utils.checkpoints import CheckpointFiles
from core_code.core_utils.files import atomic_write, remove_stale_files
from core_code.core_utils.locks import exclusive_lock
from core_code.search.files import read_study
from core_code.search.results import is_counted

TRAIN = [SMALL_NET, script("train_model.py"), *SAMPLE, *VIEWS, "--net_name", "small", "--max_faces", "64",
         "--batch_size", "32", "--emotion_transform_prob", "0", "--fine_tune", "True", "--epochs", "4"]  # fmt: skip


@pytest.mark.parametrize("name", ["training", "byol", "augmentations", "learning"])
def test_a_second_run_is_refused_and_touches_nothing(name, small, shop, tmp_path, capsys):
    held = {
        "training": CheckpointFiles(tmp_path / "checkpoints", "small", "E").exclusive_run(),
        "byol": CheckpointFiles(tmp_path / "checkpoints", "small", "E", byol=True).exclusive_run(),
        "augmentations": exclusive_lock(tmp_path / "images"),
        "learning": exclusive_lock(tmp_path / "run"),
    }[name]
    with held:
        before = files_of(tmp_path)
        error = COMMANDS[name].error(capsys, tmp_path, shop)
        assert "another run is writing here; wait for it, or " in error and str(tmp_path) in error
        assert files_of(tmp_path) == before


def test_other_experiments_and_byol_train_beside_a_run(small, shop, tmp_path):
    with CheckpointFiles(tmp_path / "checkpoints", "small", "other").exclusive_run():
        COMMANDS["training"].run(tmp_path, shop)
        with CheckpointFiles(tmp_path / "checkpoints", "small", "E").exclusive_run():
            COMMANDS["byol"].run(tmp_path, shop)
    names = {path.name for path in (tmp_path / "checkpoints").glob("*_final_checkpoint.pth")}
    assert names == {"ckpt_small_E_final_checkpoint.pth", "ckpt_byol_small_E_final_checkpoint.pth"}


@pytest.mark.slow
def test_two_processes_train_the_same_experiment(tmp_path):
    """Started together, one of them is refused, and the other ends as if alone."""
    command = [*TRAIN, "--exp_name", "E"]
    with started(command, tmp_path / "both") as one, started(command, tmp_path / "both") as other:
        ends = {one.end(): one, other.end(): other}
    assert ends.keys() == {0, 2}, one.story() + other.story()
    assert "give another --exp_name or --output_root" in errors_of(ends[2])[0]
    finish(command, tmp_path / "alone")
    check_whole(tmp_path / "both")
    assert unlike(tmp_path / "both", tmp_path / "alone") == []


@pytest.mark.slow
def test_two_processes_make_the_same_images(shop, tmp_path):
    command = [script("create_augmentations.py"), *SAMPLE, "--generator", str(shop / "tiny"), "--dest_folder", "images",
               "--max_faces", "300"]  # fmt: skip
    with started(command, tmp_path / "both") as one:
        assert one.wait_until(lambda: bool(list((tmp_path / "both/images").glob("*/*.png"))))
        one.process.send_signal(signal.SIGSTOP)  # it could be through before the other one has begun
        with started(command, tmp_path / "both") as other:
            assert other.end() == 2 and "another run is writing here" in errors_of(other)[0]
        one.process.send_signal(signal.SIGCONT)
        assert one.end() == 0
    finish(command, tmp_path / "alone")
    assert unlike(tmp_path / "both", tmp_path / "alone") == []


@pytest.mark.slow
def test_two_processes_share_a_study(tmp_path):
    command = [SMALL_NET, script("optuna_study.py"), *SAMPLE, *VIEWS, "--net_name", "small", "--exp_name", "E",
               "--train_faces", "64", "--val_faces", "70", "--epochs", "1", "--n_trials", "6"]  # fmt: skip
    with started(command, tmp_path / "both") as one, started(command, tmp_path / "both") as other:
        assert one.end() == 0, one.story()
        assert other.end() == 0, other.story()
    check_whole(tmp_path / "both")
    trials = read_study(tmp_path / "both/optuna_study_output/optuna_study_results_small_E.pkl").trials
    assert sum(map(is_counted, trials)) == 6 and len({trial.params["lr"] for trial in trials}) == len(trials)


def test_a_left_over_goes_with_the_next_write_and_a_living_writers_file_stays(tmp_path):
    path = tmp_path / "file.pth"
    (tmp_path / ".file.pth.0123abcd.part").write_bytes(b"half")
    (tmp_path / ".other.pth.0123abcd.part").write_bytes(b"half")

    def write(file) -> None:
        remove_stale_files(tmp_path)
        file.write(b"whole")

    atomic_write(path, write)
    assert path.read_bytes() == b"whole" and os.listdir(tmp_path) == ["file.pth"]
