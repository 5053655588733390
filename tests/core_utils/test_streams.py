"""How a command ends when the file system, the terminal or the encoding says no."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from core_code.core_utils import streams
from core_code.core_utils.errors import run_command
from core_code.core_utils.streams import LIVE_BARS, Output

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys
from pathlib import Path
from core_code.core_utils.errors import run_command
def main():
    for _ in range(3000):
        print("a line")
    print("caf\\udce9 \\u20ac")
    sys.stdout.flush()
    Path("done").touch()
run_command(main)
"""


def ended(code: str, folder: Path, redirection: str, **environment: str) -> subprocess.CompletedProcess:
    variables = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    command = f"\"{sys.executable}\" -c '{code}' {redirection}"
    return subprocess.run(["bash", "-c", command], cwd=folder, env=variables, capture_output=True)


@pytest.mark.parametrize(
    "redirection, environment, status, said",
    [
        ("| true; exit ${PIPESTATUS[0]}", {}, 0, b""),
        (">&-", {}, 0, b""),
        (">&- 2>&-", {}, 0, b""),
        ("> /dev/null 2> /dev/full", {}, 0, b""),
        ("> /dev/full", {}, 2, b"error: standard output: No space left on device\n"),
        ("> /dev/null", {"PYTHONIOENCODING": "ascii"}, 0, b""),
        ("> /dev/null", {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, 0, b""),
        ("> /dev/null", {"PYTHONIOENCODING": "latin-1:strict"}, 0, b""),
    ],
)
def test_a_command_goes_on_when_nobody_listens(tmp_path, redirection, environment, status, said):
    done = ended(PROGRAM, tmp_path, redirection, **environment)
    assert (done.returncode, done.stderr) == (status, said)
    assert (tmp_path / "done").exists()


@pytest.mark.parametrize(
    "fail, said",
    [
        (lambda folder: (folder / ("x" * 300)).is_dir(), "x: File name too long"),
        (lambda folder: (folder / "gone").read_text(), "gone: No such file or directory"),
        (lambda folder: os.listdir(os.fsencode(folder / "no\udce9")), "no\\udce9: No such file or directory"),
        (lambda folder: folder.read_bytes(), "Is a directory"),
        (lambda folder: (folder / "a").write_text("caf\udce9", encoding="utf-8"), "UnicodeEncodeError: 'utf-8' codec"),
        (lambda folder: os.close(999), "OSError: [Errno 9] Bad file descriptor"),
    ],
)
def test_what_the_file_system_refuses_is_one_line(tmp_path, capsys, fail, said):
    with pytest.raises(SystemExit) as ended:
        run_command(lambda: fail(tmp_path))
    error = capsys.readouterr().err
    assert ended.value.code == 2 and error.startswith("error: ") and error.count("\n") == 1 and said in error


def test_other_errors_stay_tracebacks():
    with pytest.raises(ZeroDivisionError):
        run_command(lambda: print(1 / 0))


@pytest.mark.parametrize(
    "text, shown",
    [
        ("caf\u00e9 \u5b57\t1\n", "caf\u00e9 \u5b57\t1\n"),
        ("\x1b]0;title\x07 \x1b[2J\x9b2J\x7f", r"\x1b]0;title\x07 \x1b[2J\x9b2J\x7f"),
        ("\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m"),  # argparse's colours
        ("\u202egnp.exe", r"\u202egnp.exe"),
    ],
)
def test_what_would_steer_a_terminal_is_shown_as_escapes(text, shown):
    content = io.BytesIO()
    given = io.TextIOWrapper(content, encoding="utf-8")
    stream = Output(given)
    assert stream.write(text) == len(text)
    stream.flush()
    assert content.getvalue().decode() == shown


class Terminal(io.TextIOWrapper):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("kind", [Terminal, io.TextIOWrapper])
def test_bars_are_lines_every_half_minute_where_there_is_no_terminal(monkeypatch, kind):
    from tqdm import tqdm

    now = [100.0]
    monkeypatch.setattr(streams.time, "monotonic", lambda: now[0])
    monkeypatch.delenv(LIVE_BARS, raising=False)
    content = io.BytesIO()
    given = kind(content, encoding="utf-8")
    stream = Output(given)
    for leave in (True, False):
        with tqdm(total=100, desc="epoch", file=stream, mininterval=0, leave=leave) as bar:
            for step in range(100):
                now[0] += 1
                bar.update()
                if step == 50:
                    bar.clear()
                    stream.write("a message\n")
    stream.flush()
    said = content.getvalue().decode()
    if kind is Terminal:
        assert said.count("\r") > 200
    else:
        lines = said.splitlines()
        assert "\r" not in said and lines.count("a message") == 2
        bars = [line for line in lines if line != "a message"]
        assert len(bars) == 200 // 30 and all(line.startswith("epoch: ") and "/100" in line for line in bars)


def test_a_bar_that_outlives_an_interrupted_command_says_nothing_more(tmp_path):
    """The traceback of the interruption holds a generator, which holds the bar, until the command has ended."""
    code = """
import os, signal
from tqdm import tqdm
from core_code.core_utils.errors import run_command
def main():
    bar = tqdm(range(9), mininterval=0, leave=False)
    steps = (os.kill(os.getpid(), signal.SIGTERM) for _ in bar)
    list(steps)
run_command(main)
"""
    for live in ("", "1"):
        done = ended(code, tmp_path, "", **({LIVE_BARS: live} if live else {}))
        said = done.stderr.decode()
        assert done.returncode == 143 and "terminated: " in said
        assert "Traceback" not in said and "detached" not in said and "ignored" not in said
