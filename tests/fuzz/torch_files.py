"""Files of torch.save, damaged: as bytes, as archives, and in what they hold."""

import copy
import io
import os
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from family import SENTINEL, Mutant
from mutations import DAMAGES, ODD_VALUES, TREES, Calls, Random, change_value, nested, places
from torch import Tensor

BOMB = 300 << 20  # bytes that two MiB unpack to
OLD = "old "  # before a kind: in the format before torch 1.6, which has no checksums


def packed(value: Any, old: bool = False) -> bytes:
    """What torch.save writes."""
    buffer = io.BytesIO()
    torch.save(value, buffer, _use_new_zipfile_serialization=not old)
    return buffer.getvalue()


class Claims:
    """Pickles as a tensor of 16 numbers that says it is of another size, stride or place."""

    def __init__(self, size: tuple[int, ...], stride: tuple[int, ...], offset: int = 0) -> None:
        storage = torch.zeros(16)._typed_storage()
        self.call = torch._utils._rebuild_tensor_v2, (storage, offset, size, stride, False, OrderedDict())

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


def shared(depth: int) -> list:
    """A list of ten lists of ten lists ..., each ten times the same one: little to store, endless to print."""
    value: list = []
    for _ in range(depth):
        value = [value] * 10
    return value


CLAIMS = (
    ((10**6, 10**6), (0, 0)), ((10**6, 10**6), (10**6, 1)), ((2**62, 4), (0, 0)), ((4,), (-1,)), ((-4,), (1,)),
    ((4, 4), (4, -1)), ((4,), (2**60,)), ((4,), (1,), 10**12), ((4,), (1,), -4), ((2, 3, 3, 3), (0, 0, 0, 0)),
)  # fmt: skip
NOT_FLOATS = (torch.int64, torch.bool, torch.complex64, torch.uint8)
FLOATS = (torch.float64, torch.float16, torch.bfloat16, torch.float32)
ALTERED: dict[str, Callable[[Tensor, Random], Any]] = {
    "another dtype": lambda tensor, draw: tensor.to(draw.choice(NOT_FLOATS)),
    "another width": lambda tensor, draw: tensor.to(draw.choice(FLOATS)),
    "flat": lambda tensor, draw: tensor.reshape(-1),
    "another rank": lambda tensor, draw: tensor[None] if draw.random() < 0.5 else tensor.sum(),
    "longer": lambda tensor, draw: torch.cat([tensor.reshape(-1), tensor.reshape(-1)]),
    "empty": lambda tensor, draw: tensor.reshape(-1)[:0],
    "turned": lambda tensor, draw: tensor.permute(list(reversed(range(tensor.ndim)))),
    "not a number": lambda tensor, draw: tensor.float() * draw.choice((float("nan"), float("inf"), float("-inf"))),
    "beyond float32": lambda tensor, draw: torch.full_like(tensor, 1e300, dtype=torch.float64),
    "one number for all": lambda tensor, draw: torch.zeros((), dtype=tensor.dtype).expand(tensor.shape),
    "a parameter": lambda tensor, draw: torch.nn.Parameter(tensor.float()),
    "numbers": lambda tensor, draw: tensor.tolist(),
    "sparse": lambda tensor, draw: tensor.to_sparse(),
    "no data": lambda tensor, draw: tensor.to("meta"),
    "claims": lambda tensor, draw: Claims(*draw.choice(CLAIMS)),
}


def alter_tensor(tree: Any, draw: Random) -> Any:
    """One tensor somewhere is another one, or none."""
    tree = copy.deepcopy(tree)
    container, key = draw.choice([(c, k) for c, k in places(tree) if isinstance(c[k], Tensor)])
    container[key] = ALTERED[draw.choice(list(ALTERED))](container[key], draw)
    return tree


def claim(tree: Any, draw: Random) -> Any:
    """One value somewhere, or one more, is a tensor that claims what it does not have."""
    tree = copy.deepcopy(tree)
    container, key = draw.choice(list(places(tree)))
    container[key if isinstance(container, list) or draw.random() < 0.7 else "more"] = Claims(*draw.choice(CLAIMS))
    return tree


