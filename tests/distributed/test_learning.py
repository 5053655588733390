"""python -m EmotionGAN.learn in several processes: the same gradients, weights, log and files as in one."""

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import torch

from core_code.core_utils.locks import exclusive_lock
from EmotionGAN.learn.__main__ import main

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

# Faces that no two or three processes can share evenly. Of seven, two are edited at a second code and two at their own.
TINY = ["--dataset", "sample", "--max_faces", "60", "--device", "cpu", "--precision", "fp32", "--image_size", "16",
        "--width", "4", "--blocks", "1", "--discriminator_layers", "2", "--discriminator_width", "4",
        "--batch_size", "7", "--discriminator_batch_size", "9", "--r1_every", "2", "--guide_width", "2",
        "--seed", "2"]  # fmt: skip
LINEAR = ["--parametrisation", "linear", "--output", "plain", "--codes", "maps"]
FIRST_STAGE = ["--discriminator_steps", "1", "--steps", "0"]
SECOND_STAGE = ["--discriminator_steps", "0", "--steps", "1"]
RUN = ["--discriminator_steps", "4", "--steps", "6", "--every", "5", "--generator_every", "2"]
FOUR = pytest.param(4, marks=pytest.mark.slow)

# Floats are added in another order. Gradients, relative to the largest of a tensor: measured 5e-6 apart. How far apart
# weights are, relative to how far they have come: measured 1e-5.
GRADIENTS_WITHIN, WEIGHTS_WITHIN = 2e-5, 1e-4
# The covariances start isotropic, and turning an isotropic one has no effect: that gradient is rounding, which Adam
# makes as large as any other. (So it is with seed 1 for one weight of the generator's last layer.)
NO_GRADIENT, ANGLES = 1e-7, "covariance_angles.weight"


@pytest.fixture
def learn(job):
    """`learn(processes, dest, ...)` learns into a folder and returns how the job ended."""

    def run(processes: int, dest: str, *flags: str, fault: dict | None = None):
        fault = fault and {"of": "learning", **fault}
        return job(processes, "EmotionGAN.learn.__main__", *TINY, "--dest", dest, *flags, fault=fault)

    return run


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """`alone(...)` learns in this process; returns the folder, which tests share."""

    @cache
    def run(*flags: str) -> Path:
        folder = tmp_path_factory.mktemp("alone") / "run"
        main([*TINY, "--dest", str(folder), *flags])
        return folder

    return run


def checkpoint(folder: Path) -> dict:
    return torch.load(folder / "learning.pth", weights_only=True)


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def errors_of(ended) -> list[str]:
    lines = [line for text in ended.err for line in text.splitlines()]
    return [line for line in lines if line.startswith(("error:", "Traceback"))]


def assert_same_gradients(one: dict, other: dict) -> None:
    """After one step of Adam, whose first moment then is the gradient but for a factor."""
    compared = 0
    for adam in ("discriminator_adam", "generator_adam"):
        assert one[adam]["state"].keys() == other[adam]["state"].keys()
        for number, state in one[adam]["state"].items():
            gradient, found = state["exp_avg"], other[adam]["state"][number]["exp_avg"]
            largest, difference = gradient.abs().max().item(), (found - gradient).abs().max().item()
            assert difference <= max(GRADIENTS_WITHIN * largest, NO_GRADIENT), f"{adam}, parameter {number}"
            compared += largest > NO_GRADIENT
    assert compared >= 5


def assert_same_run(one: Path, other: Path, start: Path) -> None:
    """The same step, the same weights, the same figures in the log, files of the same names."""
    expected, found, first = (checkpoint(folder) for folder in (one, other, start))
    assert found["step"] == expected["step"]
    for network in ("discriminator", "generator", "ema"):
        ends, other_ends, starts = (
            torch.cat([tensor.flatten() for name, tensor in state[network].items() if name != ANGLES])
            for state in (expected, found, first)
        )
        apart, way = beyond_last_bit(other_ends - ends, ends).norm().item(), (ends - starts).norm().item()
        assert apart <= WEIGHTS_WITHIN * way, f"{network}: {apart} apart after a way of {way}"
    lines = [[json.loads(line) for line in (folder / "learning.jsonl").read_text().splitlines()]
             for folder in (one, other)]  # fmt: skip
    for figures, found_figures in zip(*lines, strict=True):
        assert found_figures == pytest.approx(figures, abs=5e-4)
    assert files_in(one) == files_in(other)


def beyond_last_bit(difference: torch.Tensor, ends: torch.Tensor) -> torch.Tensor:
    """How much larger differences are than the step from each of `ends` to the next float32.

    The EMA has changed so little that one weight rounded up and not down would count as much as all the rest.
    """
    steps = torch.nextafter(ends.abs(), torch.tensor(torch.inf)) - ends.abs()
    return (difference.abs() - steps).clamp(min=0)


