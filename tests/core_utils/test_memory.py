"""Keeping freed memory: large tensors come and go without the system's help."""

import subprocess
import sys
from pathlib import Path

import pytest

from core_code.core_utils import memory

ROOT = Path(__file__).parents[2]
FAULTS = """
import mmap, resource, sys
sys.path.insert(0, {root!r})
from core_code.core_utils.memory import keep_freed_memory
kept = keep_freed_memory() if {keep} else False
def fill():
    return sum(bytearray(b"x" * (64 << 20))[::4096])
fill()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4):
    fill()
faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(kept, faults * mmap.PAGESIZE >> 20)
"""


def megabytes_asked_for(keep: bool) -> tuple[str, int]:
    script = FAULTS.format(root=str(ROOT), keep=keep)
    kept, size = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout.split()
    return kept, int(size)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's malloc alone")
def test_freed_memory_is_used_again():
    kept, with_it = megabytes_asked_for(True)
    if kept == "False":
        pytest.skip("another C library than glibc")
    _, without = megabytes_asked_for(False)
    assert with_it < 64 < without


def test_where_there_is_no_glibc_nothing_happens(monkeypatch):
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: object())
    assert memory.keep_freed_memory() is False
    monkeypatch.setattr(memory.sys, "platform", "win32")
    assert memory.keep_freed_memory() is False
