"""Reading a pickle without running anything that it names: unknown classes become inert stand-ins.

A pickle may name any class or function and ask for it to be called. Here a name imports nothing: whatever is built,
called or given a state is a StandIn, which keeps what it was given and does nothing.
"""

import io
import pickle
from datetime import datetime
from typing import Any

from core_code.core_utils.pickles import light_opcodes

PLAIN_TYPES = {("datetime", "datetime"): datetime}  # Python's own plain data beside numbers, texts and containers


class StandIn:
    """An object of a class that is not imported: its attributes, and in `arguments` what it was built from.

    What a container of an unknown class holds is dropped.
    """

    name = ""
    arguments: tuple[Any, ...] = ()

    def __new__(cls, *arguments: Any, **named: Any) -> "StandIn":
        made = super().__new__(cls)
        made.arguments = arguments
        return made

    def __call__(self, *arguments: Any, **named: Any) -> "StandIn":
        """Calling what a stand-in was called for gives another one."""
        return StandIn(*arguments)

    def __setstate__(self, state: Any) -> None:
        for part in state if isinstance(state, tuple) else (state,):
            if isinstance(part, dict):
                self.__dict__.update(part)

    def drop(self, *items: Any) -> None:
        """Take no items."""

    append = extend = add = __setitem__ = drop


class InertUnpickler(pickle.Unpickler):
    """Numbers, texts, containers, moments; everything else is a StandIn, of a new class for each name and file."""

    def __init__(self, content: bytes) -> None:
        super().__init__(io.BytesIO(content))
        self.known: dict[tuple[str, str], type] = dict(PLAIN_TYPES)

    def find_class(self, module: str, name: str) -> type:
        """The stand-in for a name, dotted ones included. Nothing is looked up."""
        if (module, name) not in self.known:
            self.known[module, name] = type("StandIn", (StandIn,), {"name": name})
        return self.known[module, name]


def load_inert(content: bytes) -> Any:
    """What the pickle holds, with StandIns. Damaged ones raise nearly anything."""
    check_memo(content)
    return InertUnpickler(content).load()


def check_memo(content: bytes) -> None:
    """Raise ValueError where a pickle numbers its objects higher than it has bytes.

    Python reserves room for as many objects as the highest number, which makes gigabytes of nine bytes.
    """
    for opcode, argument in light_opcodes(content):
        if opcode in ("PUT", "BINPUT", "LONG_BINPUT") and int(argument or 0) > len(content):
            raise ValueError(f"object {argument} in {len(content)} bytes")
