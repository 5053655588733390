"""Errors that are the user's to mend, and how a command ends on them."""

import sys
from collections.abc import Callable

INTERRUPTED = 130  # the shell's convention: 128 + SIGINT


class InputError(Exception):
    """Something the user gave is wrong. The message is one line: what, where, and what was expected."""


def run_command(main: Callable[[], None]) -> None:
    """Run a command's `main`; an InputError becomes one line on stderr and exit status 2.

    Ctrl-C ends with status 130; what was saved by then has been said by the loop that was interrupted.
    """
    try:
        main()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt as interrupt:
        said = str(interrupt) or "what was finished is on disk; start the same command again to go on"
        print(f"\ninterrupted: {said}", file=sys.stderr)
        sys.exit(INTERRUPTED)
