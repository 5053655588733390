"""A study's search space, pruning, failures and resumption, with tasks that train nothing."""

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import optuna
import pytest
import torch
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.study import StudyDirection
from optuna.trial import TrialState

from core_code.core_utils.errors import InputError
from core_code.core_utils.signals import Terminated
from core_code.datasets.augmentations.store import Augmentations
from core_code.search.files import StudyFiles, read_study
from core_code.search.objective import augmentations_of, make_objective, rows_at_even_distances
from core_code.search.results import describe_counts, is_counted
from core_code.search.space import batch_sizes, suggest
from core_code.search.storage import open_study
from core_code.search.study import PROCESS, fail_abandoned, run_trials, start_of

SETTINGS = {"net_name": "resnet18", "exp_name": "E", "byol": False, "epochs": 9}
COMPLETE, PRUNED, FAIL, RUNNING = TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING


class FakeTask:
    """Takes one step an epoch; its value after each epoch is `figure(epoch)`."""

    best_by, higher_is_better = "validation_accuracy", True
    seed, faces_per_epoch, scheduler = 1, 1, None

    def __init__(self, figure, loss=1.0):
        self.net = torch.nn.Linear(1, 1)
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=0.1)
        self.figure, self.loss = figure, loss
        self.epochs = 0

    def steps(self, epoch):
        self.epochs += 1
        yield torch.tensor(self.loss), 1

    def measure(self):
        return {self.best_by: self.figure(self.epochs)}


@pytest.fixture
def files(tmp_path):
    return StudyFiles(tmp_path / "studies", "resnet18", "E")


@pytest.fixture
def study(files):
    return reopen(files)


def reopen(files):
    """The study in a journal file, as each start of the script opens it."""
    return open_study(str(files.folder / "journal.log"), files, StudyDirection.MAXIMIZE, SETTINGS)


def run(study, files, make_task, trials, seed=1, epochs=9, deadline=None):
    """`make_task` gets the values; the trials run as the script runs them."""
    deadline = deadline or time.time() + 1000
    run_trials(study, files, make_objective(make_task, (32, 64), epochs), trials, deadline, seed)


def states(study):
    return [trial.state for trial in study.trials]


@pytest.mark.parametrize(
    ("net_name", "byol", "sizes"),
    [("resnet18", False, (32, 64, 128)), ("densenet201", False, (16, 32)), ("resnet18", True, (16, 32, 64)),
     ("densenet201", True, (16, 32, 64))],
)  # fmt: skip
def test_the_search_space_is_the_specified_one(net_name, byol, sizes):
    trial = optuna.create_study().ask()
    values = suggest(trial, batch_sizes(net_name, byol))
    assert trial.distributions == {
        "batch_size": CategoricalDistribution(sizes),
        "lr": FloatDistribution(1e-5, 1e-2, log=True),
        "weight_decay": FloatDistribution(0.0, 1e-4),
        "optimizer": CategoricalDistribution(["adam", "sgd"]),
        "scheduler": CategoricalDistribution(["step", "cosine"]),
    }
    assert values == trial.params


def test_a_trial_worse_than_the_median_is_pruned_and_trains_no_further(study, files):
    tasks = []

    def make_task(values):
        level = 0.1 if len(tasks) == 6 else 0.5 + 0.01 * len(tasks)
        tasks.append(FakeTask(lambda epoch: level))
        return tasks[-1]

    run(study, files, make_task, 8)
    assert states(study) == [COMPLETE] * 6 + [PRUNED, COMPLETE]
    # the first ninth of the epochs, here one, prunes nothing
    assert [task.epochs for task in tasks] == [9] * 6 + [2, 9]
    assert study.trials[6].intermediate_values == {1: 0.1, 2: 0.1}


