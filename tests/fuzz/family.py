"""One family of files that the program reads: how to damage them, how to read them, and what must hold of a try.

A damaged file either works or is refused by an InputError of one line that names it. Nothing else escapes, no code in
it is run, no file is left behind, and little memory is used.
"""

import hashlib
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mutations import Random

from core_code.core_utils.errors import InputError

FOLDER = "mutant"  # where each is written, below the folder that the worker stands in
SENTINEL = "code-was-run"  # in there; what malicious files would make
LONGEST_MESSAGE = 1500
MOST_MEMORY = 256 << 20  # bytes beyond what the process had when the reading began
WORKS, REFUSED = "works", "refused"


@dataclass(frozen=True)
class Mutant:
    """A damaged file. `names` are what the error must say; `refused`: it must not work; `may_write`: files that reading
    it may leave, by the ends of their names, and `whole_cache` one that it may leave even when it is refused."""

    path: Path
    names: Sequence[str] = ()
    refused: bool = False
    may_write: tuple[str, ...] = (".cache",)
    whole_cache: str = ""


@dataclass(frozen=True)
class Family:
    """Mutants that take the kinds in turn. `mutate(folder, kind, draw)` writes one into an empty folder; `read(mutant)`
    reads it as the program does, and asserts that what it got is sound."""

    name: str
    kinds: Sequence[str]
    mutate: Callable[[Path, str, Random], Mutant]
    read: Callable[[Mutant], None]

    def kind(self, number: int) -> str:
        return self.kinds[number % len(self.kinds)]


def files_in(folder: Path) -> dict[str, bytes]:
    """What lies below the folder: names and digests."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).digest() if path.is_file() else b""
        for path in sorted(folder.rglob("*"))
        if path.stat().st_size < 1 << 28  # one mutant is a file full of holes
    }


def try_mutant(family: Family, number: int, folder: Path, peak: Callable[[], int], ran: list[str]) -> str:
    """Make and read one mutant: how it ended; raises AssertionError that says what must not happen and did.

    `peak()` gives the bytes of memory that this process has taken at most since it was asked last; `ran` is the list
    to which the process's audit hook adds what starts programs or connects.
    """
    kind = family.kind(number)
    mutant = family.mutate(folder, kind, Random(f"{family.name} {number}"))
    before = files_in(folder)
    ran.clear()
    peak()
    at_rest = peak()
    try:
        family.read(mutant)
        outcome = WORKS
    except InputError as error:
        outcome = REFUSED
        check_message(str(error), mutant)
    except BaseException as error:
        raise AssertionError(f"{type(error).__name__} escaped:\n{traceback.format_exc(limit=-8)}"[:4000]) from error
    used = peak() - at_rest
    assert used < MOST_MEMORY, f"{used >> 20} MiB of memory were taken"
    assert not ran, f"a program was started or a connection made: {ran}"
    assert not (folder / SENTINEL).exists(), "code in the file was run"
    after = files_in(folder)
    left = [name for name in after if name not in before and not name.endswith(mutant.may_write)]
    assert not left and not [name for name in after if name.endswith(".part")], f"left behind: {left or list(after)}"
    assert all(after.get(name) == before[name] for name in before if not name.endswith(mutant.may_write))
    if outcome == REFUSED:
        written = set(after) - set(before) - {mutant.whole_cache}
        assert not written, f"written before it was refused: {written}"
    assert outcome == REFUSED or not mutant.refused, "it was accepted"
    return outcome


def check_message(message: str, mutant: Mutant) -> None:
    """One printable line that names the file, and the row where there is one."""
    shown = repr(message[:300])
    assert message.isprintable(), f"not one printable line: {shown}"
    assert len(message) <= LONGEST_MESSAGE, f"a message of {len(message)} characters: {shown}"
    for name in (one_line(str(mutant.path)), *mutant.names):
        assert name in message, f"{name!r} is not in {shown}"


def one_line(text: str) -> str:
    """As errors show it: what cannot be printed, escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
