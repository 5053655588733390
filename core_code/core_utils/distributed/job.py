"""Jobs of several processes, on one machine or many: started as `torchrun --nproc_per_node N ...`.

Without torchrun a process is alone: it is rank 0 of 1, the main process, and everything here does nothing. The
processes communicate through NCCL where the tensors are on GPUs, through gloo where they are on CPUs.
"""

import os
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from typing import TYPE_CHECKING

from core_code.core_utils.errors import INTERRUPTED, USERS_ERRORS, InputError
from core_code.core_utils.signals import TERMINATED, Terminated

if TYPE_CHECKING:
    from torch import Tensor
    from torch.distributed import Store

ANSWER_WITHIN = timedelta(minutes=10)  # in a step: a process that does not answer for longer has hung
FIRST_WITHIN = timedelta(days=1)  # for what one process does before the others
LOOK_EVERY_S = 0.05


@dataclass(frozen=True)
class Job:
    """This process's rank, how many there are, its rank on its machine, the machine, and the store that all share."""

    rank: int
    world_size: int
    local_rank: int
    machine: str
    store: "Store"
    barriers: Iterator[int] = field(default_factory=count)  # numbers of barriers, the same in all processes


job: Job | None = None


def rank() -> int:
    """This process's index in the job, 0 when it is alone."""
    return job.rank if job else 0


def world_size() -> int:
    """The number of processes of the job, on all machines together; 1 when this one is alone."""
    return job.world_size if job else 1


def is_main_process() -> bool:
    """Whether this process, rank 0, is the one that writes files and prints."""
    return rank() == 0


@contextmanager
def distributed_session() -> Iterator[None]:
    """Within it the processes of torchrun form a job; also a decorator. Does nothing without torchrun.

    The main process alone prints to stdout and shows progress bars. An error ends the job: torchrun stops the other
    processes. Of errors that are the same everywhere, or follow from another's, one is shown.
    """
    global job
    if job or os.environ.get("WORLD_SIZE", "1") == "1" or "RANK" not in os.environ:
        yield
        return
    if os.environ["RANK"] != "0":
        os.environ["TQDM_DISABLE"] = "1"  # before torch is imported, which imports tqdm, which reads it then
    job = join()
    try:
        with one_error_shown(job.store):
            if is_main_process():
                yield
            else:
                with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
                    yield
            leave()
    except KeyboardInterrupt as interrupt:  # also while an error is handled: torchrun then ends the others
        if is_main_process():
            raise
        sys.exit(TERMINATED if isinstance(interrupt, Terminated) else INTERRUPTED)
    finally:
        job = None


@contextmanager
def one_error_shown(store: "Store") -> Iterator[None]:
    """Within it an error of a process that is not the first to fail, or whose store is gone, ends it silently."""
    try:
        yield
    except Exception as error:
        first = ""
        with suppress(Exception):
            first = store.compare_set("failed", "", str(rank())).decode()
        if first == str(rank()):
            raise
        sys.exit(2 if isinstance(error, USERS_ERRORS) else 1)


def join() -> Job:
    """Join the job's process group, and select this process's GPU."""
    import torch
    from torch import distributed

    number, size, local = place_in_job()
    if torch.cuda.is_available():
        torch.cuda.set_device(local % torch.cuda.device_count())
    try:
        store, _, _ = next(distributed.rendezvous("env://", timeout=ANSWER_WITHIN))
    except (ValueError, RuntimeError) as error:  # of MASTER_ADDR and MASTER_PORT: missing, wrong, or nobody is there
        raise InputError(f"process {number} of {size}: cannot reach the first one ({first_line(error)})") from error
    store = distributed.PrefixStore(agree_on_session_name(store, number, size), store)
    groups = distributed.PrefixStore("group", store)
    distributed.init_process_group(store=groups, rank=number, world_size=size, timeout=ANSWER_WITHIN)
    return Job(number, size, local, os.environ.get("GROUP_RANK", "0"), store)


def place_in_job() -> tuple[int, int, int]:
    """RANK, WORLD_SIZE and LOCAL_RANK, as torchrun sets them. Raises InputError where they are no such numbers."""
    texts = [os.environ.get(key, "0") for key in ("RANK", "WORLD_SIZE", "LOCAL_RANK")]
    number, size, local = (int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1 for text in texts)
    if not (0 <= number < size and local >= 0):
        raise InputError(
            "the environment has RANK={}, WORLD_SIZE={} and LOCAL_RANK={}, expected whole numbers, RANK below "
            "WORLD_SIZE; start the processes with torchrun, or unset these".format(*map(repr, texts))
        )
    return number, size, local


