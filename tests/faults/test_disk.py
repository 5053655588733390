"""A disk that is full and folders that cannot be written: one line of error that names the file, all old files intact.

A file system of its own is mounted for each test, for root may write into any folder of the usual one.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from commands import COMMANDS
from processes import check_whole, files_of

LEFT_KB = {"nothing left": 0, "little left": 8}
SIZE_KB = 128 * 1024


@pytest.fixture(autouse=True)
def quick_pictures(small, small_pictures):
    """A small net in the table, and small pictures."""


def fill_up(folder: Path, left_kb: int) -> Path:
    """Take all space of the disk but so much; returns the file that does."""
    filler = folder / "filler"
    disk = os.statvfs(folder)
    with open(filler, "wb") as file:
        os.posix_fallocate(file.fileno(), 0, disk.f_bavail * disk.f_frsize - left_kb * 1024)
    return filler


def contents(folder: Path) -> dict[Path, bytes]:
    """All files but logs, which only grow, and locks."""
    return {
        path: path.read_bytes() for path in files_of(folder) if path.suffix not in {".log", ".jsonl", ".lock"}
        and path.name != "filler"
    }  # fmt: skip


@pytest.mark.parametrize("left", ["nothing left", pytest.param("little left", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_disk(name, left, disk, shop, capsys):
    """The old files are whole and as they were, or the run's next version of them; with room again the run goes on."""
    folder, command = disk(SIZE_KB), COMMANDS[name]
    dest = folder / "dest"
    command.run(dest, shop)
    before = contents(dest)
    filler = fill_up(folder, LEFT_KB[left])
    error = command.error(capsys, dest, shop, *command.further)
    assert str(dest) in error and ("No space left on device" in error or "disk is full" in error)
    filler.unlink()
    after = contents(dest)
    assert before.keys() <= after.keys()
    check_whole(dest)
    if left == "nothing left":
        assert {path: after[path] for path in before} == before
    command.run(dest, shop, *command.further)
    check_whole(dest)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_disk_that_is_full_from_the_start(name, disk, shop, capsys):
    folder = disk(64)
    fill_up(folder, 0)
    error = COMMANDS[name].error(capsys, folder / "dest", shop)
    assert str(folder / "dest") in error and "Traceback" not in error


@pytest.mark.parametrize("name", COMMANDS)
def test_a_read_only_destination(name, disk, shop, capsys):
    """Of an earlier run that would go on."""
    folder, command = disk(SIZE_KB), COMMANDS[name]
    dest = folder / "dest"
    command.run(dest, shop)
    before = contents(dest)
    with read_only(folder) as view:
        error = command.error(capsys, view / "dest", shop, *command.further)
    assert str(view / "dest") in error and ("ead-only file system" in error or "readonly" in error)
    assert contents(dest) == before
    check_whole(dest)


@contextmanager
def read_only(folder: Path) -> Iterator[Path]:
    """The folder at a second place, where nothing can be written; the first may still be open for writing."""
    view = folder.with_name("view")
    view.mkdir()
    subprocess.run(["mount", "--bind", str(folder), str(view)], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(view)], check=True)
        yield view
    finally:
        subprocess.run(["umount", "--lazy", str(view)], check=True)
