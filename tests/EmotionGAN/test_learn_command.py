"""python -m EmotionGAN.learn: the files that it writes, the faces that it is trained on, and its errors."""

import json
import os
import signal

import numpy as np
import pytest
import torch
from PIL import Image

from core_code.core_utils.errors import InputError
from EmotionGAN.editor import Editor
from EmotionGAN.learn.__main__ import main, parse_arguments

TINY = [
    "--image_size", "16", "--width", "4", "--blocks", "1", "--discriminator_layers", "2", "--guide_width", "2",
    "--discriminator_width", "4", "--discriminator_steps", "1", "--steps", "3", "--every", "2", "--batch_size", "4",
    "--discriminator_batch_size", "4", "--device", "cpu",
]  # fmt: skip


def learn(data_root, dest, *more):
    main([*TINY, "--data_root", str(data_root), "--dest", str(dest), *more])


def weights(dest):
    return torch.load(dest / "generator" / "generator.pth", weights_only=True)


def rewrite(folder, usage, change):
    """The same CSV with the rows of one usage changed."""
    path = folder / "icml_face_data.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(change(line) if f",{usage}," in line else line for line in lines) + "\n")


@pytest.mark.parametrize("parametrisation", ["gaussian", "linear"])
def test_a_run_leaves_a_generator_that_edits_and_sheets(tmp_path, fer2013_csv, parametrisation):
    root = fer2013_csv(tmp_path / "data")
    learn(root, tmp_path / "run", "--parametrisation", parametrisation)
    editor = Editor.load(tmp_path / "run" / "generator", torch.device("cpu"))
    assert editor.edit(torch.zeros(2, 48, 48, dtype=torch.uint8), torch.zeros(2, 2)).shape == (2, 48, 48)
    assert editor.generator.config.parametrisation == parametrisation
    sheets = sorted((tmp_path / "run" / "sheets").iterdir())
    assert [sheet.name for sheet in sheets] == ["step_000002.png", "step_000004.png"]
    assert np.asarray(Image.open(sheets[0])).std() > 0
    lines = [json.loads(line) for line in (tmp_path / "run" / "learning.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4]
    assert {"discriminator", "generator", "cycle", "agreement", "centres"} <= lines[1].keys()


def test_a_finished_run_started_again_with_more_steps_goes_on(tmp_path, fer2013_csv, capsys):
    root = fer2013_csv(tmp_path / "data")
    learn(root, tmp_path / "short")
    learn(root, tmp_path / "short", "--steps", "5")
    assert "going on from step 4" in capsys.readouterr().out
    learn(root, tmp_path / "long", "--steps", "5")
    for name, tensor in weights(tmp_path / "long").items():
        assert torch.equal(tensor, weights(tmp_path / "short")[name])


def test_a_run_goes_on_under_the_flags_of_an_earlier_version(tmp_path, fer2013_csv):
    root = fer2013_csv(tmp_path / "data")
    now = [*TINY, "--discriminator_lr", "2e-4", "--ema_decay", "0.9", "--generator_every", "2"]
    then = " ".join(now).replace("discriminator_lr", "critic_rate").replace("discriminator", "critic")
    then = then.replace("ema_decay", "average").replace("generator_every", "n_critic").split()
    for arguments, dest in ((now, "run"), ([*then, "--steps", "5"], "run"), ([*now, "--steps", "5"], "other")):
        main([*arguments, "--data_root", str(root), "--dest", str(tmp_path / dest)])
    for name, tensor in weights(tmp_path / "other").items():
        assert torch.equal(tensor, weights(tmp_path / "run")[name])
    assert len((tmp_path / "run" / "learning.jsonl").read_text().splitlines()) == 3


@pytest.mark.parametrize(
    ("flag", "value", "found"),
    [("seed", "7", "1, not 7"), ("generator_lr", "1", "0.0002, not 1.0"), ("lambda_cycle", "0", "10.0, not 0.0"),
     ("batch_size", "5", "4, not 5"), ("paint_gain", "2", "1.0, not 2.0"), ("discriminator_steps", "3", "1, not 3")],
)  # fmt: skip
def test_a_run_is_not_resumed_with_other_settings(tmp_path, fer2013_csv, flag, value, found):
    root, dest = fer2013_csv(tmp_path / "data"), tmp_path / "run"
    learn(root, dest)
    before = weights(dest)
    with pytest.raises(InputError, match=rf"learning\.pth: holds a run with {flag} {found}; choose another --dest"):
        learn(root, dest, f"--{flag}", value, "--steps", "9")
    for name, tensor in weights(dest).items():
        assert torch.equal(tensor, before[name])


def test_a_run_is_not_resumed_with_other_faces(tmp_path, fer2013_csv):
    learn(fer2013_csv(tmp_path / "data"), tmp_path / "run")
    with pytest.raises(InputError, match=r"learning\.pth: holds a run of other faces; choose another --dest"):
        learn(fer2013_csv(tmp_path / "others", seed=2), tmp_path / "run", "--steps", "5")


def test_val_and_test_faces_teach_nothing(tmp_path, fer2013_csv):
    learn(fer2013_csv(tmp_path / "data"), tmp_path / "clean")
    poisoned = fer2013_csv(tmp_path / "poisoned")
    for usage in ("PublicTest", "PrivateTest"):
        rewrite(poisoned, usage, lambda line: f"0,{line.split(',')[1]}," + " ".join(["255"] * 2304))
    learn(poisoned, tmp_path / "run")
    changed = fer2013_csv(tmp_path / "changed")
    rewrite(changed, "Training", lambda line: f"0,{line.split(',')[1]}," + " ".join(["255"] * 2304))
    learn(changed, tmp_path / "other")
    clean, same, other = (weights(tmp_path / name) for name in ("clean", "run", "other"))
    assert all(torch.equal(clean[name], same[name]) for name in clean)
    assert not all(torch.equal(clean[name], other[name]) for name in clean)


def test_a_size_that_the_layers_cannot_halve_is_an_error(tmp_path, fer2013_csv):
    with pytest.raises(InputError, match="image_size is 20, expected a multiple of 16"):
        learn(fer2013_csv(tmp_path / "data"), tmp_path / "run", "--image_size", "20")


@pytest.mark.parametrize(
    "flags, said",
    [
        ("--steps -3", "a whole number, 0 or more"),
        ("--critic_steps -1", "a whole number, 0 or more"),
        ("--n_critic 0", "a whole number, 1 or more"),
        ("--r1_every 0", "a whole number, 1 or more"),
        ("--discriminator_layers 0", "a whole number, 1 or more"),
        ("--guide_width 100000", "a whole number from 0 to 512"),
        ("--generator_lr nan", "a number, 0 or more"),
        ("--guides_lr inf", "a number, 0 or more"),
        ("--lambda_cycle -1", "a number, 0 or more"),
        ("--share_own 1.5", "a number from 0 to 1"),
        ("--ema_decay 1", "a number of 0 or more and below 1"),
    ],
)
def test_settings_that_no_run_can_have(flags, said, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        parse_arguments([*TINY, "--dest", str(tmp_path / "run"), *flags.split()])
    assert ended.value.code == 2 and said in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    "flags, said",
    [
        ("--steps 0 --discriminator_steps 0", "no step is left to be taken"),
        ("--discriminator_layers 5", "the discriminator's flags: 5 layers do not fit width and image_size"),
        ("--discriminator_layers 60", "the discriminator's flags: layers is 60, expected a whole number from 1 to 8"),
        ("--discriminator_width 513", "the discriminator's flags: width is 513, expected a whole number from 1 to 512"),
    ],
)
def test_settings_that_do_not_fit_together(flags, said, tmp_path):
    with pytest.raises(InputError, match=said):
        main([*TINY, "--dataset", "sample", "--dest", str(tmp_path / "run"), *flags.split()])
    assert not (tmp_path / "run").exists()


def test_a_damaged_checkpoint_is_an_error_naming_it(tmp_path, fer2013_csv):
    root = fer2013_csv(tmp_path / "data")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "learning.pth").write_bytes(b"half a file")
    with pytest.raises(InputError, match=r"learning\.pth"):
        learn(root, tmp_path / "run")


def test_terminated_it_prints_how_to_go_on_and_ends_with_143(tmp_path, fer2013_csv, monkeypatch, capsys):
    def terminate(*_arguments, **_more):
        os.kill(os.getpid(), signal.SIGTERM)

    root = fer2013_csv(tmp_path / "data")
    monkeypatch.setattr("EmotionGAN.learn.run.write_sample_sheet", terminate)
    with pytest.raises(SystemExit) as ended:
        learn(root, tmp_path / "run")
    assert ended.value.code == 143
    assert "start the same command again to go on" in capsys.readouterr().err
    monkeypatch.undo()
    learn(root, tmp_path / "run")
    learn(root, tmp_path / "uninterrupted")
    for name, tensor in weights(tmp_path / "uninterrupted").items():
        assert torch.equal(tensor, weights(tmp_path / "run")[name])


def test_a_new_run_starts_from_a_generators_weights(tmp_path, fer2013_csv):
    root = fer2013_csv(tmp_path / "data")
    learn(root, tmp_path / "first")
    learn(root, tmp_path / "second", "--start_from", str(tmp_path / "first" / "generator"), "--steps", "1",
          "--generator_lr", "0", "--discriminator_lr", "0")  # fmt: skip
    first, second = weights(tmp_path / "first"), weights(tmp_path / "second")
    assert all(torch.equal(first[name], second[name]) for name in first)
    with pytest.raises(InputError, match=r"generator\.pth: not the generator that the flags describe"):
        learn(root, tmp_path / "third", "--start_from", str(tmp_path / "first" / "generator"), "--width", "8")


def test_a_generator_learns_with_its_paint_smoothed_and_strengthened(tmp_path, fer2013_csv):
    root = fer2013_csv(tmp_path / "data")
    learn(root, tmp_path / "sharp")
    learn(root, tmp_path / "smooth", "--paint_blur", "0.6", "--paint_gain", "1.5")
    config = json.loads((tmp_path / "smooth" / "generator" / "config.json").read_text())
    assert (config["paint_blur"], config["paint_gain"]) == (0.6, 1.5)
    sharp, smooth = weights(tmp_path / "sharp"), weights(tmp_path / "smooth")
    assert any(not torch.equal(sharp[name], smooth[name]) for name in sharp), "learned without it"
    with pytest.raises(InputError, match=r"the flags: paint_gain is 5\.0, expected a number from 0 to 4"):
        learn(root, tmp_path / "loud", "--paint_gain", "5")


def test_it_stops_in_time_and_the_same_command_goes_on(tmp_path, fer2013_csv, capsys):
    root = fer2013_csv(tmp_path / "data")
    learn(root, tmp_path / "run", "--minutes", "0")
    learn(root, tmp_path / "run")
    assert "going on from step 1" in capsys.readouterr().out
    learn(root, tmp_path / "unbroken")
    for name, tensor in weights(tmp_path / "unbroken").items():
        assert torch.equal(tensor, weights(tmp_path / "run")[name])


def test_the_published_config_is_ganmuts():
    args = parse_arguments(["--dest", "run", "--config", "ganmut"])
    assert (args.image_size, args.width, args.blocks, args.output, args.codes) == (128, 64, 6, "plain", "maps")
    assert (args.batch_size, args.generator_every, args.generator_lr, args.discriminator_lr) == (16, 5, 1e-4, 1e-4)
    assert (args.lambda_cycle, args.lambda_centres, args.neighbourhood, args.guide_width) == (10, 0.5, 0, 0)
    assert parse_arguments(["--dest", "run", "--config", "ganmut", "--batch_size", "4"]).batch_size == 4
    assert parse_arguments(["--dest", "run"]).output == "warp"


@pytest.mark.parametrize("minutes", ["-1", "nan"])
def test_less_than_no_time_is_refused_in_one_line(minutes, capsys):
    with pytest.raises(SystemExit) as ended:
        parse_arguments(["--dest", "run", "--minutes", minutes])
    assert ended.value.code == 2 and "expected 0 or more" in capsys.readouterr().err
