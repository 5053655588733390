"""What is to be made: codes near the emotions, from seed, face and k alone; the expansion's counts."""

import numpy as np
import pytest
import torch

from core_code.datasets.augmentations.plan import EXPANSION, Settings, counter_uniforms, image_names, make_plan
from EmotionGAN.conditional_space import ConditionalSpace

FER2013_COUNTS = [3995, 436, 4097, 7215, 4830, 3171, 4965]
SPACE = ConditionalSpace.published()


def fer2013_labels() -> torch.Tensor:
    labels = np.repeat(np.arange(7), FER2013_COUNTS)
    return torch.from_numpy(np.random.default_rng(5).permutation(labels))


def plan_of(labels: torch.Tensor, counts=FER2013_COUNTS, **settings):
    return make_plan(Settings(**settings), labels, torch.tensor(counts), SPACE)


def splitmix(value: int) -> int:
    """One output of SplitMix64 as its authors print it, in Python's own integers."""
    mask = 2**64 - 1
    z = (value + 0x9E3779B97F4A7C15) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return z ^ (z >> 31)


def test_splitmix_gives_its_authors_first_output():
    assert splitmix(0) == 0xE220A8397B1DCDAF


@pytest.mark.parametrize("seed", [1, 0, -3, 2**70])
def test_random_numbers_are_splitmix_of_seed_face_and_k(seed):
    faces, ks = np.array([0, 7, 28708]), np.array([0, 6, 9])
    uniforms = counter_uniforms(seed, faces, ks, 2)
    for row, (face, k) in enumerate(zip(faces.tolist(), ks.tolist(), strict=True)):
        state = splitmix(splitmix(splitmix(seed % 2**64) ^ face) ^ k)
        for number in range(2):
            bits = splitmix((state + number * 0x9E3779B97F4A7C15) % 2**64) >> 40
            assert uniforms[row, number] == bits / 2**24


def test_random_numbers_are_uniform_and_uncorrelated():
    faces, ks = np.divmod(np.arange(200_000), 10)
    uniforms = counter_uniforms(1, faces, ks, 3).astype(np.float64)
    assert uniforms.min() >= 0 and uniforms.max() < 1
    cells = np.histogram(uniforms, bins=100, range=(0, 1))[0]
    chi_square = ((cells - uniforms.size / 100) ** 2 / (uniforms.size / 100)).sum()
    assert 40 < chi_square < 180  # 99 degrees of freedom
    bound = 5 / np.sqrt(len(uniforms))
    for column in range(3):
        assert abs(np.corrcoef(uniforms[:, column], uniforms[:, (column + 1) % 3])[0, 1]) < bound
        assert abs(np.corrcoef(uniforms[:-1, column], uniforms[1:, column])[0, 1]) < bound
        assert abs(np.corrcoef(uniforms[:-10, column], uniforms[10:, column])[0, 1]) < bound
    other_seed = counter_uniforms(2, faces, ks, 1)[:, 0]
    assert abs(np.corrcoef(uniforms[:, 0], other_seed)[0, 1]) < bound


@pytest.mark.parametrize("mode", ["augmentations", "expansion"])
def test_a_code_depends_on_neither_the_number_of_faces_nor_of_augmentations(mode):
    labels = fer2013_labels()[:500]
    few = plan_of(labels[:40], mode=mode, num_augments=3)
    many = plan_of(labels, mode=mode, num_augments=10)
    codes = {(f, k): tuple(c) for f, k, c in zip(many.faces, many.ks, many.codes, strict=True)}
    assert all(codes[f, k] == tuple(c) for f, k, c in zip(few.faces, few.ks, few.codes, strict=True))
    if mode == "expansion":
        assert len(few) == (many.faces < 40).sum()


def test_augmentations_lie_in_the_box_around_the_faces_own_emotion():
    labels = fer2013_labels()[:3000]
    plan = plan_of(labels, num_augments=4)
    assert np.array_equal(plan.emotions, labels.numpy()[plan.faces])
    assert np.array_equal(np.bincount(plan.faces), np.full(3000, 4))
    boxes = {  # centre -+ 0.2, cut at -1; the angry one only upward
        0: ((0.4, 0.8), (-0.9, -0.7)), 1: ((-0.9, -0.5), (-1, -0.8)), 2: ((-0.45, -0.05), (-1, -0.7)),
        3: ((0.4, 0.8), (0.2, 0.6)), 4: ((-1, -0.7), (-0.8, -0.4)), 5: ((0.7, 1), (-0.65, -0.25)),
        6: ((0.2, 0.6), (-0.7, -0.3)),
    }  # fmt: skip
    for label, box in boxes.items():
        codes = plan.codes[plan.emotions == label]
        for axis, (low, high) in enumerate(box):
            assert low - 1e-6 <= codes[:, axis].min() and codes[:, axis].max() <= high + 1e-6
            if len(codes) > 500:  # and they fill it
                assert np.ptp(codes[:, axis]) > 0.98 * (high - low)


def test_expansion_makes_every_other_emotion_but_for_its_share_of_the_training_set():
    labels = fer2013_labels()
    plan = plan_of(labels, mode=EXPANSION)
    assert np.array_equal(plan.emotions, plan.ks)
    assert not np.any(plan.emotions == labels.numpy()[plan.faces])
    assert len({*zip(plan.faces.tolist(), plan.ks.tolist(), strict=True)}) == len(plan)
    assert np.abs(plan.codes - SPACE.centres.numpy()[plan.emotions]).max() <= 0.05 + 1e-6
    total = sum(FER2013_COUNTS)
    for label, count in enumerate(FER2013_COUNTS):
        share = count / total
        expected = (total - count) * (1 - share)
        deviation = ((total - count) * share * (1 - share)) ** 0.5
        assert abs((plan.ks == label).sum() - expected) < 4 * deviation
    balanced = np.bincount(plan.ks) + FER2013_COUNTS
    assert balanced.max() / balanced.min() < 1.3 < max(FER2013_COUNTS) / min(FER2013_COUNTS)


def test_expansion_of_few_faces_uses_the_shares_of_all():
    labels = torch.zeros(4000, dtype=torch.int64)
    plan = plan_of(labels, mode=EXPANSION)
    kept = np.bincount(plan.ks, minlength=7) / 4000
    shares = np.array(FER2013_COUNTS) / sum(FER2013_COUNTS)
    assert np.abs(kept[1:] - (1 - shares[1:])).max() < 0.03
    assert kept[0] == 0


def test_names_are_those_of_the_specified_layout():
    labels = torch.tensor([3, 0, 6])
    plan = plan_of(labels, num_augments=2)
    assert image_names(Settings(folder_batch_size=2), plan) == [
        "0/0_0.png", "0/0_1.png", "1/1_0.png", "1/1_1.png", "0/2_0.png", "0/2_1.png",
    ]  # fmt: skip
    plan = make_plan(Settings(mode=EXPANSION), labels, torch.tensor([1, 0, 0, 1, 0, 0, 1]), SPACE)
    names = image_names(Settings(mode=EXPANSION), plan)
    assert {"1/0.png", "2/1.png", "5/2.png"} <= set(names) and "3/0.png" not in names
