"""Exit handlers for Ctrl-C and SIGTERM: both stop a loop between two steps, with a message of what is saved."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

TERMINATED = 143  # the shell's convention: 128 + SIGTERM
PARENT = "END_WITH_PARENT"  # an environment variable: the process without which this one ends


class Terminated(KeyboardInterrupt):
    """SIGTERM, where a KeyboardInterrupt is SIGINT."""


@contextmanager
def catch_sigterm() -> Iterator[None]:
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


def end_with_parent() -> None:
    """SIGTERM for this process once the one that PARENT names is its parent no more, as after a kill -9.

    A command that another one started then saves what it has and ends, so that a new start finds nobody writing.
    """
    parent = os.environ.pop(PARENT, None)

    def watch() -> None:
        while os.getppid() == int(parent or 0):
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)

    if parent:
        threading.Thread(target=watch, daemon=True).start()


def exit_with_message(interrupt: KeyboardInterrupt, message: str) -> NoReturn:
    """Raise what ends the command with the shell's status for the signal; `message`, on stderr, is what is saved."""
    if isinstance(interrupt, Terminated):
        print(f"\nterminated: {message}", file=sys.stderr)
        raise SystemExit(TERMINATED) from interrupt
    raise KeyboardInterrupt(message) from interrupt
