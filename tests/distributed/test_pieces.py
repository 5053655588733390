"""Sums, parts of batches and synchronised norms: what two and four processes compute is what one computes."""

import pytest


@pytest.mark.parametrize("processes", [1, 2, pytest.param(4, marks=pytest.mark.slow)])
def test_the_pieces_agree_with_one_process(job, tmp_path, processes):
    ended = job(processes, "pieces", "")
    assert ended.went_well, ended.err
    assert ended.out == [f"{processes} processes agree\n"] + [""] * (processes - 1), "one process is heard"
    turns = (tmp_path / "in_turn").read_text()
    assert turns[0] == "0" and sorted(turns) == [str(rank) for rank in range(processes)]
