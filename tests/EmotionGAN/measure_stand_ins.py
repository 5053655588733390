"""Editors and judges whose answers are known, for the tests of the figures."""

from types import SimpleNamespace

import torch

from EmotionGAN.conditional_space import ConditionalSpace
from EmotionGAN.measure.judges import Judge

CENTRES = torch.stack([torch.linspace(-0.8, 0.8, 7), torch.zeros(7)], dim=1)


def fixed_editor(level):
    """An editor whose edit is all of the grey level that `level` gives to the nearest emotion's label."""

    def edit(batch, codes):
        nearest = torch.cdist(codes, CENTRES).argmin(1)
        return level(nearest)[:, None, None].expand(-1, *batch.shape[1:]).to(torch.uint8)

    return editor_of(edit, name="fixed")


def editor_of(edit, name="stand-in", **more):
    """An editor on the CPU with this function of faces and codes."""
    fixed = {"space": ConditionalSpace(CENTRES), "edit": edit, "edit_all": edit, "fingerprint": "0",
             "device": torch.device("cpu"), "dtype": torch.float32, "face_encoder": None}  # fmt: skip
    return SimpleNamespace(**fixed | more, name=name)


def predicts_levels(batch):
    """Logits and features of a judge that predicts the emotion from the grey level: 10 times the label."""
    level = batch.float().mean(dim=(1, 2))
    distances = (level[:, None] - 10 * torch.arange(7)).abs()
    return -distances, torch.cat([distances, distances**2], dim=1) + torch.randn(len(batch), 14)


LEVELS = Judge(predicts_levels, "levels")


def random_faces(count, size=24, seed=0):
    """uint8 [count,size,size]."""
    rng = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, size, size), generator=rng, dtype=torch.uint8)
