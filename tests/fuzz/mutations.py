"""Ways to damage any file, and any tree of plain values: small functions of a sound one and a seeded Random."""

import copy
import random
from collections.abc import Callable, Iterator
from typing import Any

Random = random.Random
Damage = Callable[[bytes, Random], bytes]


def cut(content: bytes, draw: Random) -> bytes:
    """The beginning alone."""
    return content[: draw.randrange(max(len(content), 1))]


def cut_start(content: bytes, draw: Random) -> bytes:
    """The end alone."""
    return content[draw.randrange(1, max(len(content), 2)) :]


def flip_bits(content: bytes, draw: Random) -> bytes:
    """One to eight bits turned over."""
    damaged = bytearray(content)
    for _ in range(draw.choice((1, 1, 1, 2, 8))):
        damaged[draw.randrange(len(damaged))] ^= 1 << draw.randrange(8)
    return bytes(damaged)


def flip_early_bits(content: bytes, draw: Random) -> bytes:
    """Bits turned over where headers are."""
    size = min(len(content), 200)
    return flip_bits(content[:size], draw) + content[size:]


def flip_late_bits(content: bytes, draw: Random) -> bytes:
    """Bits turned over where directories and footers are."""
    size = min(len(content), 400)
    return content[:-size] + flip_bits(content[-size:], draw)


def set_bytes(content: bytes, draw: Random) -> bytes:
    """A few bytes of the kind that length fields and signs break on."""
    damaged = bytearray(content)
    for _ in range(draw.randint(1, 4)):
        damaged[draw.randrange(len(damaged))] = draw.choice((0, 1, 0x7F, 0x80, 0xFE, 0xFF, draw.randrange(256)))
    return bytes(damaged)


def big_number(content: bytes, draw: Random) -> bytes:
    """A length or a place, two to eight bytes of it, becomes huge."""
    at, width = draw.randrange(len(content)), draw.choice((2, 4, 8))
    return content[:at] + draw.choice((b"\xff", b"\x7f", b"\x00")) * width + content[at + width :]


def insert(content: bytes, draw: Random) -> bytes:
    """Something strange in between."""
    at = draw.randrange(len(content) + 1)
    return content[:at] + draw.randbytes(draw.choice((1, 2, 7, 300))) + content[at:]


def delete(content: bytes, draw: Random) -> bytes:
    """A piece is missing."""
    at = draw.randrange(len(content))
    return content[:at] + content[at + draw.choice((1, 2, 7, 300)) :]


def double(content: bytes, draw: Random) -> bytes:
    """A piece is there twice."""
    at, length = draw.randrange(len(content)), draw.choice((1, 8, 100, 1000))
    return content[: at + length] + content[at : at + length] + content[at + length :]


def blank(content: bytes, draw: Random) -> bytes:
    """A piece is zeros, as after a crash of the disk."""
    at, length = draw.randrange(len(content)), draw.choice((4, 64, 4096))
    return content[:at] + bytes(len(content[at : at + length])) + content[at + length :]


def swap(content: bytes, draw: Random) -> bytes:
    """Two pieces have changed places."""
    first, second, third = sorted(draw.randrange(len(content) + 1) for _ in range(3))
    return content[:first] + content[second:third] + content[first:second] + content[third:]


def something_else(content: bytes, draw: Random) -> bytes:
    """Another kind of file altogether."""
    others = (b"", b"\n", b"\0" * 5000, b"hello\n", b"<html><body>404</body></html>", b"version https://git-lfs\n",
              b"PK\x05\x06" + bytes(18), b"\x1f\x8b\x08" + bytes(30), b"%!PS-Adobe-3.0 EPSF-3.0\n", b"{}", b"[]",
              b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"\x80\x04.", b"null")  # fmt: skip
    return draw.choice((*others, draw.randbytes(3000)))


DAMAGES: dict[str, Damage] = {
    damage.__name__: damage
    for damage in (cut, flip_bits, set_bytes, insert, delete, double, blank, swap, big_number, something_else,
                   cut_start, flip_early_bits, flip_late_bits)
}  # fmt: skip

HUGE = 10**400
ODD_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 7, 255, 2**31, 2**63, 2**64, -(2**63), HUGE, 0.5, -0.0, 1e308, float("nan"),
    float("inf"), float("-inf"), "", "0", "-1", "1e999", "a\nb", "\x1b[2J", "\0", "\ud800", "x" * 100_000, "../../etc",
    "٣", "²", "%s%n", [], {}, [[]], [None], [1, 2, 3], {"a": 1}, {"": None}, [float("nan")],
)  # fmt: skip


def places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key or position) below a tree of dicts and lists."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in list(items):
        yield tree, key
        yield from places(value)


def nested(depth: int) -> list:
    """Lists within lists."""
    value: list = []
    for _ in range(depth):
        value = [value]
    return value


def change_value(tree: Any, draw: Random, odd: tuple[Any, ...] = ODD_VALUES) -> Any:
    """One value somewhere becomes an odd one."""
    tree = copy.deepcopy(tree)
    container, key = draw.choice(list(places(tree)))
    container[key] = draw.choice(odd)
    return tree


def change_values(tree: Any, draw: Random) -> Any:
    """Several do."""
    for _ in range(draw.randint(2, 6)):
        tree = change_value(tree, draw)
    return tree


def drop(tree: Any, draw: Random) -> Any:
    """One entry somewhere is missing."""
    tree = copy.deepcopy(tree)
    container, key = draw.choice(list(places(tree)))
    del container[key]
    return tree


def rename(tree: Any, draw: Random) -> Any:
    """One key is another one."""
    tree = copy.deepcopy(tree)
    dicts = [(container, key) for container, key in places(tree) if isinstance(container, dict)]
    container, key = draw.choice(dicts)
    container[draw.choice((str(key).upper(), f" {key}", f"{key}\n", "٣", "007", "9" * 5000, ""))] = container.pop(key)
    return tree


def add(tree: Any, draw: Random) -> Any:
    """One key more."""
    return {**copy.deepcopy(tree), draw.choice(("more", "", "format ", "9" * 5000)): draw.choice(ODD_VALUES)}


def scale(tree: Any, draw: Random) -> Any:
    """A number somewhere is another one of its kind."""
    tree = copy.deepcopy(tree)
    numbers = [(c, k) for c, k in places(tree) if isinstance(c[k], (int, float)) and not isinstance(c[k], bool)]
    container, key = draw.choice(numbers)
    container[key] *= draw.choice((-1, 0, 2, 16, 1000, 10**9, 10**30))
    return tree


TREES: dict[str, Callable[[Any, Random], Any]] = {
    change.__name__: change for change in (change_value, drop, rename, scale, change_values, add)
}


class Calls:
    """Pickles as a call of `function(*arguments)`."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call
