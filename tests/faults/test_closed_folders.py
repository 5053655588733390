"""Folders that may not be entered and files that may not be read: one line that names them, status 2, nothing written.

The commands run in one process without root's right to enter any folder.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from processes import ROOT

from EmotionGAN.editor import DEFAULT_GENERATOR

SMALL = "--device cpu --precision fp32 --net_name resnet18 --exp_name E --image_size 32 --weights none --epochs 1"
TRAIN = f"train_model {SMALL} --emotion_transform_prob 0"
EDIT = "EmotionGAN.edit.__main__ ok.png --face_detector none --emotion Happy --device cpu"
PREDICT = "core_code.predict --face_detector none --device cpu"
GENERATE = "create_augmentations --dataset sample --max_faces 9 --device cpu"
CASES = {
    f"{TRAIN} --data_root shut": "shut/icml_face_data.csv: Permission denied",
    f"{TRAIN} --data_root shut --dataset folder": "shut: Permission denied",
    f"{TRAIN} --data_root listed --dataset folder": "listed/a.png: Permission denied",
    f"{TRAIN} --data_root open --dataset folder": "open/train/sad/deep: Permission denied",
    "core_code.datasets.__main__ --data_root shut": "shut/icml_face_data.csv: Permission denied",
    EDIT.replace("ok.png", "shut/a.png"): "shut/a.png: Permission denied",
    EDIT.replace("ok.png", "unread.png"): "unread.png: Permission denied",
    f"{EDIT} --output shut/b.png": "shut/b.png: Permission denied",
    f"{EDIT} --generator shut": "shut/config.json: cannot be read (Permission denied)",
    f"{EDIT} --generator generator": "generator/generator.pth: cannot be read (Permission denied)",
    f"{PREDICT} shut": "shut: Permission denied",
    f"{PREDICT} listed": "listed/a.png: Permission denied",
    f"{PREDICT} unread.png": "unread.png: Permission denied",
    f"{PREDICT} ok.png --checkpoint shut/a.pth": "shut/a.pth: Permission denied",
    f"{PREDICT} ok.png --checkpoint unread.pth": "unread.pth: cannot be read (Permission denied)",
    f"{PREDICT} ok.png --json shut/a.json": "shut/a.json: Permission denied",
}  # fmt: skip
SLOW = {  # which draw the sample faces first
    f"{TRAIN} --dataset sample --output_root shut": "shut/checkpoints: the folder cannot be made (Permission denied)",
    f"{GENERATE} --dest_folder shut": "shut/manifest.json: Permission denied",
    f"{GENERATE} --generator shut": "shut/config.json: cannot be read (Permission denied)",
    f"{TRAIN.replace('--weights none', '--weights shut/a.pth')} --dataset sample": "shut/a.pth: Permission denied",
}  # fmt: skip
RUNNER = """
import contextlib, importlib, io, json, sys
from core_code.core_utils.errors import run_command
for command in json.load(sys.stdin):
    module, *sys.argv[1:] = command.split()
    said = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    status = 0
    with contextlib.redirect_stderr(said):
        try:
            run_command(importlib.import_module(module).main)
        except SystemExit as ended:
            status = ended.code
    said.flush()
    print(json.dumps([status, said.buffer.getvalue().decode()]), flush=True)
"""


def without_roots_rights() -> None:
    """Linux's CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH are not had by what is started from here."""
    import ctypes

    for capability in (1, 2):
        ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP


@pytest.fixture
def closed(tmp_path) -> Path:
    """Folders and files of which some may not be entered or read."""
    picture = Image.new("L", (48, 48), 99)
    for name in ("ok.png", "unread.png", "shut/a.png", "listed/train/happy/a.png", "listed/a.png",
                 "open/train/sad/a.png", "open/train/sad/deep/a.png", "open/test/sad/a.png"):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        picture.save(tmp_path / name)
    shutil.copytree(DEFAULT_GENERATOR, tmp_path / "generator")
    (tmp_path / "unread.pth").write_bytes(b"x")
    modes = {"shut": 0, "listed": 0o444, "open/train/sad/deep": 0, "unread.png": 0, "unread.pth": 0,
             "generator/generator.pth": 0}  # fmt: skip
    for name, mode in modes.items():
        (tmp_path / name).chmod(mode)
    yield tmp_path
    for name in modes:
        (tmp_path / name).chmod(0o700)


@pytest.mark.skipif(sys.platform != "linux", reason="root's rights are given up as Linux does")
@pytest.mark.parametrize("cases", [CASES, pytest.param(SLOW, marks=pytest.mark.slow)], ids=["quick", "slow"])
def test_what_may_not_be_entered_is_named_in_one_line(cases, closed):
    before = {path for path in closed.rglob("*")}
    ended = subprocess.run(
        [sys.executable, "-c", RUNNER], input=json.dumps(list(cases)), text=True, cwd=closed, capture_output=True,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        preexec_fn=without_roots_rights if os.getuid() == 0 else None,
    )  # fmt: skip
    answers = [json.loads(line) for line in ended.stdout.splitlines() if line.startswith("[")]
    assert len(answers) == len(cases), ended.stderr
    for (command, said), (status, error) in zip(cases.items(), answers, strict=True):
        errors = [line for line in error.splitlines() if "passed over" not in line]
        assert (status, errors) == (2, [f"error: {said}"]), command
    assert {path for path in closed.rglob("*")} == before
