"""Damaged files given to the commands themselves, each a process of its own: status 2, and one line on stderr."""

import json
import os
import pickle
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from family import SENTINEL
from mutations import Calls
from torch_files import packed

ROOT = Path(__file__).resolve().parents[2]
MALICIOUS = pickle.dumps(Calls(os.system, f"touch {SENTINEL}"), 2)
FLIPPED = packed({"conv1.weight": torch.zeros(64, 3, 7, 7)}).replace(bytes(100), bytes(99) + b"\1", 1)
MEMO = b"\x80\x04Nr" + (1 << 27).to_bytes(4, "little") + b"."
LARGE_PIXEL = b"emotion,pixels,Usage\n3," + b"0 " * 2303 + b"0" * 20 + b"999,Training\n"
LARGE_EPOCH = b"net_name: a\nexp_name: b\nepoch " + b"9" * 5000 + b"/9  loss 1\n"
NOT_RESUMABLE = packed(
    {"net": {}, "epoch": 1, "optimizer": None, "loss": 1.0, "name": "resnet18", "experiment": "E", "scheduler": None,
     "seed": 1, "history": [], "settings": {}}
)  # fmt: skip

RUN = "--net_name resnet18 --exp_name E --emotion_transform_prob 0 --epochs 1 --image_size 32 --output_root out"
TRAIN = f"train_model.py {RUN} --device cpu"
LEARN = "-m EmotionGAN.learn --dataset sample --device cpu --image_size 16 --width 4 --blocks 1 --critic_layers 2"
LAST = "out/checkpoints/ckpt_resnet18_E_last_trained_epoch.pth"


@dataclass(frozen=True)
class Case:
    """A file `name` with this content, the command that reads it, what must be said of it, and how the names of files
    end that the command may leave: a run's lock and its log."""

    name: str
    content: bytes
    command: str
    said: str
    leaves: tuple[str, ...] = ()


CASES = {
    "a CSV": Case(
        "data/icml_face_data.csv", LARGE_PIXEL, f"{TRAIN} --weights none --data_root data", ", line 2: pixel 2304"
    ),
    "a folder of images": Case(
        "data/train/happy/a\nb.png", b"\x89PNG\r\n\x1a\n",
        f"{TRAIN} --weights none --dataset folder --data_root data", "not a readable image",
    ),
    "weights that call": Case(
        "weights.pth", MALICIOUS, f"{TRAIN} --weights weights.pth --dataset sample", "not a readable weights file"
    ),
    "weights with a wrong bit": Case(
        "weights.pth", FLIPPED, f"{TRAIN} --weights weights.pth --dataset sample", "not a readable weights file"
    ),
    "a checkpoint to go on from": Case(
        LAST, NOT_RESUMABLE, f"{TRAIN} --weights none --dataset sample --resume",
        "its optimizer is of type NoneType, expected dict", leaves=(".lock", ".log"),
    ),
    "a checkpoint to predict with": Case(
        "a.pth", MALICIOUS, "-m core_code.predict a.pth --checkpoint a.pth --face_detector none",
        "not a readable checkpoint",
    ),
    "a study that calls": Case(
        "study.pkl", MALICIOUS, "optuna_study.py --plot_results study.pkl", "not a study of Optuna"
    ),
    "a study that asks for memory": Case(
        "study.pkl", MEMO, "optuna_study.py --plot_results study.pkl", "not a study of Optuna"
    ),
    "a log": Case(
        "a.log", LARGE_EPOCH, "-m core_code.evaluate --from_log a.log --output_root out", ", line 3: expected"
    ),
    "a config that is nested": Case(
        "generator/config.json", b'{"a":' * 100_000,
        "-m EmotionGAN.figures --generator generator --dataset sample --output_root out", "cannot be read as JSON",
    ),
    "a config that lacks values": Case(
        "generator/config.json", json.dumps({"image_size": 10**30}).encode(),
        "create_augmentations.py --dataset sample --generator generator --dest_folder out",
        "the generator's config lacks",
    ),
    "a published generator": Case(
        "ganmut.ckpt", packed({"mu.weight": torch.zeros(7, 2)}, old=True),
        "create_augmentations.py --dataset sample --generator ganmut.ckpt --dest_folder out",
        "not a generator of this architecture",
    ),
    "a learning run": Case(
        "run/learning.pth", packed({"generator": 7, "step": 10**30}), f"{LEARN} --dest run",
        "holds a run of another generator or discriminator", leaves=(".lock",),
    ),
    "a photograph": Case(
        "photo.jpg", b"%!PS-Adobe-3.0 EPSF-3.0\n",
        "-m EmotionGAN.edit photo.jpg --emotion Happy --face_detector none", "not a readable picture",
    ),
}  # fmt: skip
QUICK = ("a CSV", "a study that calls")  # the others take a minute together


@pytest.mark.parametrize(
    "case", [pytest.param(CASES[name], id=name, marks=() if name in QUICK else pytest.mark.slow) for name in CASES]
)
def test_a_command_ends_with_status_2_and_one_line_that_names_the_file(case, tmp_path):
    path = tmp_path / case.name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(case.content)
    words = case.command.split()
    ended = subprocess.run(
        [sys.executable, *(words if words[0] == "-m" else [str(ROOT / words[0]), *words[1:]])], cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}, capture_output=True, text=True,
    )  # fmt: skip
    lines = [line for line in ended.stderr.strip().splitlines() if not line.startswith("warning: data: no face of")]
    assert len(lines) == 1 and ended.returncode == 2, ended.stderr
    assert lines[0].startswith("error: ") and case.said in lines[0]
    assert case.name.replace("\n", "\\n") in lines[0]
    left = [other for other in tmp_path.rglob("*") if other.is_file() and not other.name.endswith(case.leaves)]
    assert left == [path] and path.read_bytes() == case.content


def test_what_is_said_to_call_does_so_when_it_is_run(tmp_path, monkeypatch):
    """The test above proves nothing of it otherwise."""
    monkeypatch.chdir(tmp_path)
    pickle.loads(MALICIOUS)
    assert Path(SENTINEL).exists()
    assert FLIPPED.count(b"\1" + bytes(100)) == 1
