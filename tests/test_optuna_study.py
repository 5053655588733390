"""optuna_study.py as a user runs it, and train_model.py --study with what it leaves behind."""

import csv
import os
import pickle
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from torch_hooks import before_step, weights_after_steps

import optuna_study
import train_byol_model
import train_model
from core_code.core_utils.errors import run_command
from core_code.models.architectures import ARCHITECTURES, Architecture, HyperParameters
from core_code.search import plots as study_plots
from core_code.search.files import read_study

SCRIPT = Path(optuna_study.__file__)
TINY = ["--exp_name", "E", "--weights", "none", "--image_size", "32", "--precision", "fp32", "--device", "cpu",
        "--train_faces", "16", "--val_faces", "14", "--epochs", "1"]  # fmt: skip
FOLDER = Path("optuna_study_output")
OPTUNA_3 = SCRIPT.parent / "tests/search/optuna_3_study.pkl"
RESULTS = FOLDER / "optuna_study_results_small_E.pkl"
PICTURES = [
    FOLDER / f"{kind}_small_E.png"
    for kind in ("param_importances", "optimization_history", "parallel_coordinate", "intermediate_values")
]


@pytest.fixture
def there(tmp_path, monkeypatch, fer2013_csv, small_pictures):
    """A working folder with data/fer2013 and a small net in the table; `there(...)` runs the command in it.

    Pictures take long; they are plotted only with `plot`.
    """
    entry = Architecture("shufflenet_v2_x0_5", "IMAGENET1K_V1", 1024, "fc", HyperParameters(16, 1e-3, 1e-5))
    monkeypatch.setitem(ARCHITECTURES, "small", entry)
    monkeypatch.chdir(tmp_path)
    fer2013_csv(tmp_path / "data" / "fer2013")

    def run(*arguments: str, plot: bool = False) -> None:
        if not plot:
            monkeypatch.setattr(study_plots, "plot_study", lambda *args, **options: [])
        optuna_study.main(["--net_name", "small", *TINY, *arguments])

    return run


def tables_in(output):
    """The Markdown tables in a text: of each its rows by column."""
    tables, rows = [], []
    for line in [*output.splitlines(), ""]:
        if line.startswith("|"):
            rows.append([cell.strip() for cell in line.strip("|").split("|")])
        elif rows:
            tables.append([dict(zip(rows[0], row, strict=True)) for row in rows[2:]])
            rows = []
    return tables


def one_error(capsys, command, status=2):
    """The one line of error that a command ends with."""
    with pytest.raises(SystemExit) as ended:
        run_command(command)
    assert ended.value.code == status
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    return line


def test_a_study_leaves_its_pkl_pictures_tables_and_the_winners_command_and_is_resumed(there, capsys):
    there("--n_trials", "2", plot=True)
    assert len(pickle.loads(RESULTS.read_bytes()).trials) == 2
    there("--n_trials", "3")
    output = capsys.readouterr().out
    assert "2 complete; log in" in output and "3 complete; the best by validation accuracy" in output
    study = read_study(RESULTS)
    assert len(study.trials) == 3 and all(path.is_file() for path in PICTURES)
    assert (FOLDER / "optuna_study_small_E.db").is_file() and len(list(Path("logs").glob("*.log"))) == 2
    best, chosen = tables_in(output)[-2:]
    assert {int(row["trial"]) for row in best} == {0, 1, 2} and int(best[0]["trial"]) == study.best_trial.number
    assert best[0]["accuracy"] == f"{100 * study.best_value:.2f} %"
    (row,) = chosen
    assert row["net"] == "small" and row["optimizer"] == study.best_params["optimizer"]
    assert float(row["lr"]) == pytest.approx(study.best_params["lr"], rel=0.005)
    assert int(row["batch size"]) == study.best_params["batch_size"]
    assert list(row) == ["net", "lr", "optimizer", "weight decay", "scheduler", "batch size"]
    trials = csv.DictReader((FOLDER / "optuna_study_trials_small_E.csv").read_text().splitlines())
    for line, trial in zip(trials, study.trials, strict=True):
        assert (int(line["trial"]), line["state"]) == (trial.number, "complete")
        assert (float(line["accuracy"]), float(line["lr"])) == (trial.value, trial.params["lr"])
        assert float(line["seconds"]) == pytest.approx(trial.duration.total_seconds(), abs=0.06)

    command = output.strip().splitlines()[-1].split()
    assert command[:2] == ["python", "train_model.py"]
    by_command = train_model.parse_arguments(command[2:])
    by_study = train_model.parse_arguments(
        ["--net_name", "small", "--exp_name", "E", "--emotion_transform_prob", "0", "--study", str(RESULTS)]
    )
    for name, value in study.best_params.items():
        assert getattr(by_command, name) == getattr(by_study, name) == value
    assert (by_command.weights, by_command.image_size, by_command.emotion_transform_prob) == ("none", 32, 0)
    assert by_command.fine_tune is True and by_command.recipe == by_study.recipe == "published"
    given = train_model.parse_arguments([*command[2:], "--lr", "0.5", "--study", str(RESULTS)])
    assert (given.lr, given.optimizer) == (0.5, study.best_params["optimizer"])


