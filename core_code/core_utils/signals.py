"""Exit handlers for Ctrl-C and SIGTERM: both stop a loop between two steps, with a message of what is saved."""

import math
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
STORM_S = 2.0  # signals that follow one within this time are the same one
PARENT = "END_WITH_PARENT"  # an environment variable: the process without which this one ends


class Terminated(KeyboardInterrupt):
    """SIGTERM, where a KeyboardInterrupt is SIGINT."""


class Handler:
    """Of SIGINT and SIGTERM: raises at the first one, and not at those that follow it within STORM_S, which would
    interrupt what it stopped in saving and reporting."""

    def __init__(self) -> None:
        self.last, self.hook = -math.inf, sys.unraisablehook

    def __call__(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if now - self.last > STORM_S:
            self.last = now
            raise Terminated if number == signal.SIGTERM else KeyboardInterrupt

    def raise_again(self, unraisable: "sys.UnraisableHookArgs") -> None:
        """sys.unraisablehook: an interruption that came in a destructor or a callback of a weak reference, where Python
        drops it, comes again a moment later."""
        if not isinstance(unraisable.exc_value, KeyboardInterrupt):
            return self.hook(unraisable)
        self.last = -math.inf
        number = signal.SIGTERM if isinstance(unraisable.exc_value, Terminated) else signal.SIGINT
        threading.Timer(0.1, os.kill, (os.getpid(), number)).start()

    def close(self) -> None:
        """Where there was a signal, ignore all further ones, until the process ends."""
        if self.last > -math.inf:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)


@contextmanager
def catch_signals() -> Iterator[Handler]:
    """Within it SIGTERM raises Terminated, and of signals in quick succession the first one alone is heard."""
    outer = signal.getsignal(signal.SIGTERM)
    if isinstance(outer, Handler) or threading.current_thread() is not threading.main_thread():
        yield outer if isinstance(outer, Handler) else Handler()
        return
    handler, before = Handler(), {signal.SIGTERM: outer}
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not where it is ignored
        before[signal.SIGINT] = signal.default_int_handler
    for number in before:
        signal.signal(number, handler)
    sys.unraisablehook = handler.raise_again
    try:
        yield handler
    finally:
        sys.unraisablehook = handler.hook
        for number, each in before.items():
            if signal.getsignal(number) is handler:
                signal.signal(number, each)


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
