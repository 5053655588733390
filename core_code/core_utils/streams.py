"""stdout and stderr that a command can rely on: whatever they are, and whether or not anybody still listens."""

import errno
import io
import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

LIVE_BARS = "LIVE_PROGRESS_BARS"  # an environment variable: stderr reaches a terminal by way of another process
BARS_EVERY_S = 30.0
# What steers a terminal or turns the direction of a text, but for colours and a bar's way up.
STEERING = re.compile(
    r"\x1b(?!\[(?:A|[0-9;]*m))|[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]"
)


class Output(io.TextIOWrapper):
    """A stream on another's bytes that never fails: what its encoding lacks is escaped, and after an error of the disk
    or a pipe that nobody reads (kept in `lost`) what is written goes nowhere. What would steer a terminal, as a file's
    name may, is escaped too.

    Where it is no terminal, progress bars are one line every half minute in place of hundreds of repaintings.
    """

    def __init__(self, stream: TextIO) -> None:
        stream.flush()
        super().__init__(stream.buffer, stream.encoding, "backslashreplace", line_buffering=bool(stream.line_buffering))
        self.lost: OSError | None = None
        self.live = stream.isatty() or LIVE_BARS in os.environ
        self.last_bar, self.after_bar = time.monotonic(), False

    def write(self, text: str) -> int:
        shown = text if self.live else self.without_repainting(text)
        with self.surviving():
            super().write(STEERING.sub(lambda found: found[0].encode("unicode_escape").decode(), shown))
        return len(text)

    def flush(self) -> None:
        with self.surviving():
            super().flush()

    @contextmanager
    def surviving(self) -> Iterator[None]:
        """Within it an OSError sends this and all that follows, also of C code and child processes, nowhere. So does
        the command's end, which a bar may outlive that the traceback of an interruption holds."""
        try:
            yield
        except ValueError:  # detached
            return
        except OSError as error:
            self.lost = error
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())

    def without_repainting(self, text: str) -> str:
        """A bar's state as a line where the last one is half a minute old; other text as it is."""
        is_bar = text.startswith("\r")
        if not is_bar and not (self.after_bar and text in ("\n", "")):
            self.after_bar = False
            return text
        self.after_bar, state = is_bar, text.strip("\r \n")
        if not state or time.monotonic() - self.last_bar < BARS_EVERY_S:
            return ""
        self.last_bar = time.monotonic()
        return state + "\n"


@contextmanager
def reliable_output() -> Iterator[None]:
    """Within it sys.stdout and sys.stderr are Outputs; closed ones are opened to nowhere.

    Raises the OSError that stdout was lost by, when all else is done, unless its reader has gone away on purpose.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:  # the next file that is opened would be taken for it
            os.open(os.devnull, os.O_RDWR)
    before = sys.stdout, sys.stderr
    given = [stream or open(os.devnull, "w") for stream in before]  # noqa: SIM115
    outputs = [Output(stream) if hasattr(stream, "buffer") else None for stream in given]
    sys.stdout, sys.stderr = (output or stream for output, stream in zip(outputs, given, strict=True))
    try:
        yield
        if outputs[0]:
            outputs[0].flush()
            if outputs[0].lost and outputs[0].lost.errno != errno.EPIPE:
                raise OSError(outputs[0].lost.errno, outputs[0].lost.strerror, "standard output")
    finally:
        for output in outputs:
            if output:
                output.flush()
                output.detach()
        sys.stdout, sys.stderr = before
