"""Files that grow by lines after a full disk, and temporary files that are not ours."""

import errno
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from core_code.core_utils import files
from core_code.core_utils.errors import InputError
from core_code.core_utils.files import append_line, atomic_write, read_json, remove_stale_files, write_json
from core_code.core_utils.locks import exclusive_lock
from core_code.core_utils.logs import read_history
from core_code.datasets.cache import load_or_make, map_arrays
from core_code.datasets.fer2013 import FER2013
from core_code.evaluation.curves import read_log


@pytest.mark.parametrize(
    "before, after, said",
    [
        (b"", b"new\n", False),
        (b"one\n", b"one\nnew\n", False),
        (b"one\ntw", b"one\nnew\n", True),
        (b"on", b"new\n", True),
        (b"one\n\xff\xfe", b"one\nnew\n", True),
        (b"one\n\n", b"one\n\nnew\n", False),
    ],
)
def test_a_line_that_was_cut_off_is_dropped_and_said(tmp_path, capsys, before, after, said):
    (tmp_path / "lines").write_bytes(before)
    append_line(tmp_path / "lines", "new")
    assert (tmp_path / "lines").read_bytes() == after
    assert ("its last line was cut off" in capsys.readouterr().err) == said


def test_a_line_that_the_disk_refuses_leaves_nothing(tmp_path, monkeypatch):
    import resource
    import signal

    append_line(tmp_path / "lines", "one")
    monkeypatch.setattr(signal, "raise_signal", None)
    before, ignored = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        with pytest.raises(InputError, match="lines: cannot be written"):
            append_line(tmp_path / "lines", "x" * 500)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert (tmp_path / "lines").read_bytes() == b"one\n"


def test_numbers_that_json_does_not_have_are_null(tmp_path):
    value = {"a": math.nan, "b": [math.inf, 1.5, {"c": (-math.inf, "NaN")}], "d": np.float64("nan"), "e": None}
    write_json(tmp_path / "a.json", value)
    found = json.loads((tmp_path / "a.json").read_text(), parse_constant=pytest.fail)
    assert found == {"a": None, "b": [None, 1.5, {"c": [None, "NaN"]}], "d": None, "e": None}


def test_only_our_own_temporary_files_are_removed(tmp_path):
    others = [".holiday.mp4.part", ".a.png.12345678.parts", ".a.png.0123456g.part", "a.png.01234567.part",
              ".a.png.012345678.part", ".a.png.ABCDEF01.part"]  # fmt: skip
    for name in others:
        (tmp_path / name).touch()
    (tmp_path / "target").touch()
    (tmp_path / ".link.0123abcd.part").symlink_to("target")
    os.mkfifo(tmp_path / ".fifo.0123abcd.part")  # opening it would wait for a writer
    (tmp_path / ".a.png.0123abcd.part").touch()
    (tmp_path / ".b.png.89ef4567.part").touch()
    atomic_write(tmp_path / "a.png", lambda file: file.write(b"new"))
    assert not (tmp_path / ".a.png.0123abcd.part").exists() and (tmp_path / ".b.png.89ef4567.part").exists()
    remove_stale_files(tmp_path)
    left = {".link.0123abcd.part", ".fifo.0123abcd.part", "target", "a.png", *others}
    assert set(os.listdir(tmp_path)) == left


@pytest.mark.parametrize("figure", ["1" + "0" * 400, "-18446744073709551616", '"0.5"', "true", "[]", "null"])
def test_a_figure_of_a_history_is_a_number_that_can_be_drawn(tmp_path, figure):
    path = tmp_path / "history.jsonl"
    path.write_text('{"epoch": 1, "loss": NaN}\n{"epoch": 2, "loss": ' + figure + "}\n")
    with pytest.raises(InputError, match=r"history\.jsonl, line 2: expected the figures of epoch 2"):
        read_history(path)


@pytest.mark.parametrize("read", [read_json, read_history, read_log])
@pytest.mark.parametrize("what", ["pipe", "/dev/zero", "sparse"])
def test_what_never_ends_is_not_read(tmp_path, read, what):
    path = tmp_path / "file" if what != "/dev/zero" else what
    if what == "pipe":
        os.mkfifo(path)
    elif what == "sparse":
        with open(path, "wb") as file:
            file.truncate(1 << 40)
    with pytest.raises(InputError, match=r"a device or a pipe, expected a file|bytes, expected a file of at most"):
        read(path)


def test_a_pipe_in_place_of_a_cache_a_lock_or_an_image_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert map_arrays(tmp_path / "pipe", "", {}) is None
    with pytest.raises(InputError, match="pipe: no file, expected the lock"), exclusive_lock(tmp_path, "pipe"):
        pass
    (tmp_path / "train/happy").mkdir(parents=True)
    os.mkfifo(tmp_path / "train/happy/a.png")
    with pytest.raises(InputError, match="a device or a pipe, expected an image"):
        FER2013(tmp_path, "train", "folder")


def test_a_device_is_never_replaced_by_a_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="pipe: a device or a pipe, expected the name of a file"):
        atomic_write(tmp_path / "pipe", lambda file: file.write(b"new"))
    assert os.listdir(tmp_path) == ["pipe"]


@pytest.mark.parametrize("wait", [False, True])
def test_a_file_system_without_locks_is_one_line_and_files_are_written_there(tmp_path, monkeypatch, wait):
    def refuse(*arguments):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(files.fcntl, "flock", refuse)
    with pytest.raises(InputError, match="its file system has no locks"), exclusive_lock(tmp_path, wait=wait):
        pass
    atomic_write(tmp_path / "a", lambda file: file.write(b"new"))
    assert (tmp_path / "a").read_bytes() == b"new"


CHILD = """
import sys, time
from pathlib import Path
import numpy as np
from core_code.datasets.cache import load_or_make
def make():
    return {"numbers": np.full(1 << 20, int(sys.argv[2]), dtype=np.uint8)}
array = load_or_make(Path(sys.argv[1]), sys.argv[2], {"numbers": (np.uint8, ())}, make)["numbers"]
assert isinstance(array, np.ndarray)
print("mapped", flush=True)
sys.stdin.readline()
assert (array == int(sys.argv[2])).all()
print("whole", flush=True)
"""


def test_a_cache_that_is_mapped_is_replaced_and_never_rewritten(tmp_path):
    """A process goes on with the numbers that it mapped while others write the cache anew, shorter and longer: where a
    file is truncated under a mapping, the system kills its process."""
    path = tmp_path / "numbers.cache"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(path), "1"], env=environment, text=True,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # fmt: skip
    with child:
        assert child.stdout.readline() == "mapped\n"
        before = path.stat().st_ino
        with open(path, "rb") as held:  # so that its number cannot be given to the next file
            for source, size in (("2", 10), ("3", 1 << 22)):
                made = {"numbers": np.full(size, int(source), dtype=np.uint8)}
                again = load_or_make(path, source, {"numbers": (np.uint8, ())}, lambda made=made: made)["numbers"]
                assert len(again) == size and path.stat().st_ino != before
            assert os.fstat(held.fileno()).st_nlink == 0 and os.fstat(held.fileno()).st_size > 1 << 20
        child.stdin.write("\n")
        child.stdin.flush()
        assert child.stdout.readline() == "whole\n"
    assert child.returncode == 0
