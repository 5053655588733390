"""Which precision `auto` chooses, by what the processor says of itself."""

import pytest
import torch

from core_code.core_utils import devices
from core_code.core_utils.devices import pick_dtype

CPU = torch.device("cpu")
INTEL, AMD = "GenuineIntel", "AuthenticAMD"
OLD, ALONE, MATRIX = "fpu avx2 avx512f", "fpu avx512f avx512_bf16", "fpu avx512_bf16 amx_bf16 amx_tile"


@pytest.fixture
def processor(tmp_path, monkeypatch):
    """`processor(vendor, flags)` sets what the system says of its two cores."""

    def log_message(vendor: str, flags: str) -> None:
        core = "processor\t: {}\nvendor_id\t: {}\nmodel name\t: a: b\nflags\t\t: {}\nbugs\t\t: none\n\n"
        path = tmp_path / "cpuinfo"
        path.write_text(core.format(0, vendor, flags) + core.format(1, vendor, flags))
        monkeypatch.setattr(devices, "CPU_INFO", path)

    return log_message


@pytest.mark.parametrize(
    ("vendor", "flags", "expected"),
    [
        (INTEL, OLD, torch.float32),
        (INTEL, ALONE, torch.float32),
        (INTEL, MATRIX, torch.bfloat16),
        (AMD, OLD, torch.float32),
        (AMD, ALONE, torch.bfloat16),
        (AMD, "fpu xavx512_bf16", torch.float32),
    ],
)
def test_auto_takes_bf16_where_the_processor_multiplies_it_faster(processor, vendor, flags, expected):
    processor(vendor, flags)
    assert pick_dtype("auto", CPU) == expected


def test_a_named_precision_is_taken_whatever_the_processor(processor):
    processor(INTEL, OLD)
    assert pick_dtype("bf16", CPU) == torch.bfloat16
    processor(AMD, ALONE)
    assert pick_dtype("fp32", CPU) == torch.float32


def test_auto_is_fp32_where_the_system_says_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr(devices, "CPU_INFO", tmp_path / "missing")
    assert pick_dtype("auto", CPU) == torch.float32
    (tmp_path / "missing").write_text("Features\t: fp asimd\n")  # as ARM's does: neither vendor_id nor flags
    assert pick_dtype("auto", CPU) == torch.float32
