"""Sums, parts of batches and synchronised norms: what two and four processes compute is what one computes."""

import pytest

from core_code.core_utils.distributed.job import distributed_session, rank, world_size
from core_code.core_utils.errors import InputError


@pytest.mark.parametrize("processes", [1, 2, pytest.param(4, marks=pytest.mark.slow)])
def test_the_pieces_agree_with_one_process(job, tmp_path, processes):
    ended = job(processes, "pieces", "")
    assert ended.went_well, ended.err
    assert ended.out == [f"{processes} processes agree\n"] + [""] * (processes - 1), "one process is heard"
    turns = (tmp_path / "in_turn").read_text()
    assert turns[0] == "0" and sorted(turns) == [str(rank) for rank in range(processes)]


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"RANK": "x", "WORLD_SIZE": "2"}, "RANK='x', WORLD_SIZE='2' and LOCAL_RANK='0', expected whole numbers"),
        ({"RANK": "0", "WORLD_SIZE": "0"}, "WORLD_SIZE='0' .* RANK below WORLD_SIZE"),
        ({"RANK": "2", "WORLD_SIZE": "2"}, "RANK='2', WORLD_SIZE='2' .* RANK below WORLD_SIZE"),
        ({"RANK": "0", "WORLD_SIZE": "-2"}, "WORLD_SIZE='-2'"),
        ({"RANK": "0", "WORLD_SIZE": "many"}, "WORLD_SIZE='many'"),
        ({"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "1.5"}, "LOCAL_RANK='1.5'"),
        ({"RANK": "0", "WORLD_SIZE": "2"}, r"process 0 of 2: cannot reach the first one \(.*MASTER_ADDR"),
        ({"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "99999999"}, "cannot reach"),
        ({"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "x"}, "cannot reach"),
    ],
)  # fmt: skip
def test_an_environment_that_is_no_jobs_is_told_in_one_line(monkeypatch, environment, said):
    monkeypatch.setenv("TQDM_DISABLE", "")  # which other ranks than 0 set: taken back after the test
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=said), distributed_session():
        pass


@pytest.mark.parametrize("environment", [{}, {"RANK": "3"}, {"WORLD_SIZE": "4"}, {"RANK": "0", "WORLD_SIZE": "1"}])
def test_without_a_job_a_process_is_alone(monkeypatch, environment):
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with distributed_session():
        assert (rank(), world_size()) == (0, 1)
