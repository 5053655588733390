"""Errors that the user can correct, and how a command ends on them."""

import os
import re
import sys
from collections.abc import Callable, Sized
from typing import NoReturn

from core_code.core_utils.signals import TERMINATED, Terminated, catch_signals, end_with_parent
from core_code.core_utils.streams import reliable_output

INTERRUPTED = 130  # the shell's convention: 128 + SIGINT
LONGEST_MESSAGE = 1000  # characters; a message may quote a file, and a file may hold anything


class InputError(Exception):
    """Something the user gave is wrong. The message is one line: what, where, and what was expected.

    Line breaks and other unprintable characters of names and values that it quotes are shown as escapes.
    """

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


USERS_ERRORS = (InputError, OSError, UnicodeError)  # of what was given; others are the program's own


def one_line(text: str) -> str:
    """The text with what cannot be printed escaped, cut at LONGEST_MESSAGE characters."""
    shown = text[:LONGEST_MESSAGE] + ("..." if len(text) > LONGEST_MESSAGE else "")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in shown)


def shown(value: object) -> str:
    """A value out of a file as an error message quotes it: texts and numbers, escaped and cut; else what it is."""
    if isinstance(value, int) and abs(value) >= 1 << 64:  # Python prints no more than some thousand digits
        return "a number of more than 64 bits"
    if value is None or isinstance(value, int | float):
        return str(value)
    if isinstance(value, str | bytes):
        return repr(value[:60]) + ("..." if len(value) > 60 else "")
    return f"a {type(value).__name__}" + (f" of {len(value)}" if isinstance(value, Sized) else "")


def run_command(main: Callable[[], None], go_on: str = "start the same command again to go on") -> None:
    """Run a command's `main`; an InputError, and whatever the file system or an encoding refuses, becomes one line on
    stderr and exit status 2. It goes on when nobody listens to what it prints.

    Ctrl-C ends with status 130 and SIGTERM with 143, from the first moment to the last; the
    loop that was interrupted puts what is saved into the message; outside of one, `go_on` is the message.
    """
    os.environ["MPLBACKEND"] = "Agg"  # a notebook's, or nonsense, would fail when matplotlib is loaded
    with catch_signals() as handler:
        end_with_parent()
        try:
            with reliable_output():
                run_reporting(main, go_on)
        except OSError as error:
            print(f"error: {as_input_error(error)}", file=sys.stderr)
            sys.exit(2)
        except KeyboardInterrupt as interrupt:  # while the last words are printed
            sys.exit(TERMINATED if isinstance(interrupt, Terminated) else INTERRUPTED)
        finally:
            handler.close()


def run_reporting(main: Callable[[], None], go_on: str) -> None:
    """Run `main` and print how it ended, where that was not well."""
    try:
        main()
    except USERS_ERRORS as error:
        print(f"error: {as_input_error(error)}", file=sys.stderr)
        sys.exit(2)
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        if package in ("core_code", "EmotionGAN"):
            raise
        advice = "source .venv/bin/activate, if `make` has made it, or pip install -r requirements.txt"
        print(f"error: {sys.executable} lacks the package {package}: {advice}", file=sys.stderr)
        sys.exit(2)
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and not re.search(r"out of memory|t allocate memory", str(error)):
            raise
        advice = "take a smaller --batch_size or --image_size, or another --device"
        print(f"error: the memory is used up ({one_line(str(error))[:150]}); {advice}", file=sys.stderr)
        sys.exit(2)
    except Terminated as interrupt:
        end(TERMINATED, f"terminated: {str(interrupt) or f'what was finished is on disk; {go_on}'}")
    except KeyboardInterrupt as interrupt:
        end(INTERRUPTED, f"interrupted: {str(interrupt) or f'what was finished is on disk; {go_on}'}")


def as_input_error(error: Exception) -> InputError:
    """One of USERS_ERRORS in one line, with the file's name where it is known."""
    if isinstance(error, InputError):
        return error
    if isinstance(error, OSError) and error.filename is not None:
        named = os.fsdecode(error.filename) if isinstance(error.filename, bytes) else error.filename
        return InputError(f"{named}: {error.strerror or type(error).__name__}")
    return InputError(f"{type(error).__name__}: {error}")


def end(status: int, message: str) -> NoReturn:
    """Print how the command ended, on a line below a progress bar, and end it."""
    print(f"\n{message}", file=sys.stderr)
    sys.exit(status)