def test_a_published_study_is_plotted_and_gives_its_values_to_training(there, tmp_path, capsys):
    pkl = tmp_path / "elsewhere" / "optuna_study_results_resnet18_Regular.pkl"
    pkl.parent.mkdir()
    shutil.copy(OPTUNA_3, pkl)
    optuna_study.main(["--plot_results", str(pkl)])
    output = capsys.readouterr().out
    names = ("param_importances", "optimization_history", "parallel_coordinate", "intermediate_values")
    assert all((FOLDER / f"{name}_resnet18_Regular.png").is_file() for name in names)
    assert (FOLDER / "optuna_study_trials_resnet18_Regular.csv").is_file() and len(list(pkl.parent.iterdir())) == 1
    assert tables_in(output)[-1][0]["optimizer"] == "adam"
    command = output.strip().splitlines()[-1].split()
    by_command = train_model.parse_arguments(command[2:])
    assert (by_command.net_name, by_command.exp_name, by_command.fine_tune) == ("resnet18", "Regular", True)
    flags = ["--net_name", "resnet18", "--exp_name", "E", "--emotion_transform_prob", "0", "--study", str(pkl)]
    by_study = train_model.parse_arguments(flags)
    for args in (by_command, by_study):
        values = (args.lr, args.weight_decay, args.batch_size, args.optimizer, args.scheduler)
        assert values == (0.009759237295714634, 7.042414660477117e-05, 64, "adam", "cosine")


