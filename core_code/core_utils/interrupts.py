"""Ctrl-C and SIGTERM: both stop a loop between two steps, which then says what is saved."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

TERMINATED = 143  # the shell's convention: 128 + SIGTERM


class Terminated(KeyboardInterrupt):
    """SIGTERM, where a KeyboardInterrupt is SIGINT."""


@contextmanager
def terminable() -> Iterator[None]:
    """Within it SIGTERM raises Terminated."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Terminated

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