@pytest.mark.parametrize(
    ("processes", "flags"),
    [
        (2, FIRST_STAGE),
        (2, SECOND_STAGE),  # seven faces cannot be shared evenly
        (
            3,
            [*SECOND_STAGE, "--output", "plain", "--batch_size", "4"],
        ),  # one of three has the only face with a second code
        (2, [*SECOND_STAGE, *LINEAR, "--batch_size", "3"]),  # one face is edited at its own code
        pytest.param(
            4, [*SECOND_STAGE, "--batch_size", "4"], marks=pytest.mark.slow
        ),  # only the last has a face at its own code
    ],
)
def test_several_processes_take_the_step_of_one(learn, alone, tmp_path, processes, flags):
    ended = learn(processes, "together", *flags)
    assert ended.went_well, ended.err
    assert_same_gradients(checkpoint(alone(*flags)), checkpoint(tmp_path / "together"))


def test_processes_whose_clocks_differ_stop_at_the_same_step(learn, tmp_path):
    fault = {"rank": 1, "step": 1, "what": "clock an hour slow"}
    ended = learn(2, "together", "--discriminator_steps", "0", "--steps", "100000", "--minutes", "0.05", fault=fault)
    assert ended.went_well, ended.err
    assert 0 < checkpoint(tmp_path / "together")["step"] < 100000


@pytest.mark.parametrize("processes", [2, FOUR])
def test_several_processes_end_where_one_ends_and_leave_one_set_of_files(learn, alone, tmp_path, processes):
    ended = learn(processes, "together", *RUN)
    assert ended.went_well, ended.err
    assert_same_run(alone(*RUN), tmp_path / "together", alone(*FIRST_STAGE))
    said = "generator: together/generator\nsheets: together/sheets\n"
    assert ended.out == [said, *[""] * (processes - 1)], "one process is heard"


@pytest.mark.parametrize(("before", "after"), [(2, 1), pytest.param(1, 2, marks=pytest.mark.slow)])
def test_a_run_goes_on_with_another_number_of_processes(learn, alone, tmp_path, before, after):
    """Stopped after the first of two checkpoints by the loss of a process."""
    stopped = learn(before, "changed", *RUN, fault={"rank": before - 1, "step": 8, "what": "killed"})
    assert not stopped.went_well
    assert checkpoint(tmp_path / "changed")["step"] == 5
    ended = learn(after, "changed", *RUN)
    assert ended.went_well and "going on from step 5 of changed/learning.pth" in ended.out[0]
    assert_same_run(alone(*RUN), tmp_path / "changed", alone(*FIRST_STAGE))


@pytest.mark.parametrize("broken", [pytest.param(0, marks=pytest.mark.slow), 1])
def test_a_process_that_dies_ends_the_job_with_a_line(learn, broken):
    ended = learn(2, "run", *RUN, fault={"rank": broken, "step": 2, "what": "bad input"})
    assert ended.statuses[broken] == 2 and ended.statuses[1 - broken] in (2, 143, -15)
    assert errors_of(ended) == ["error: face 7: out of order"]


def test_what_is_no_number_is_refused_once_and_the_last_good_checkpoint_named(learn, tmp_path):
    ended = learn(2, "run", *RUN, "--discriminator_steps", "5", "--steps", "5", "--generator_lr", "1e38")
    assert all(ended.statuses)
    (said,) = errors_of(ended)
    assert said.endswith("no longer numbers at step 10; the last good checkpoint is run/learning.pth")
    assert checkpoint(tmp_path / "run")["step"] == 5


def test_terminated_it_says_once_what_is_saved(learn, tmp_path):
    ended = learn(2, "run", *RUN, fault={"rank": 0, "step": 7, "what": "terminated"})
    assert ended.statuses[0] == 143 and ended.statuses[1] in (2, 143, -15)
    said = [line for text in ended.err for line in text.splitlines() if line.startswith("terminated:")]
    assert said == ["terminated: the last good checkpoint is run/learning.pth; start the same command again to go on"]
    assert checkpoint(tmp_path / "run")["step"] == 5


def test_what_is_wrong_for_all_is_said_once(learn):
    ended = learn(2, "run", *RUN, "--batch_size", "1")
    assert all(ended.statuses)
    assert errors_of(ended) == ["error: --batch_size 1 for 2 processes, expected a face for each"]


def test_another_job_is_refused_while_a_folder_is_written(learn, tmp_path):
    with exclusive_lock(tmp_path / "run"):
        ended = learn(2, "run", *RUN)
    assert all(ended.statuses)
    assert sum("another run is writing here" in line for line in errors_of(ended)) == 1


@pytest.mark.slow
def test_torchrun_starts_a_broken_job_again_and_it_ends_as_an_unbroken_one(alone, tmp_path):
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "--max_restarts", "1"]
    command = [sys.executable, *torchrun, str(HERE / "dies_once.py"), *TINY, *RUN, "--dest", "broken"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0 and "exitcode: -9" in ended.stderr, ended.stderr
    assert "going on from step 5 of broken/learning.pth" in ended.stdout
    assert_same_run(alone(*RUN), tmp_path / "broken", alone(*FIRST_STAGE))
