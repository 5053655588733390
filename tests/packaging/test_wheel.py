"""The wheel in an environment of its own: console commands, package data, extras."""

import json
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
from importlib.util import find_spec
from pathlib import Path

import pytest

from core_code.core_utils.console import COMMANDS

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_each_console_command_is_a_module_with_a_command():
    assert PROJECT["project"]["scripts"] == dict.fromkeys(COMMANDS, "core_code.core_utils.console:main")
    for module in COMMANDS.values():
        spec = find_spec(f"{module}.__main__") if (ROOT / module.replace(".", "/")).is_dir() else find_spec(module)
        assert 'if __name__ == "__main__":' in Path(spec.origin).read_text(encoding="utf-8")


def test_the_extras_are_files_that_are_there():
    extras = PROJECT["tool"]["setuptools"]["dynamic"]["optional-dependencies"]
    assert {"faces", "onnx", "parquet", "tensorboard", "video"} <= set(extras)
    assert all((ROOT / name).is_file() for extra in extras.values() for name in extra["file"])


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """The bin folder of a new environment with the wheel, which borrows the packages that it needs."""
    folder = tmp_path_factory.mktemp("wheel")
    kept = shutil.ignore_patterns(".*", "build", "*.egg-info", "tests", "docs", "data", "checkpoints", "plots_output",
                                  "logs", "runs", "*_output", "__pycache__")  # fmt: skip
    shutil.copytree(ROOT, folder / "source", ignore=kept)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, folder / "source"],
                   check=True)  # fmt: skip
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "env", symlinks=True)
    python = folder / "env" / "bin" / "python"
    subprocess.run([*pip, "--python", python, "install", "--no-deps", wheel], check=True)
    (site,) = (folder / "env" / "lib").glob("python*/site-packages")
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    shutil.rmtree(folder / "source")
    return python.parent


@pytest.mark.slow
def test_the_installed_package_edits_a_face_and_its_commands_answer(installed, tmp_path):
    code = (
        "import json, EmotionGAN, core_code; from EmotionGAN import Editor;"
        "from core_code.datasets.fer2013 import FER2013;"
        "faces = FER2013(split='val', dataset='sample').faces[:2];"
        "edited = Editor.load(device='cpu').edit_pictures(faces, 'Happy');"
        "print(json.dumps([EmotionGAN.__file__, core_code.__file__, list(edited.shape)]))"
    )
    ended = subprocess.run([installed / "python", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    *files, shape = json.loads(ended.stdout)
    assert shape == [2, 48, 48] and all(Path(file).is_relative_to(installed.parent) for file in files)
    for name, module in COMMANDS.items():
        ended = subprocess.run([installed / name, "--help"], cwd=tmp_path, capture_output=True, text=True)
        assert ended.returncode == 0 and ended.stdout.startswith(f"usage: python -m {module}"), name
    ended = subprocess.run([installed / "emotiongan-datasets"], cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 2 and ended.stderr.startswith("error: data/fer2013/icml_face_data.csv: no such file")