def test_plots_are_made_again_without_torch_and_without_trials(there, tmp_path, capsys):
    there("--n_trials", "1")
    before = RESULTS.read_bytes()
    code = (
        "import sys, optuna_study; optuna_study.main(sys.argv[1:]);"
        "heavy = {'torch', 'torchvision', 'core_code.datasets.fer2013', 'core_code.training.loop'};"
        "assert not heavy & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "--plot_results", str(RESULTS)], capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(SCRIPT.parent)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert all(path.is_file() for path in PICTURES) and "train_model.py --net_name small" in done.stdout
    assert RESULTS.read_bytes() == before


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interruption_tells_what_is_kept_and_the_study_is_resumed(there, capsys, number, status):
    with pytest.raises(SystemExit) as ended, before_step(2, lambda: os.kill(os.getpid(), number)):
        run_command(lambda: there("--n_trials", "2"))
    assert ended.value.code == status
    message = capsys.readouterr().err
    assert "1 complete, 1 interrupted; all finished trials are kept in" in message and str(RESULTS) in message
    assert [trial.state.name for trial in read_study(RESULTS).trials] == ["COMPLETE", "FAIL"]
    there("--n_trials", "2")
    assert [trial.state.name for trial in read_study(RESULTS).trials] == ["COMPLETE", "FAIL", "COMPLETE"]


def test_a_study_of_which_no_trial_succeeds_ends_with_an_error(there, capsys):
    with weights_after_steps(float("nan")):
        message = one_error(capsys, lambda: there("--n_trials", "2"))
    assert "no trial is complete (2 failed)" in message
    assert [trial.state.name for trial in read_study(RESULTS).trials] == ["FAIL", "FAIL"]


def test_a_study_of_byol_names_the_command_of_byol(there, capsys):
    there("--byol", "True", "--augmentations_folder", "none", "--n_trials", "1", "--train_faces", "64")
    study = read_study(RESULTS)
    assert study.direction.name == "MINIMIZE" and study.trials[0].params["batch_size"] in (16, 32, 64)
    command = capsys.readouterr().out.strip().splitlines()[-1].split()
    assert command[:2] == ["python", "train_byol_model.py"]
    args = train_byol_model.parse_arguments(command[2:])
    assert args.fine_tune is True and args.lr == study.best_params["lr"] and str(args.augmentations_folder) == "none"
    flags = ["--net_name", "small", "--exp_name", "E", "--emotion_transform_prob", "0", "--study", str(RESULTS)]
    assert "a study of BYOL pre-training" in one_error(capsys, lambda: train_model.main(flags))
    assert "made with byol True, expected False" in one_error(capsys, lambda: there("--train_faces", "64"))


def test_workers_share_one_study(tmp_path, fer2013_csv):
    fer2013_csv(tmp_path / "data" / "fer2013", train=16, val=7, test=7)
    command = [sys.executable, str(SCRIPT), "--net_name", "resnet18", *TINY, "--workers", "2", "--n_trials", "3"]
    started = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    study_process, errors = started.pid, started.communicate()[1]
    assert started.returncode == 0, errors
    study = read_study(tmp_path / FOLDER / "optuna_study_results_resnet18_E.pkl")
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 3
    assert len({trial.params["lr"] for trial in study.trials}) == 3
    processes = {trial.user_attrs["process"] for trial in study.trials}
    assert processes and not any(process.endswith(f" {study_process}") for process in processes)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--data_root", "nowhere"], "nowhere"),
        (["--weights", "nowhere.pth"], "nowhere.pth: no such weights file"),
        (["--byol"], "create_augmentations.py"),
        (["--storage", "nonsense://x"], "this storage does not work"),
        (["--plot_results", "nowhere.pkl"], "nowhere.pkl: no such study"),
    ],
)
def test_what_is_missing_is_an_error_of_one_line_before_any_trial(there, capsys, flags, message):
    assert message in one_error(capsys, lambda: there(*flags))
    assert not RESULTS.exists() and not Path("logs").exists()


def test_a_bad_study_ends_training_with_one_line(there, capsys, tmp_path):
    flags = ["--net_name", "small", "--exp_name", "E", "--emotion_transform_prob", "0", "--study"]
    evil = tmp_path / "evil.pkl"
    evil.write_bytes(b"cos\nsystem\n(S'touch marker'\ntR.")
    assert "not a study of Optuna, or damaged" in one_error(capsys, lambda: train_model.main([*flags, str(evil)]))
    assert not Path("marker").exists()
    assert "no such study" in one_error(capsys, lambda: train_model.main([*flags, "nowhere.pkl"]))
    there("--n_trials", "1")
    flags[1] = "resnet18"
    message = one_error(capsys, lambda: train_model.main([*flags, str(RESULTS)]))
    assert "a study of small, expected one of resnet18" in message and not Path("checkpoints").exists()


def test_the_defaults_are_the_specified_ones():
    args = optuna_study.parse_arguments(["--net_name", "resnet18"])
    assert (args.exp_name, args.n_trials, args.timeout, args.epochs) == ("Regular", 30, 4800, 45)
    assert (args.train_faces, args.val_faces, args.byol, args.plot_results) == (3840, 1280, False, None)
    assert optuna_study.parse_arguments(["--net_name", "resnet18", "--byol", "True"]).n_trials == 20


@pytest.mark.parametrize("flags", [[], ["--net_name", "vgg"], ["--net_name", "small", "--n_trials", "0"]])
def test_flags_that_make_no_sense_are_argparse_errors(capsys, flags):
    with pytest.raises(SystemExit) as ended:
        optuna_study.main(flags)
    assert ended.value.code == 2 and "error: " in capsys.readouterr().err
