"""Signals in quick succession, and where Python drops what their handlers raise."""

import os
import signal
import time

import pytest

from core_code.core_utils.errors import run_command
from core_code.core_utils.signals import Terminated, exit_with_message

CASES = pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])


def send(number: int) -> None:
    os.kill(os.getpid(), number)


@CASES
def test_of_a_storm_of_signals_the_first_one_ends_the_command(number, status, capsys):
    saved = []

    def main() -> None:
        try:
            send(number)
        except KeyboardInterrupt as interrupt:
            assert isinstance(interrupt, Terminated) == (number == signal.SIGTERM)
            for each in (number, signal.SIGINT, signal.SIGTERM):
                send(each)
            saved.append(True)
            exit_with_message(interrupt, "one is saved")

    with pytest.raises(SystemExit) as ended:
        run_command(main)
    for each in (number, signal.SIGINT, signal.SIGTERM):  # while Python ends
        send(each)
    words = capsys.readouterr().err.split()
    assert ended.value.code == status and saved == [True]
    assert words == [{130: "interrupted:", 143: "terminated:"}[status], "one", "is", "saved"]


@CASES
def test_a_signal_in_a_destructor_ends_the_command_all_the_same(number, status, capsys):
    class Object:
        def __del__(self) -> None:
            send(number)
            time.sleep(0.01)

    def main() -> None:
        Object()
        time.sleep(20)

    with pytest.raises(SystemExit) as ended:
        run_command(main)
    assert ended.value.code == status
    assert "Exception ignored" not in capsys.readouterr().err


def test_a_second_signal_after_a_while_is_heard(monkeypatch):
    monkeypatch.setattr("core_code.core_utils.signals.STORM_S", 0.05)
    heard = []

    def main() -> None:
        for _ in range(2):
            try:
                send(signal.SIGINT)
            except KeyboardInterrupt:
                heard.append(True)
                time.sleep(0.1)

    run_command(main)
    assert heard == [True, True] and signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
