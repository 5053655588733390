"""Pickles whose keys are tuples within tuples are refused before anything is built; honest ones are not."""

import collections
import io
import pickle

import pytest
import torch

from core_code.core_utils.pickles import light_opcodes
from core_code.core_utils.weights import check_file
from core_code.search.inert_pickle import load_inert


def as_key(levels: int, width: int, protocol: int) -> bytes:
    """The pickle of a dict with such a tuple for its key; building that dict here would hash it."""
    value: tuple = (0,)
    for _ in range(levels):
        value = (value,) * width
    start, body = (b"\x80" + bytes([protocol]), 2) if protocol >= 2 else (b"", 0)
    pickled = pickle.dumps(value, protocol)
    body = 11 if protocol >= 4 else body  # behind the frame
    return start + b"}" + pickled[body:-1] + b"K\x00s."


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("levels, width", [(60, 2), (9, 30)])
def test_tuples_within_tuples_are_refused(protocol, levels, width):
    content = as_key(levels, width, protocol)
    assert len(content) < 4000
    with pytest.raises(ValueError, match="of too many parts"):
        list(light_opcodes(content))
    with pytest.raises(ValueError, match="of too many parts"):
        load_inert(content)
    with pytest.raises(ValueError, match="of too many parts"):
        check_file(io.BytesIO(content))


@pytest.mark.parametrize("protocol", range(6))
def test_honest_pickles_pass(protocol):
    value = {(1, (2, 3)): [((4,), frozenset({5}))] * 3, "a": collections.OrderedDict(b=(None, True)), "c": {6, 7}}
    names = [name for name, _ in light_opcodes(pickle.dumps(value, protocol))]
    assert names[-1] == "STOP"
    list(light_opcodes(pickle.dumps([torch.Size((1, 2)), (1,) * 1000], protocol)))