def agree_on_session_name(store: "Store", number: int, size: int) -> str:
    """A name that the processes of this start of the job agree on, and none of an earlier start has used.

    torchrun's store outlives a restart (of torch 2.15; machines count their restarts differently), and with it the
    addresses and barriers of processes that have ended. So a process trusts nothing there but an answer to its own
    question: each sets a random key, and process 0 answers with the name until all have confirmed it.
    """
    end = time.monotonic() + ANSWER_WITHIN.total_seconds()

    def wait() -> None:
        if time.monotonic() > end:
            raise InputError(f"process {number} of {size}: the others have not come within {ANSWER_WITHIN}")
        time.sleep(LOOK_EVERY_S)

    word = secrets.token_hex(8)
    if number:
        store.set(f"question of {number}", word)
        while not store.check([f"answer to {word}"]):
            wait()
        word = store.get(f"answer to {word}").decode()
        store.set(f"{word} heard by {number}", "")
        return word
    missing = set(range(1, size))
    while missing:
        for other in missing:
            if store.check([f"question of {other}"]):
                store.set(f"answer to {store.get(f'question of {other}').decode()}", word)
        missing = {other for other in missing if not store.check([f"{word} heard by {other}"])}
        if missing:
            wait()
    return word


def leave() -> None:
    """Wait for the others, not by the store, whose process may have ended first; and leave the process group."""
    import torch
    from torch import distributed

    all_reduce_sum(torch.zeros(1))
    distributed.destroy_process_group()


def barrier(patience: timedelta = ANSWER_WITHIN) -> None:
    """Wait until all processes are here. Raises InputError when one has not come within `patience`."""
    if job is None:
        return
    key = f"barrier {next(job.barriers)}"
    if job.store.add(f"{key} came", 1) == job.world_size:
        job.store.set(key, "all")
    wait_for(job.store, key, patience)


@contextmanager
def local_main_first() -> Iterator[None]:
    """Within it one process of each machine goes first; the others follow when it is done.

    For what the first leaves on the disk for the others: a cache, a download.
    """
    if job is None:
        yield
        return
    key = f"first {next(job.barriers)} of machine {job.machine}"
    if job.local_rank:
        wait_for(job.store, key, FIRST_WITHIN)
    yield
    job.store.set(key, "done")


def wait_for(store: "Store", key: str, patience: timedelta) -> None:
    """Wait until another process has set the key, by polling, so that Ctrl-C and SIGTERM are handled."""
    end = time.monotonic() + patience.total_seconds()
    with answers_expected():
        while not store.check([key]):
            if time.monotonic() > end:
                raise RuntimeError(f"{key!r} was not there after {patience}")
            time.sleep(LOOK_EVERY_S)


def all_reduce_sum(values: "Tensor") -> "Tensor":
    """The sum of all processes' tensors, the same bits in each of them; `values` itself when alone.

    Of the same shape and dtype everywhere. Integers are summed exactly. Raises InputError when a process is gone.
    """
    if job is None:
        return values
    from torch import distributed

    total = values.detach().clone()
    with answers_expected():
        distributed.all_reduce(total)
    return total


def any_process(here: bool) -> bool:
    """Whether it is so in any process, the same answer in each: for what all have to do together, as to stop."""
    import torch

    return bool(all_reduce_sum(torch.tensor(int(here))))


def all_gather(values: "Tensor") -> "Tensor":
    """All processes' tensors, [N,...] in the order of their ranks. As all_reduce_sum otherwise."""
    if job is None:
        return values[None]
    import torch
    from torch import distributed

    rows = [torch.empty_like(values) for _ in range(job.world_size)]
    with answers_expected():
        distributed.all_gather(rows, values.detach().contiguous())
    return torch.stack(rows)


def check_same(number: int, what: str) -> None:
    """Raise InputError when the processes have found different numbers of `what`: they do not see the same files."""
    import torch

    found = sorted(set(all_gather(torch.tensor(number)).tolist()))
    if len(found) > 1:
        raise InputError(
            f"{what}: {', '.join(map(str, found))} in different processes, expected the same in all; every machine of "
            f"a job must see the same output folder"
        )


@contextmanager
def answers_expected() -> Iterator[None]:
    """Within it a RuntimeError, of the process group or the store, becomes an InputError: another process is gone."""
    try:
        yield
    except RuntimeError as error:
        raise InputError(
            f"process {rank()} of {world_size()}: another process of this job has ended or does not answer "
            f"({first_line(error)})"
        ) from error


def first_line(error: Exception) -> str:
    """What torch says of it, without the C++ frames below."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
