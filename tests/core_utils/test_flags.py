"""Numbers and paths that no command can mean are refused by the parser, in one line."""

import pytest

import create_augmentations
import optuna_study
import train_model
from core_code import evaluate, predict
from core_code.experiments import __main__ as experiments
from EmotionGAN.edit import __main__ as edit
from EmotionGAN.figures import __main__ as figures

TRAIN = ["--net_name", "resnet18", "--exp_name", "E", "--emotion_transform_prob", "0"]


@pytest.mark.parametrize(
    "parse, arguments, said",
    [
        (train_model.parse_arguments, [*TRAIN, "--seed", str(1 << 64)], "from 0 to 4294967295"),
        (train_model.parse_arguments, [*TRAIN, "--seed", "-1"], "from 0 to 4294967295"),
        (figures.parse_arguments, ["--seed", str(1 << 70)], "from 0 to 4294967295"),
        (experiments.parse_arguments, ["--seeds", "1", str(1 << 64)], "from 0 to 4294967295"),
        (train_model.parse_arguments, [*TRAIN, "--epochs", "9" * 30], "a whole number, 1 or more"),
        (evaluate.parse_arguments, ["--batch_size", "9" * 5000], "a whole number, 1 or more"),
        (train_model.parse_arguments, [*TRAIN, "--image_size", "4097"], "a whole number from 1 to 4096"),
        (evaluate.parse_arguments, ["--image_size", "100000"], "a whole number from 1 to 4096"),
        (predict.parse_arguments, ["a.png", "--image_size", "100000"], "a whole number from 1 to 4096"),
        (experiments.parse_arguments, ["--image_size", "100000"], "a whole number from 1 to 4096"),
        (experiments.parse_arguments, ["--byol_image_size", "100000"], "a whole number from 1 to 4096"),
        (edit.parse_arguments, ["a.png", "--emotion", "Sad", "--strength", "1e39"], "from 0 to 100"),
        (edit.parse_arguments, ["a.png", "--emotion", "Sad", "--strength", "nan"], "from 0 to 100"),
        (create_augmentations.main, ["--dest_folder", ""], "expected a path, found ''"),
        (optuna_study.parse_arguments, ["--net_name", "resnet18", "--output_root", ""], "expected a path"),
        (predict.parse_arguments, ["", "--checkpoint", "a"], "expected a path"),
    ],
)
def test_what_is_beyond_reason_is_refused(capsys, parse, arguments, said):
    with pytest.raises(SystemExit) as ended:
        parse(arguments)
    assert ended.value.code == 2 and said in capsys.readouterr().err.splitlines()[-1]
