"""Random numbers that depend on a run's seed and on what they are for alone, so that a resumed run equals an unbroken
one."""

import zlib

import torch


def seed_for(seed: int, number: int, purpose: str) -> int:
    """32 bits for one purpose in one epoch (or trial) of a run: the CPU generator keeps no more of its seed, and a
    checksum uses all of the three."""
    return zlib.crc32(f"{seed} {number} {purpose}".encode())


def rng_for(seed: int, number: int, purpose: str) -> torch.Generator:
    """A CPU generator of its own for one purpose in one epoch of a run."""
    return torch.Generator().manual_seed(seed_for(seed, number, purpose))
