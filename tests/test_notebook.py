"""docs/quickstart.ipynb: it runs from top to bottom on the sample faces, and its outputs are kept small."""

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NOTEBOOK = ROOT / "docs" / "quickstart.ipynb"


def test_it_is_kept_with_its_outputs_and_without_paths_of_a_machine():
    text = NOTEBOOK.read_text(encoding="utf-8")
    cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
    assert len(cells) == 10 and all(cell["outputs"] for cell in cells)
    assert len(text) < 400_000 and "/home/" not in text and "/tmp/" not in text


@pytest.mark.slow
def test_it_runs(tmp_path, monkeypatch):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("onnxruntime")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert (tmp_path / "classifier.onnx").exists()
    assert (tmp_path / "checkpoints" / "ckpt_resnet18_augmented_best_validation.pth").exists()
