"""What run_command keeps away from a command."""

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from core_code.core_utils.errors import InputError, run_command
from core_code.core_utils.signals import Terminated

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("backend", ["nonsense", "module://matplotlib_inline.backend_inline", "TkAgg"])
def test_pictures_do_not_depend_on_the_backend_of_the_environment(tmp_path, backend):
    variables = {**os.environ, "MPLBACKEND": backend}
    command = [sys.executable, "optuna_study.py", "--plot_results", "tests/search/optuna_3_study.pkl"]
    renamed = tmp_path / "optuna_study_results_resnet18_Regular.pkl"
    renamed.write_bytes((ROOT / command[-1]).read_bytes())
    command[-1] = str(renamed)
    done = subprocess.run(
        [*command, "--output_root", str(tmp_path)], cwd=ROOT, env=variables, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.rglob("optimization_history_*.png"))


ASKING = {
    "torch": lambda: torch.empty(1 << 50),
    "numpy": lambda: np.empty(1 << 50),
    "Python": lambda: bytes(1 << 50),
    "a GPU": lambda: raise_(torch.OutOfMemoryError("CUDA out of memory. Tried\nto allocate")),
}


@pytest.mark.parametrize("command", [["-m", "core_code.predict", "a.jpg"], ["create_augmentations.py"]])
def test_a_python_without_the_packages_is_one_line(command):
    ended = subprocess.run([sys.executable, "-S", *command], cwd=ROOT, capture_output=True, text=True)
    (line,) = ended.stderr.splitlines()
    wanted = (
        rf"error: {re.escape(sys.executable)} lacks the package (torch|numpy|pandas): source \.venv/bin/activate, .*"
    )
    assert ended.returncode == 2 and re.fullmatch(wanted, line)


def test_a_missing_module_of_the_program_itself_is_a_fault_and_keeps_its_traceback():
    with pytest.raises(ModuleNotFoundError, match="core_code"):
        run_command(lambda: importlib.import_module("core_code.nothing"))


@pytest.mark.parametrize("ask", ASKING.values(), ids=ASKING)
def test_no_memory_is_one_line(capsys, ask):
    with pytest.raises(SystemExit) as ended:
        run_command(ask)
    (line,) = capsys.readouterr().err.splitlines()
    assert ended.value.code == 2 and re.match(r"error: the memory is used up \(.*; take a smaller --batch_size", line)


def test_other_errors_of_the_program_stay_tracebacks():
    with pytest.raises(RuntimeError, match="a defect"):
        run_command(lambda: raise_(RuntimeError("a defect")))


def raise_(error):
    raise error


def test_commands_without_docstrings():
    """As PYTHONOPTIMIZE=2 leaves them."""
    program = """
import importlib, sys
for name in ("core_code.evaluate", "core_code.soft_labels", "core_code.experiments.__main__", "train_model",
             "optuna_study", "train_byol_model", "create_augmentations", "core_code.predict", "core_code.export",
             "EmotionGAN.learn.__main__", "EmotionGAN.measure.__main__", "EmotionGAN.figures.__main__"):
    try:
        getattr(importlib.import_module(name), "parse_arguments", print)(["--help"])
    except SystemExit as ended:
        if ended.code:
            sys.exit(name)
"""
    done = subprocess.run([sys.executable, "-B", "-OO", "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("--help") >= 12


@pytest.mark.parametrize(("interrupt", "status"), [(Terminated, 143), (KeyboardInterrupt, 130)])
def test_an_interruption_while_the_error_is_printed_has_its_status(interrupt, status):
    class Interrupting(InputError):
        def __str__(self) -> str:
            raise interrupt

    def main() -> None:
        raise Interrupting("too late")

    with pytest.raises(SystemExit) as end:
        run_command(main)
    assert end.value.code == status
