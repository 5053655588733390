"""Imports run one way: scripts -> loops -> datasets, models -> core_utils; EmotionGAN stands on core_utils alone."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = {
    "core_code/core_utils": ("core_code.core_utils",),
    "core_code/models": ("core_code.core_utils", "core_code.models"),
    "core_code/datasets": ("core_code.core_utils", "core_code.datasets", "EmotionGAN"),
    "core_code": ("core_code", "EmotionGAN"),
    "EmotionGAN": ("core_code.core_utils", "EmotionGAN"),
}


def imported_at_the_top(path: Path) -> set[str]:
    """Modules of this project that the file imports when it is loaded (a command's main may reach further)."""
    names = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module)
    scripts = {script.stem for script in ROOT.glob("*.py")}
    return {name for name in names if name.split(".")[0] in {"core_code", "EmotionGAN", *scripts}}


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_what_it_stands_on(room):
    files = sorted((ROOT / room).glob("*.py"))
    assert files
    for path in files:
        for name in imported_at_the_top(path):
            assert any(name == allowed or name.startswith(f"{allowed}.") for allowed in ROOMS[room]), (
                f"{path.relative_to(ROOT)} imports {name}"
            )


def test_four_scripts_are_the_doors():
    doors = {"create_augmentations.py", "optuna_study.py", "train_model.py", "train_byol_model.py"}
    assert {path.name for path in ROOT.glob("*.py")} == doors
