"""Ctrl-C and SIGTERM: a line that says what is saved, status 130 or 143, and never a traceback."""

import signal
from pathlib import Path

import pytest
from kills import SERIES
from processes import check_whole, parts, started

STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143}
WORD = {signal.SIGINT: "interrupted: ", signal.SIGTERM: "terminated: "}
SAVED = {
    "augmentations": "images are saved in images; start the same command again to go on",
    "expansion": "images are saved in images; start the same command again to go on",
    "training": "--resume True goes on from there",
    "byol": "--resume True goes on from there",
    "study": "all finished trials are kept in ",
    "learning": "the last good checkpoint is run/learning.pth; start the same command again to go on",
}
QUICK = {("augmentations", signal.SIGINT), ("training", signal.SIGINT), ("training", signal.SIGTERM)}
CASES = [
    pytest.param(name, number, marks=[] if (name, number) in QUICK else pytest.mark.slow)
    for name in SAVED
    for number in STATUS
]


def has_loaded(process: int, library: str) -> bool:
    """Whether a process of this machine has begun to load a library."""
    try:
        return library in Path(f"/proc/{process}/maps").read_text()
    except OSError:
        return False


@pytest.mark.parametrize(("name", "number"), CASES)
def test_at_work_it_says_what_is_saved(name, number, shop, tmp_path):
    series = SERIES[name](4, shop)
    with started(series.command, tmp_path / "run") as process:
        # one step further than the first, for that one may not have been saved yet
        assert process.wait_until(lambda: series.seen(process.folder, process.out, 0) > series.ahead), process.story()
        process.process.send_signal(number)
        assert process.end() == STATUS[number], process.story()
    (said,) = [line for line in process.err.splitlines() if WORD[number] in line]
    assert SAVED[name] in said
    check_whole(tmp_path / "run")
    assert series.kept(tmp_path / "run")


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="tells how far a start has come by Linux's /proc")
@pytest.mark.parametrize(("name", "number"), CASES)
def test_while_it_starts_there_is_no_traceback(name, number, shop, tmp_path):
    """In the middle of importing torch."""
    series = SERIES[name](4, shop)
    with started(series.command, tmp_path / "run") as process:
        assert process.wait_until(lambda: has_loaded(process.process.pid, "libtorch_python")), process.story()
        process.process.send_signal(number)
        assert process.end() == STATUS[number], process.story()
    assert WORD[number] in process.err and not parts(tmp_path)
    assert series.kept(tmp_path / "run") == {}