def other_keys(tree: Any, draw: Random) -> Any:
    """A dict somewhere has keys that are no texts: one of its own, or one more."""
    tree = copy.deepcopy(tree)
    container, key = draw.choice([(c, k) for c, k in [({0: tree}, 0), *places(tree)] if isinstance(c[k], dict)])
    changed = container[key]
    odd = draw.choice((None, 7, -1, True, 0.5, (), (1, ("a",)), b"conv.weight", float("nan"), "\ud800", "a\nb"))
    changed[odd] = changed.pop(draw.choice(list(changed))) if changed and draw.random() < 0.5 else draw.choice((1, {}))
    return tree


def bury(tree: Any, draw: Random) -> Any:
    """A value is nested deeply, is endless to print, or holds the whole file again."""
    tree = copy.deepcopy(tree)
    container, key = draw.choice(list(places(tree)))
    container[key] = draw.choice((nested(90), shared(15), {"net": {"net": {"net": 1}}}, {key: container[key]}))
    return tree


def not_a_dict(tree: Any, draw: Random) -> Any:
    """Something else altogether."""
    return draw.choice((None, 7, "text", [tree], torch.zeros(3), (), shared(15), nested(90), {}, [], float("nan")))


def more_than_tensors(tree: Any, draw: Random) -> Any:
    """Calls and objects that weights do not need; torch makes some of them for any file."""
    to_another_device = torch._utils._rebuild_device_tensor_from_cpu_tensor  # which copies, here four gigabytes
    commands = (
        Calls(os.system, f"touch {SENTINEL}"), Calls(eval, f"open({SENTINEL!r}, 'w')"), Calls(bytearray, 1 << 30),
        Calls(print, "x"), torch.nn.Linear(1, 1), Path("x"), Calls(torch.zeros, 1 << 28), Calls(open, SENTINEL, "w"),
        Calls(to_another_device, Claims((1 << 29,), (0,)), torch.float64, "cpu", False),
    )  # fmt: skip
    return {**copy.deepcopy(tree), draw.choice(("more", "net", "step")): draw.choice(commands)}


INSIDE: dict[str, Callable[[Any, Random], Any]] = {
    "change_value": lambda tree, draw: change_value(tree, draw, (*ODD_VALUES, torch.zeros(3), torch.zeros(0, 2))),
    "alter_tensor": alter_tensor,
    "more_than_tensors": more_than_tensors,
    "claim": claim,
    "bury": bury,
    "other_keys": other_keys,
    **{name: change for name, change in TREES.items() if name not in ("change_value", "scale")},
    "not_a_dict": not_a_dict,
}


