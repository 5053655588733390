"""Which device computes, in which precision."""

import os
import platform
import re
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import torch

from core_code.core_utils.errors import InputError

CPU_INFO = Path("/proc/cpuinfo")


def pick_hardware(device: str | torch.device, precision: str) -> tuple[torch.device, torch.dtype]:
    """The device and the dtype of matrix products that --device and --precision ask for. Raises InputError."""
    picked = pick_device(device)
    return picked, pick_dtype(precision, picked)


def pick_device(name: str | torch.device) -> torch.device:
    """`auto` takes cuda, then mps, then cpu; others (`cuda:1`) are taken as they are. Raises InputError when a named
    device is not there."""
    if isinstance(name, torch.device):
        return name
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(kind for kind, there in available.items() if there)
    if not available.get(name.partition(":")[0]):
        raise InputError(f"--device {name}: no such device here; try --device auto")
    return torch.device(name)


def pick_dtype(precision: str, device: torch.device) -> torch.dtype:
    """The dtype of matrix products: bfloat16 for `bf16`, float32 for `fp32`, for `auto` what has_fast_bf16 finds."""
    if precision == "auto":
        precision = "bf16" if has_fast_bf16(device) else "fp32"
    dtypes = {"bf16": torch.bfloat16, "fp32": torch.float32}
    if precision not in dtypes:
        raise InputError(f"--precision {precision}: expected auto, {', '.join(dtypes)}")
    return dtypes[precision]


def has_fast_bf16(device: torch.device) -> bool:
    """Whether it multiplies bfloat16 faster than float32: CUDA since Ampere, CPUs with AMX, AMD's with AVX512-BF16.

    On an Intel Xeon with AVX512-BF16 and no AMX, bfloat16 convolutions were slower than float32 ones; on an AMD EPYC
    (Zen 5), one core, ResNet18 at 64 px trains 361 faces a second in bfloat16 and 180 in float32.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        vendor, flags = cpu_features()
        return "amx_bf16" in flags or (vendor == "AuthenticAMD" and "avx512_bf16" in flags)
    return False


def has_matrix_units(device: torch.device) -> bool:
    """Whether this device is a CPU with AMX for bfloat16."""
    return device.type == "cpu" and "amx_bf16" in cpu_features()[1]


def cpu_features() -> tuple[str, set[str]]:
    """The first processor's maker and feature flags as Linux names them; of other systems nothing is known."""
    fields: dict[str, str] = {}
    with suppress(OSError), open(CPU_INFO) as file:
        for line in file:
            name, _, value = line.partition(":")
            fields.setdefault(name.strip(), value.strip())
    return fields.get("vendor_id", ""), set(fields.get("flags", "").split())


def autocast(device: torch.device, dtype: torch.dtype) -> AbstractContextManager:
    """Matrix products in `dtype`, everything sensitive in float32; does nothing for float32."""
    return torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32)


def hardware() -> str:
    """The GPU, or the processor with the units that multiply bfloat16, and torch's version, in words."""
    if torch.cuda.is_available():
        return f"{torch.cuda.get_device_name()}, torch {torch.__version__}"
    text = CPU_INFO.read_text() if CPU_INFO.exists() else ""
    found = re.search(r"^model name\s*: (.+)$", text, re.MULTILINE)
    name = found[1].strip() if found else platform.processor() or platform.machine()
    unit = next((f" ({unit})" for unit in ("amx_bf16", "avx512_bf16") if unit in cpu_features()[1]), "")
    return f"{os.cpu_count()} cores of {name}{unit}, torch {torch.__version__}"
