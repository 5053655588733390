"""What a fresh clone holds: the folders that the commands read and write, with nothing in them."""

import subprocess
from pathlib import Path

import pytest
from PIL import Image
from small_faces import smooth_faces

from core_code import predict

ROOT = Path(__file__).parent.parent
FOLDERS = {"data": "README.md", "checkpoints": ".gitkeep", "plots_output": ".gitkeep", "logs": ".gitkeep"}


def git(*arguments: str) -> list[str]:
    """The lines of a git command's output; the test is skipped where the files lie outside of a checkout."""
    ended = subprocess.run(["git", "-C", ROOT, *arguments], capture_output=True, text=True)
    if ended.returncode == 128:
        pytest.skip("not a git checkout")
    return ended.stdout.splitlines()


def test_the_folders_of_data_and_results_are_there_and_empty():
    assert set(git("ls-files", "--", *FOLDERS)) == {f"{folder}/{kept}" for folder, kept in FOLDERS.items()}
    assert all(folder in (ROOT / "data" / "README.md").read_text() for folder in ("fer2013/", "expanded_fer_2013/"))


def test_what_the_commands_write_there_is_ignored():
    written = ["data/fer2013/icml_face_data.csv", "data/fer2013_augmentations/0/0_0.png", "logs/training_1.log",
               "checkpoints/ckpt_resnet18_Regular_best_validation.pth", "plots_output/results.csv"]  # fmt: skip
    assert git("check-ignore", *written) == written


def test_predict_answers_without_a_checkpoint(tmp_path, monkeypatch, capsys):
    shipped = "core_code/models/shipped"
    assert set(git("ls-files", "--", shipped)) == {f"{shipped}/classifier.pth", f"{shipped}/README.md"}
    monkeypatch.chdir(tmp_path)
    Image.fromarray(smooth_faces(1)[0]).save("face.png")
    predict.main(["face.png", "--face_detector", "none", "--device", "cpu"])
    assert "face.png" in capsys.readouterr().out