def entries_of(content: bytes) -> dict[str, bytes]:
    """What an archive holds."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def archive_of(entries: Mapping[str, bytes], **options: int) -> bytes:
    """An archive with right checksums."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", **options) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def change_entry(content: bytes, draw: Random) -> bytes:
    """An entry is missing, shorter, longer, twice as long, or of another name; checksums are right."""
    entries = entries_of(content)
    name = draw.choice(list(entries))
    held = entries.pop(name)
    change = draw.choice(("missing", "shorter", "longer", "name"))
    if change == "name":
        entries[name + "x" if draw.random() < 0.5 else name.upper()] = held
    elif change != "missing":
        entries[name] = held[: len(held) // 2] if change == "shorter" else held * 2 + b"x"
    return archive_of(entries)


def swap_entries(content: bytes, draw: Random) -> bytes:
    """Two tensors' numbers have changed places."""
    entries = entries_of(content)
    one, other = draw.sample([name for name in entries if "/data/" in name], 2)
    entries[one], entries[other] = entries[other], entries[one]
    return archive_of(entries)


def change_pickle(content: bytes, draw: Random) -> bytes:
    """The pickle is damaged, and its checksum right."""
    entries = entries_of(content)
    (name,) = [name for name in entries if name.endswith("data.pkl")]
    entries[name] = DAMAGES[draw.choice(list(DAMAGES))](entries[name], draw)
    return archive_of(entries)


def compress(content: bytes, draw: Random) -> bytes:
    """As another program would pack it."""
    return archive_of(entries_of(content), compression=zipfile.ZIP_DEFLATED)


def bomb(content: bytes, draw: Random) -> bytes:
    """A tensor's numbers, or the pickle, unpack to more than a reader may take."""
    entries = entries_of(content)
    entries[draw.choice([name for name in entries if "/data/" in name or name.endswith("pkl")])] = bytes(BOMB)
    return archive_of(entries, compression=zipfile.ZIP_DEFLATED, compresslevel=1)


def two_directories(content: bytes, draw: Random) -> bytes:
    """A second directory, another archive, or something else before, between or behind; or two sizes of an entry."""
    plain = archive_of(entries_of(content))
    with zipfile.ZipFile(io.BytesIO(plain)) as archive:
        start, entry = archive.start_dir, draw.choice(archive.infolist())
    change = draw.choice(("appended", "hidden", "behind", "sizes", "a name twice"))
    if change == "hidden":
        end = bytearray(plain[start:])
        struct.pack_into("<I", end, len(end) - 6, len(plain) + start)
        return plain[:start] + plain[start:] + plain[:start] + bytes(end)
    if change == "sizes":
        at = entry.header_offset + draw.choice((14, 18, 22))
        return plain[:at] + struct.pack("<I", draw.choice((0, 1, 0xFFFFFFFF))) + plain[at + 4 :]
    if change == "a name twice":
        return archive_of({**entries_of(content), "archive/DATA.PKL": b"\x80\x02}."})
    return plain + (plain if change == "appended" else draw.choice((b"x", bytes(22), plain[-22:])))


ARCHIVES: dict[str, Callable[[bytes, Random], bytes]] = {
    change.__name__: change for change in (change_pickle, compress, change_entry, swap_entries, two_directories)
}
BOMBS = {"bomb": bomb}  # which take a second to make: a few are enough
MUST_FAIL = ("more_than_tensors", "not_a_dict", "compress", "bomb", "two_directories")
KINDS = (*INSIDE, *DAMAGES, *ARCHIVES, *(OLD + name for name in DAMAGES))


def from_kind(first: str) -> tuple[str, ...]:
    """KINDS beginning with this one, so that the first mutants of several families are of different kinds."""
    at = KINDS.index(first)
    return KINDS[at:] + KINDS[:at]


@dataclass(frozen=True)
class Weights(Mutant):
    """A damaged file of torch.save. `sound`: what it held before, where the format's checksums must tell it from
    anything else; `more`: what else its reader must know."""

    more: tuple[Any, ...] = ()
    sound: dict[str, Any] | None = None

    def held(self) -> dict[str, Any]:
        """What must be read from it: what it held before, or what torch reads from it now."""
        return self.sound or torch.load(self.path, "cpu", weights_only=True)


def damaged(sound: dict[str, Any], kind: str, draw: Random) -> bytes:
    """A file of what was sound, damaged."""
    if kind in INSIDE:
        return packed(INSIDE[kind](sound, draw), old=draw.random() < 0.3)
    if kind in ARCHIVES or kind in BOMBS:
        return (ARCHIVES | BOMBS)[kind](packed(sound), draw)
    return DAMAGES[kind.removeprefix(OLD)](packed(sound, old=kind.startswith(OLD)), draw)


def damage(path: Path, sound: dict[str, Any], kind: str, draw: Random, **options: Any) -> Weights:
    """Write a damaged file of what was sound; one that is as it was is damaged again."""
    content = damaged(sound, kind, draw)
    while content in (packed(sound), packed(sound, old=True)):
        content = damaged(sound, kind, draw)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return Weights(path, refused=kind in MUST_FAIL, sound=sound if kind in DAMAGES else None, **options)


def check_same(read: Mapping[str, Tensor], held: Mapping[str, Any]) -> None:
    """What was read into a net is what the file holds, and numbers; a counter that the file lacks is 0."""
    for name, value in read.items():
        missing = name.endswith("num_batches_tracked") and name not in held
        expected = torch.zeros_like(value) if missing else held[name].to(value.dtype)
        assert torch.equal(value, expected), f"{name} is not what the file holds"
        assert value.isfinite().all(), f"{name} is not finite"
