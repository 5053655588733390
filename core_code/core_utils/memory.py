"""Memory on a CPU: freed memory is reused rather than returned to the system and allocated anew."""

import ctypes
import sys

# glibc's malloc.h
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
NEVER = -1


def keep_freed_memory() -> bool:
    """Let this process keep the memory of freed tensors for the next ones, where the C library is glibc.

    By itself glibc maps each large tensor and unmaps it when it is freed; the system then zeroes the same pages again
    for the next one, which took 36 % of the generator's time. The peak of memory stays what it was within a few per
    cent, but is held until the process ends. Returns whether it was done; harmless elsewhere.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    mallopt.argtypes, mallopt.restype = [ctypes.c_int, ctypes.c_int], ctypes.c_int
    return bool(mallopt(M_MMAP_MAX, 0)) and bool(mallopt(M_TRIM_THRESHOLD, NEVER))
