"""Counting what all processes have done, and waiting for the last; the store stands in for the other processes."""

from itertools import count

import pytest

from core_code.core_utils.distributed import job as distributed
from core_code.core_utils.distributed import shared_work
from core_code.core_utils.distributed.job import Job
from core_code.core_utils.distributed.shared_work import SharedWork
from core_code.core_utils.errors import InputError


class Store:
    """A job's shared numbers; before each look another process does what `others` says next, if anything."""

    def __init__(self, *others) -> None:
        self.numbers: dict[str, int] = {}
        self.others = iter(others)

    def add(self, key: str, more: int) -> int:
        if more == 0:
            next(self.others, lambda numbers: None)(self.numbers)
        self.numbers[key] = self.numbers.get(key, 0) + more
        return self.numbers[key]


def other(**more: int):
    """The other process adds to the numbers of the first piece of work."""

    def act(numbers: dict[str, int]) -> None:
        for what, number in more.items():
            numbers[f"work 0 {what}"] = numbers.get(f"work 0 {what}", 0) + number

    return act


@pytest.fixture
def job(monkeypatch):
    def begin(*others) -> SharedWork:
        monkeypatch.setattr(distributed, "job", Job(0, 2, 0, "0", Store(*others), count()))
        monkeypatch.setattr(shared_work, "LOOK_EVERY_S", 0.001)
        return SharedWork()

    return begin


def test_alone_it_counts_and_does_not_wait():
    work = SharedWork()
    assert [work.report(3), work.report(5), work.wait()] == [3, 5, 5]


def test_the_others_count_too(job):
    work = job()
    assert work.report(3) == 3
    other(done=10)(distributed.job.store.numbers)
    assert work.report(5) == 15


def test_it_waits_until_the_other_has_come(job):
    work = job(other(done=4), other(), other(done=4), other(came=1, done=1))
    work.report(3)
    assert work.wait(silent_s=60) == 12


def test_an_other_that_does_nothing_any_more_is_an_error_and_one_at_work_is_not(job):
    work = job(*[other(done=1)] * 40)
    with pytest.raises(InputError, match="another process of this job has ended or does not answer"):
        work.wait(silent_s=0.05)
    assert distributed.job.store.numbers["work 0 done"] == 40
