"""What to generate from the training faces: a flat table of faces, target emotions and codes, and each image's file.

Two modes. Augmentations: each face at codes near its own emotion. Expansion: each face at every other emotion k,
left out with probability p(k), the share of k among the training labels, so that rare emotions gain most.
"""

from dataclasses import dataclass

import numpy as np
import torch

from core_code.core_utils.emotions import EMOTIONS
from core_code.datasets.augmentations.shards import images_per_shard, shard_name
from EmotionGAN.conditional_space import ConditionalSpace

AUGMENTATIONS, EXPANSION = "augmentations", "expansion"
EMOTION, FACE = "emotion", "face"
PNG, SHARDS = "png", "shards"
HALF_WIDTHS = {AUGMENTATIONS: 0.2, EXPANSION: 0.05}

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
SIXTY_FOUR_BITS = (1 << 64) - 1


@dataclass(frozen=True)
class Settings:
    """The settings that, with the faces and the generator, determine the images to the last byte."""

    mode: str = AUGMENTATIONS
    num_augments: int = 10  # images a face; augmentations alone
    folder_batch_size: int = 100  # sub-folders over which the faces are distributed; augmentations alone
    batch_size: int = 256  # images that go through the generator at once
    seed: int = 1
    precision: str = "fp32"
    centre: str = EMOTION  # codes are sampled around the emotion's centre, or around the encoded face
    neighborhood: float | None = None  # half the side of the box that codes are sampled from; None: the mode's
    storage: str = PNG  # single files, or shards
    compiled: bool = False  # whether the generator is compiled, which may change an image's last bits

    @property
    def chunk(self) -> int:
        """Images of the plan that one process generates together: a batch, or a shard's whole batches."""
        return images_per_shard(self.batch_size) if self.storage == SHARDS else self.batch_size

    @property
    def half_width(self) -> float:
        """Half the side of the box that codes are sampled from, in the units of the square [-1, 1]^2."""
        return HALF_WIDTHS[self.mode] if self.neighborhood is None else self.neighborhood


@dataclass(frozen=True)
class Plan:
    """The images to generate, one a row.

    faces: int64 [M], row of the face among the training faces; emotions: int64 [M], the target's label;
    ks: int64 [M], the index of the face's augmentation, or the new label; codes: float32 [M, 2].
    Ordered by face, then k: a plan for more faces starts with the plan for fewer.
    """

    faces: np.ndarray
    emotions: np.ndarray
    ks: np.ndarray
    codes: np.ndarray

    def __len__(self) -> int:
        return len(self.faces)

    def of_faces(self, kept: np.ndarray) -> "Plan":
        """The rows of the faces that are `kept`, bool [N]."""
        rows = kept[self.faces]
        return Plan(self.faces[rows], self.emotions[rows], self.ks[rows], self.codes[rows])


def make_plan(
    settings: Settings,
    labels: torch.Tensor,
    class_counts: torch.Tensor,
    space: ConditionalSpace,
    face_codes: torch.Tensor | None = None,
) -> Plan:
    """The plan of either mode.

    labels: int64 [N], those of the faces to edit; class_counts: int64 [7], of the whole training set, from which
    p(k) follows however few of its faces are edited; face_codes: float [N, 2], the encoded faces, needed where the
    settings' centre is the face.
    """
    label_of = labels.numpy()
    if settings.mode == AUGMENTATIONS:
        faces, ks = every_pair(len(label_of), settings.num_augments)
        emotions = label_of[faces]
        uniforms = counter_uniforms(settings.seed, faces, ks, 2)
    else:
        faces, ks = every_pair(len(label_of), len(EMOTIONS))
        uniforms = counter_uniforms(settings.seed, faces, ks, 3)
        left_out = (class_counts.double() / class_counts.sum()).numpy()
        kept = (ks != label_of[faces]) & (uniforms[:, 2] >= left_out[ks])
        faces, ks, uniforms = faces[kept], ks[kept], uniforms[kept, :2]
        emotions = ks
    if settings.centre == FACE:
        if face_codes is None:
            raise ValueError("centre is the face: expected its face_codes")
        codes = space.near(face_codes[torch.from_numpy(faces)], torch.from_numpy(uniforms), settings.half_width)
    else:
        codes = space.codes(torch.from_numpy(emotions), torch.from_numpy(uniforms), settings.half_width)
    return Plan(faces, emotions, ks, codes.cpu().numpy())


def every_pair(faces: int, ks: int) -> tuple[np.ndarray, np.ndarray]:
    """All (face, k), by face, then k: two arrays int64 [faces * ks]."""
    return np.repeat(np.arange(faces), ks), np.tile(np.arange(ks), faces)


def counter_uniforms(seed: int, faces: np.ndarray, ks: np.ndarray, count: int) -> np.ndarray:
    """`count` uniform random numbers for each (face, k), float32 [M, count] in [0, 1), of seed, face and k alone.

    SplitMix64 as a counter-based generator (Steele, Lea and Flood, "Fast splittable pseudorandom number
    generators", 2014): it carries no state, so that any part of a plan can be generated by itself.
    """
    state = mix(np.full(len(faces), seed & SIXTY_FOUR_BITS, dtype=np.uint64))
    state = mix(mix(state ^ faces.astype(np.uint64)) ^ ks.astype(np.uint64))
    bits = mix(state[:, None] + np.arange(count, dtype=np.uint64) * GOLDEN)
    # 24 bits are what a float32 holds: more would round up to 1
    return (bits >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)


def mix(value: np.ndarray) -> np.ndarray:
    """SplitMix64's step and finaliser, a bijection of uint64."""
    value = value + GOLDEN
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


def image_names(settings: Settings, plan: Plan) -> list[str]:
    """The path of each image of the plan below the destination folder: a file's, or a shard's member's."""
    pairs = list(zip(plan.faces.tolist(), plan.ks.tolist(), strict=True))
    if settings.mode == EXPANSION:
        names = [f"{label}/{face}.png" for face, label in pairs]
    elif settings.storage == SHARDS:
        names = [f"{face}_{k}.png" for face, k in pairs]
    else:
        names = [f"{face % settings.folder_batch_size}/{face}_{k}.png" for face, k in pairs]
    if settings.storage == SHARDS:
        names = [f"{shard_name(row // settings.chunk)}/{name}" for row, name in enumerate(names)]
    return names