def test_a_trials_figure_is_that_of_its_best_epoch(study, files):
    figures = [0.2, 0.5, 0.4]
    run(study, files, lambda values: FakeTask(lambda epoch: figures[epoch - 1]), 1, epochs=3)
    (trial,) = study.trials
    assert trial.value == 0.5 and trial.user_attrs["best_epoch"] == 2
    assert trial.intermediate_values == {1: 0.2, 2: 0.5, 3: 0.4}


def test_trials_that_fail_are_recorded_and_the_study_goes_on(study, files):
    def broken(error):
        def figure(epoch):
            raise error

        return FakeTask(figure)

    tasks = [
        FakeTask(lambda epoch: 0.5),
        FakeTask(lambda epoch: 0.5, loss=float("nan")),
        broken(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB\nand more")),
        broken(MemoryError()),
        broken(InputError("a damaged file")),
        FakeTask(lambda epoch: float("nan")),
        FakeTask(lambda epoch: 0.6),
    ]
    left = iter(tasks)
    run(study, files, lambda values: next(left), 7)
    assert states(study) == [COMPLETE, FAIL, FAIL, FAIL, FAIL, FAIL, COMPLETE]
    reasons = [trial.user_attrs["failure"] for trial in study.trials if trial.state == FAIL]
    assert "the loss became nan in epoch 1" in reasons[0]
    assert reasons[1] == "OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB"
    assert reasons[2].startswith("MemoryError") and reasons[3] == "a damaged file"
    assert "validation_accuracy is nan" in reasons[4]
    kept = read_study(files.results)
    assert states(kept) == states(study) and kept.best_value == 0.6
    assert describe_counts(kept) == "2 complete, 5 failed"


def test_a_collapsed_representation_is_no_success(study, files):
    class Collapsed(FakeTask):
        def measure(self):
            return {self.best_by: 0.9, "feature_std": 0.9, "projection_std": 0.001}

    run(study, files, lambda values: Collapsed(None), 1)
    assert "collapsed: projection_std 0.0010" in study.trials[0].user_attrs["failure"]


@pytest.mark.parametrize(("number", "raised"), [(signal.SIGTERM, Terminated), (signal.SIGINT, KeyboardInterrupt)])
def test_an_interruption_keeps_what_is_finished_and_its_trial_does_not_count(study, files, number, raised):
    tasks = []

    def make_task(values):
        tasks.append(values)
        if len(tasks) == 3:
            return FakeTask(lambda epoch: os.kill(os.getpid(), number) or 0.5)
        return FakeTask(lambda epoch: 0.5)

    with pytest.raises(raised):
        run(study, files, make_task, 4)
    assert states(reopen(files)) == [COMPLETE, COMPLETE, FAIL]
    assert states(read_study(files.results))[:2] == [COMPLETE, COMPLETE]
    assert [is_counted(trial) for trial in reopen(files).trials] == [True, True, False]
    run(reopen(files), files, make_task, 4)
    assert states(read_study(files.results)) == [COMPLETE, COMPLETE, FAIL, COMPLETE, COMPLETE]


def test_a_study_that_goes_on_samples_what_an_unbroken_one_samples(tmp_path):
    def sampled(name, *breaks, seed=1):
        files = StudyFiles(tmp_path / name, "resnet18", "E")
        for trials in breaks:
            run(reopen(files), files, lambda values: FakeTask(lambda epoch: values["lr"]), trials, seed, epochs=1)
        return [trial.params for trial in read_study(files.results).trials]

    unbroken = sampled("unbroken", 12)  # the first ten at random, then by TPE
    assert sampled("broken", 4, 12) == unbroken
    assert sampled("other seed", 2, seed=2) != unbroken[:2]
    assert len({params["lr"] for params in unbroken}) == 12


def test_the_sample_of_an_interrupted_trial_is_taken_again(tmp_path):
    """At random, as the first ten are, and by TPE."""

    def sampled(name, interrupted):
        files, begun = StudyFiles(tmp_path / name, "resnet18", "E"), []

        def make_task(values):
            begun.append(values)
            stop = len(begun) - 1 in interrupted
            return FakeTask(lambda epoch: os.kill(os.getpid(), signal.SIGTERM) or 0.5 if stop else values["lr"])

        for _ in interrupted:
            with pytest.raises(Terminated):
                run(reopen(files), files, make_task, 13, epochs=1)
        run(reopen(files), files, make_task, 13, epochs=1)
        return [trial.params for trial in read_study(files.results).trials if is_counted(trial)]

    assert sampled("broken", {2, 3, 13}) == sampled("unbroken", ())


def test_finished_trials_count_and_nothing_begins_after_the_deadline(study, files):
    def make_task(values):
        return FakeTask(lambda epoch: 0.5)

    run(study, files, make_task, 3, epochs=1)
    run(reopen(files), files, make_task, 3, epochs=1)
    assert len(reopen(files).trials) == 3
    run(reopen(files), files, make_task, 9, epochs=1, deadline=time.time() - 1)
    assert len(reopen(files).trials) == 3


def test_a_trial_left_running_by_a_killed_process_is_marked_and_not_counted(study, files):
    dead = subprocess.Popen(["sleep", "0"])
    dead.wait()
    here = socket.gethostname()
    for process in (f"{here} {dead.pid}", f"{here} {os.getppid()}", "another-machine 1"):
        study.ask().set_user_attr(PROCESS, process)
    again = reopen(files)
    assert fail_abandoned(again, files.folder) == [0]
    assert states(again) == [FAIL, RUNNING, RUNNING]
    run(again, files, lambda values: FakeTask(lambda epoch: 0.5), 3, epochs=1)
    # of three, one runs in a living process of this machine; those of other machines block nothing
    assert states(again) == [FAIL, RUNNING, RUNNING, COMPLETE, COMPLETE]


@pytest.mark.skipif(not start_of(os.getpid()), reason="only Linux says when a process began")
def test_a_dead_process_whose_number_lives_again_blocks_nothing(study, files):
    here, process = socket.gethostname(), os.getppid()  # alive, and not this one
    began = int(Path(f"/proc/{process}/stat").read_text().split(") ")[1].split()[19])
    for held in (f"{here} {process} {began}", f"{here} {process} {began - 1}", f"{here} {10**30}", f"{here} -1", 7):
        study.ask().set_user_attr(PROCESS, held)
    assert fail_abandoned(reopen(files), files.folder) == [1, 2]  # what is no process of this machine stays as it is
    run(reopen(files), files, lambda values: FakeTask(lambda epoch: 0.5), 2, epochs=1)
    assert states(reopen(files))[5:] == [COMPLETE]
    name, own, started = reopen(files).trials[5].user_attrs[PROCESS].split(" ")
    assert (name, int(own), started) == (here, os.getpid(), start_of(os.getpid()))


def test_a_part_of_the_faces_keeps_the_shares_of_sorted_ones():
    labels = torch.arange(7).repeat_interleave(30)
    rows = rows_at_even_distances(210, 70)
    assert torch.bincount(labels[rows]).tolist() == [10] * 7 and len(rows.unique()) == 70
    assert torch.equal(rows_at_even_distances(210, 1000), torch.arange(210))


def test_a_part_of_the_faces_keeps_its_own_augmentations():
    owner = torch.tensor([0, 0, 1, 3, 3, 3, 4])
    images = torch.arange(7, dtype=torch.uint8)[:, None, None].expand(7, 48, 48).contiguous()
    augmentations = Augmentations(images, torch.tensor([0, 2, 3, 3, 6, 7]))
    rows = torch.tensor([0, 2, 3])
    part = augmentations_of(augmentations, rows)
    for face, row in enumerate(rows):
        own = part.images[part.first[face] : part.first[face + 1], 0, 0]
        assert own.tolist() == torch.where(owner == row)[0].tolist()
