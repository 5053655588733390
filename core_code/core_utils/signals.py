"""Exit handlers for Ctrl-C and SIGTERM: both stop a loop between two steps, with a message of what is saved."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

TERMINATED = 143  # the shell's convention: 128 + SIGTERM


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


def exit_with_message(interrupt: KeyboardInterrupt, message: str) -> NoReturn:
    """Raise what ends the command with the shell's status for the signal; `message`, on stderr, is what is saved."""
    if isinstance(interrupt, Terminated):
        print(f"\nterminated: {message}", file=sys.stderr)
        raise SystemExit(TERMINATED) from interrupt
    raise KeyboardInterrupt(message) from interrupt
