"""What run_command keeps away from a command."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

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
