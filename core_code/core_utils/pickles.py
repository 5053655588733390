"""What a pickle would cost to build, found out without building anything."""

import pickletools
from collections.abc import Iterator
from typing import Any, BinaryIO

HEAVIEST = 1_000_000  # parts of a tuple, those of its parts counted again wherever they stand
HASHABLE = ("TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "FROZENSET")
STORED, TAKEN = ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"), ("GET", "BINGET", "LONG_BINGET")


def light_opcodes(file: bytes | BinaryIO) -> Iterator[tuple[str, Any]]:
    """The names and arguments of a pickle's opcodes. Raises ValueError for a tuple of too many parts.

    As a key it is hashed through all its parts, and a tuple that holds another one twice, and so on, doubles with each
    level: a kilobyte can ask for years. Damaged pickles raise nearly anything.
    """
    stack: list[int | None] = []  # of each object its number of parts; None is a mark
    memo: dict[int, int] = {}
    for opcode, argument, _ in pickletools.genops(file):
        yield opcode.name, argument
        if opcode.name in STORED:
            memo[len(memo) if argument is None else argument] = stack[-1] or 1
            continue
        parts = 1
        if pickletools.markobject in opcode.stack_before:
            while (top := stack.pop()) is not None:
                parts += top
            below = opcode.stack_before.index(pickletools.markobject)
            del stack[len(stack) - below :]
        else:
            for _ in opcode.stack_before:
                parts += stack.pop() or 1
        if opcode.name in TAKEN:
            parts = memo[int(argument or 0)]
        elif opcode.name == "DUP":
            parts -= 1
        elif opcode.name not in HASHABLE:
            parts = 1
        if parts > HEAVIEST:
            raise ValueError("a tuple within tuples, of too many parts")
        stack += [None if kind is pickletools.markobject else parts for kind in opcode.stack_after]
