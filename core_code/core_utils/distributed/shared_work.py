"""Progress of one piece of work over all processes of a job, and a barrier at its end."""

import time

from core_code.core_utils.distributed import job as distributed
from core_code.core_utils.distributed.job import ANSWER_WITHIN, LOOK_EVERY_S, answers_expected

SILENT_S = ANSWER_WITHIN.total_seconds()


class SharedWork:
    """Things done by all processes together, counted by each; a process alone counts for itself.

    All processes of a job make theirs, in the same order where there are several. Methods raise InputError when the
    job has broken down.
    """

    def __init__(self) -> None:
        self.job = distributed.job
        self.name = f"work {next(self.job.barriers)}" if self.job else ""
        self.own = 0

    def report(self, done: int) -> int:
        """Report how many this process has done so far; returns how many all have."""
        more, self.own = done - self.own, done
        return self.count("done", more) if self.job else done

    def wait(self, silent_s: float = SILENT_S) -> int:
        """Wait until all processes are here; returns how many things they have done.

        However long that takes, as long as something is done: raises InputError when no process has reported more,
        nor come here, within `silent_s` seconds, as happens when one was killed and the job is not ended.
        """
        if self.job is None:
            return self.own
        came, heard = self.count("came", 1), time.monotonic()
        state = (came, self.count("done", 0))
        while state[0] < self.job.world_size:
            time.sleep(LOOK_EVERY_S)
            now = (self.count("came", 0), self.count("done", 0))
            if now != state:
                state, heard = now, time.monotonic()
            elif time.monotonic() - heard > silent_s:
                with answers_expected():
                    raise RuntimeError(f"nothing was done in {silent_s:g} s")
        return state[1]

    def count(self, what: str, more: int) -> int:
        """Add to a number that all processes share; returns it, or `more` when alone."""
        with answers_expected():
            return self.job.store.add(f"{self.name} {what}", more) if self.job else more
