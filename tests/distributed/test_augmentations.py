"""create_augmentations.py as several processes: the very files that one makes, and one manifest."""

import json
import signal
from pathlib import Path

import pytest
import torch

from core_code.core_utils.locks import exclusive_lock
from EmotionGAN.editor import save_generator
from EmotionGAN.networks.config import GeneratorConfig
from EmotionGAN.networks.generator import build_generator

TWO, FOUR = pytest.param(2), pytest.param(4, marks=pytest.mark.slow)
WAYS = {
    "augmentations": ["--num_augments", "3"],
    "expansion": ["--expand_dataset", "True"],
    "shards": ["--num_augments", "3", "--format", "shards"],
}
# 30 faces in batches of 8: twelve chunks of the plan (augmentations), the last of them not whole
COMMON = ["--dataset", "sample", "--max_faces", "30", "--generator", "tiny", "--batch_size", "8", "--precision", "fp32",
          "--device", "cpu"]  # fmt: skip


@pytest.fixture
def make(job, tmp_path, monkeypatch):
    """`make(processes, way)` runs the command in tmp_path, into the folder `made`; returns how it ended."""
    torch.manual_seed(0)
    config = GeneratorConfig(image_size=16, colours="grey", width=4, blocks=1, framing="fer2013")
    save_generator(tmp_path / "tiny", build_generator(config))

    def run(processes: int, way: str, *flags: str, fault: dict | None = None):
        return job(processes, "create_augmentations", *COMMON, *WAYS[way], "--dest_folder", "made", *flags, fault=fault)

    return run


def taken(folder: Path) -> dict[str, bytes]:
    """Every file below the folder but locks; the folder is empty afterwards."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    files = {str(path.relative_to(folder)): path.read_bytes() for path in paths if path.name != ".lock"}
    for path in paths:
        path.unlink()
    return files


@pytest.mark.parametrize("processes", [TWO, FOUR])
@pytest.mark.parametrize("way", WAYS)
def test_several_processes_make_the_files_of_one(make, tmp_path, processes, way):
    assert make(1, way).went_well
    alone = taken(tmp_path / "made")
    assert json.loads(alone["manifest.json"])["complete"] is True and len(alone) > (1 if way == "shards" else 90)
    ended = make(processes, way)
    assert ended.went_well, ended.err
    assert taken(tmp_path / "made") == alone
    assert "images in made" in ended.out[0] and not any(ended.out[1:])


@pytest.mark.parametrize("way", ["augmentations", "expansion"])
def test_a_killed_process_ends_the_job_and_any_number_goes_on_to_the_same_files(make, tmp_path, way):
    make(1, way)
    alone = taken(tmp_path / "made")
    ended = make(2, way, fault={"rank": 1, "step": 3, "what": "killed", "of": "images"})
    assert ended.statuses[1] == -signal.SIGKILL and ended.statuses[0] not in (0, None)
    manifest = json.loads((tmp_path / "made" / "manifest.json").read_text())
    assert manifest["complete"] is False
    partly = {str(path.relative_to(tmp_path / "made")) for path in (tmp_path / "made").glob("*/*.png")}
    assert 0 < len(partly) < len(alone) - 1
    assert make(3, way).went_well
    assert taken(tmp_path / "made") == alone


def test_one_process_looks_for_faces_and_the_others_take_what_it_has_found(make, tmp_path):
    pytest.importorskip("dlib")
    config = GeneratorConfig(image_size=16, colours="grey", width=4, blocks=1, framing="dlib")
    save_generator(tmp_path / "tiny", build_generator(config))
    assert make(1, "augmentations").went_well
    alone = taken(tmp_path / "made")
    ended = make(2, "augmentations", fault={"rank": 1, "step": 1, "what": "bad input", "of": "detection"})
    assert ended.went_well, ended.err
    assert taken(tmp_path / "made") == alone and "face_boxes.cache" in alone


def test_an_error_of_one_process_is_one_line_and_ends_the_job(make, tmp_path):
    ended = make(2, "augmentations", fault={"rank": 1, "step": 2, "what": "bad input", "of": "images"})
    assert all(ended.statuses)
    assert sum(line.startswith("error:") for message in ended.err for line in message.splitlines()) == 1
    assert json.loads((tmp_path / "made" / "manifest.json").read_text())["complete"] is False


def test_another_job_is_refused_while_a_folder_is_written(make, tmp_path):
    with exclusive_lock(tmp_path / "made"):
        ended = make(2, "augmentations")
    assert all(ended.statuses)
    assert sum("another run is writing here" in message for message in ended.err) == 1
    assert not list((tmp_path / "made").glob("*/*.png"))


def test_every_process_checks_that_the_images_there_are_of_its_plan(make, tmp_path):
    assert make(2, "augmentations").went_well
    ended = make(2, "augmentations", "--seed", "2")
    assert all(ended.statuses) and sum("--seed 1, this run has 2" in message for message in ended.err) == 1
