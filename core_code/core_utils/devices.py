"""Which device computes, in which precision."""

from contextlib import AbstractContextManager

import torch

from core_code.core_utils.errors import InputError


def pick_device(name: str) -> torch.device:
    """`auto` takes cuda, then mps, then cpu. Raises InputError when a named device is not there."""
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        name = next(kind for kind, there in available.items() if there)
    if not available[name]:
        raise InputError(f"--device {name}: no such device here; try --device auto")
    return torch.device(name)


def pick_dtype(precision: str, device: torch.device) -> torch.dtype:
    """The dtype of matrix products: bfloat16 for `bf16`, float32 for `fp32`.

    `auto` takes bfloat16 where the hardware has matrix units for it: CUDA since Ampere, CPUs with AMX. On CPUs that
    have AVX512-BF16 alone, bfloat16 convolutions measured slower than float32 ones.
    """
    if precision == "auto":
        precision = "bf16" if has_fast_bf16(device) else "fp32"
    return {"bf16": torch.bfloat16, "fp32": torch.float32}[precision]


def has_fast_bf16(device: torch.device) -> bool:
    """Whether bfloat16 products run on matrix units of this device."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        try:
            return "amx_bf16" in cpu_flags()
        except OSError:
            return False
    return False


def cpu_flags() -> set[str]:
    """The processor's feature flags as Linux names them; raises OSError on other systems."""
    with open("/proc/cpuinfo") as file:
        return next((set(line.split()) for line in file if line.startswith("flags")), set())


def autocast(device: torch.device, dtype: torch.dtype) -> AbstractContextManager:
    """Matrix products in `dtype`, everything sensitive in float32; does nothing for float32."""
    return torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32)
