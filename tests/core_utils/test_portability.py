"""Where there is no fcntl, as on Windows, every module can be imported and files are written whole."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
WITHOUT_FCNTL = """
import importlib, pathlib, sys
sys.modules["fcntl"] = None
names = [
    ".".join(path.with_suffix("").parts).removesuffix(".__init__")
    for folder in ("core_code", "EmotionGAN")
    for path in sorted(pathlib.Path(folder).rglob("*.py"))
    if path.name != "__main__.py"
]
for name in [*names, "train_model", "train_byol_model", "create_augmentations", "optuna_study"]:
    importlib.import_module(name)
from core_code.core_utils.files import atomic_write, remove_stale_files
from core_code.core_utils.locks import exclusive_lock
folder = pathlib.Path(sys.argv[1])
(folder / ".old.12345678.part").write_bytes(b"half")
with exclusive_lock(folder):
    atomic_write(folder / "file", lambda file: file.write(b"whole"))
remove_stale_files(folder)
print(*sorted(path.name for path in folder.iterdir()), (folder / "file").read_text())
"""


def test_every_module_imports_and_files_are_written_without_fcntl(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_FCNTL, str(tmp_path)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [".lock", "file", "whole"]


def test_help_shows_how_a_command_was_started():
    for command in ("EmotionGAN.learn", "core_code.evaluate"):
        done = subprocess.run([sys.executable, "-m", command, "--help"], cwd=ROOT, capture_output=True, text=True)
        assert done.stdout.startswith(f"usage: python -m {command} ")
    done = subprocess.run([sys.executable, "train_model.py", "--help"], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.startswith("usage: train_model.py ") and "--accelerate" in done.stdout
