"""Names from the command line and from files never lead out of the folders that they are meant for."""

import pytest
from commands import SMALL
from processes import files_of

import optuna_study
import train_byol_model
import train_model
from core_code import evaluate
from core_code.core_utils.checkpoints import KINDS, TYPES, CheckpointFiles
from core_code.core_utils.errors import InputError
from core_code.core_utils.files import save_weights
from core_code.core_utils.flags import run_name
from core_code.evaluation.curves import draw_logs
from core_code.search.files import StudyFiles, read_study
from EmotionGAN.measure import __main__ as measure

BAD = ["../../x", "..", ".", "/tmp/x", "a/b", "a\\b", ".hidden", "", "a b", "a\nb", "a\0b", "~", "x" * 101, "é" * 51]
COMMANDS = {
    "train_model": (train_model.main, "--exp_name", ["--emotion_transform_prob", "0"]),
    "train_byol_model": (train_byol_model.main, "--exp_name", ["--augmentations_folder", "none"]),
    "optuna_study": (optuna_study.main, "--exp_name", []),
    "evaluate": (evaluate.main, "--exp_names", []),
    "probe": (evaluate.main, "--exp_names", ["--probe", "byol"]),
    "measure": (measure.main, "--exp_name", []),
}


@pytest.fixture
def inside(tmp_path, monkeypatch):
    """A working folder with room above it."""
    folder = tmp_path / "a/b/c"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    yield folder
    assert files_of(tmp_path) == files_of(folder)


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("command", COMMANDS)
def test_bad_names_are_argparse_errors(command, bad, small, inside, capsys):
    main, flag, more = COMMANDS[command]
    with pytest.raises(SystemExit) as ended:
        main([*SMALL, "--net_name", "resnet18", *more, flag, bad])
    said = capsys.readouterr().err
    assert ended.value.code == 2 and f"argument {flag}: expected" in said
    assert files_of(inside) == []


@pytest.mark.parametrize("name", ["x" * 100, "é" * 50])
def test_the_longest_names_make_files(name, inside):
    """A file's name has at most 255 bytes, and the one that is written first is longer than the file's."""
    files = CheckpointFiles(inside, "densenet201", run_name(name), byol=True)
    with files.exclusive_run():
        for kind in KINDS:
            assert files.save(kind, dict.fromkeys(TYPES)).is_file()


@pytest.mark.parametrize("key", ["net_name", "exp_name"])
def test_a_log_cannot_name_a_picture_elsewhere(key, inside):
    names = {"net_name": "resnet18", "exp_name": "E", key: "../../x"}
    (inside / "a.log").write_text(
        "\n".join(f"{name}: {value}" for name, value in names.items())
        + "\nepoch 1/1  loss 1.0  validation accuracy 50.00%\n"
    )
    with pytest.raises(InputError, match=rf"a\.log, line \d: {key}: expected letters"):
        draw_logs([inside / "a.log"], inside / "plots_output")
    assert files_of(inside) == [inside / "a.log"]


@pytest.mark.parametrize("key", ["net_name", "exp_name"])
def test_a_study_cannot_name_a_picture_elsewhere(key, inside):
    import optuna

    study = optuna.create_study()
    settings = {"net_name": "resnet18", "exp_name": "E", "byol": False, key: "../../x"}
    study.set_user_attr("settings", settings)
    path = StudyFiles(inside, "resnet18", "E").write(study)
    with pytest.raises(InputError, match="expected letters"):
        read_study(path)
    with pytest.raises(InputError, match="expected letters"):
        optuna_study.main(["--plot_results", str(path)])
    assert [file for file in files_of(inside) if file.suffix == ".png"] == []


@pytest.mark.parametrize("key", ["name", "experiment"])
def test_a_checkpoint_with_another_name_inside_is_refused(key, inside):
    files = CheckpointFiles(inside, "resnet18", "E")
    state = dict.fromkeys(TYPES) | {"name": "resnet18", "experiment": "E", key: "../../x"}
    save_weights(files.path("best_validation"), state)
    with pytest.raises(InputError, match=rf"a checkpoint of {key} '\.\./\.\./x', expected"):
        files.load("best_validation")
