"""Batches on the device: every face once an epoch, in an order of (seed, epoch), replaced as asked."""

import pytest
import torch

from core_code.datasets.augmentations.store import Augmentations
from core_code.datasets.labelled_faces import LabelledFaces
from core_code.datasets.loader import FaceBatches, class_shares

CPU = torch.device("cpu")


def numbered(count: int) -> LabelledFaces:
    """Faces whose pixels are their number, labels their number mod 7."""
    faces = torch.arange(count, dtype=torch.uint8)[:, None, None].expand(-1, 48, 48)
    return LabelledFaces(faces=faces, labels=torch.arange(count) % 7)


def hundreds(count: int) -> Augmentations:
    """One augmentation a face, its pixels the face's number + 100."""
    images = (torch.arange(count) + 100).to(torch.uint8)[:, None, None].expand(-1, 48, 48)
    return Augmentations(images, torch.arange(count + 1))


def epoch_of(batches: FaceBatches, epoch: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    batches.set_epoch(epoch)
    return tuple(map(torch.cat, zip(*batches, strict=True)))


def test_in_order_every_face_once_with_its_label_and_index():
    batches = FaceBatches(numbered(10), 4, CPU)
    assert len(batches) == 3 and [len(labels) for _, labels, _ in batches] == [4, 4, 2]
    faces, labels, indices = epoch_of(batches, 1)
    assert faces.dtype == torch.uint8 and faces.shape == (10, 48, 48)
    assert indices.tolist() == list(range(10)) and torch.equal(labels, indices % 7)
    assert torch.equal(faces[:, 3, 5].long(), indices)


def test_training_never_gets_one_face_alone():
    batches = FaceBatches(numbered(9), 4, CPU, shuffle=True)
    assert [len(labels) for _, labels, _ in batches] == [4, 5] and len(batches) == 2
    assert [len(labels) for _, labels, _ in FaceBatches(numbered(9), 4, CPU)] == [4, 4, 1]
    alone = FaceBatches(numbered(3), 1, CPU, shuffle=True)
    assert [len(labels) for _, labels, _ in alone] == [1, 1, 1] and len(alone) == 3, "unless every batch is one"


def test_shuffled_by_seed_and_epoch_alone():
    dataset = numbered(50)
    one = FaceBatches(dataset, 8, CPU, shuffle=True, seed=1)
    faces, labels, indices = epoch_of(one, 3)
    assert sorted(indices.tolist()) == list(range(50)) and indices.tolist() != list(range(50))
    assert torch.equal(faces[:, 0, 0].long(), indices) and torch.equal(labels, indices % 7)
    assert epoch_of(one, 4)[2].tolist() != indices.tolist()
    again = FaceBatches(dataset, 8, CPU, shuffle=True, seed=1)
    assert torch.equal(epoch_of(again, 3)[2], indices)
    assert epoch_of(FaceBatches(dataset, 8, CPU, shuffle=True, seed=2), 3)[2].tolist() != indices.tolist()


@pytest.mark.parametrize("probability", [0.0, 0.5, 1.0])
def test_faces_are_replaced_by_their_own_augmentations(probability):
    batches = FaceBatches(numbered(100), 16, CPU, True, 1, hundreds(100), probability)
    faces, _, indices = epoch_of(batches, 1)
    shown = faces[:, 0, 0].long()
    replaced = shown == indices + 100
    assert bool((replaced | (shown == indices)).all())
    assert abs(replaced.float().mean().item() - probability) <= 0.2 * (0 < probability < 1)
    again, _, _ = epoch_of(batches, 1)
    assert torch.equal(again, faces)
    plain = FaceBatches(numbered(100), 16, CPU, shuffle=True, seed=1)
    assert torch.equal(epoch_of(plain, 1)[2], indices)


def test_augmentations_of_another_number_of_faces_are_refused():
    with pytest.raises(ValueError, match="augmentations of 9 faces for 10 faces"):
        FaceBatches(numbered(10), 4, CPU, augmentations=hundreds(9), probability=0.5)
    with pytest.raises(ValueError, match="batch_size 0"):
        FaceBatches(numbered(10), 0, CPU)


def test_epochs_of_fewer_faces_go_on_where_the_last_ended_and_see_all_before_any_twice():
    batches = FaceBatches(numbered(50), 8, CPU, shuffle=True, seed=1, faces_per_epoch=20)
    assert len(batches) == 3
    sampled = [epoch_of(batches, epoch)[2] for epoch in range(1, 6)]
    assert [len(indices) for indices in sampled] == [20] * 5
    twice = torch.cat(sampled)
    assert sorted(twice[:50].tolist()) == sorted(twice[50:].tolist()) == list(range(50))
    assert twice[:50].tolist() != twice[50:].tolist()
    assert torch.equal(epoch_of(batches, 3)[2], sampled[2])


def test_epochs_of_more_faces_than_there_are_repeat_them_evenly():
    batches = FaceBatches(numbered(6), 4, CPU, shuffle=True, faces_per_epoch=13)
    assert len(batches) == 3 and [len(labels) for _, labels, _ in batches] == [4, 4, 5]
    counts = torch.bincount(torch.cat([epoch_of(batches, epoch)[2] for epoch in (1, 2, 3)]), minlength=6)
    assert counts.tolist().count(7) == 3 and counts.tolist().count(6) == 3


def test_a_batch_tells_what_is_shown_of_each_face():
    batches = FaceBatches(numbered(100), 16, CPU, True, 1, hundreds(100), 0.5)
    for faces, _, indices, sources, _ in batches.sharded():
        assert torch.equal(faces[:, 0, 0].long(), sources)  # augmentation i, of pixels 100 + i, is number 100 + i
        assert bool(((sources == indices) | (sources == indices + 100)).all())


def test_the_last_epochs_are_on_real_faces_alone():
    batches = FaceBatches(numbered(100), 16, CPU, True, 1, hundreds(100), 1.0, real_only_from=3)
    assert all((epoch_of(batches, epoch)[0][:, 0, 0] >= 100).all() for epoch in (1, 2))
    faces, _, indices = epoch_of(batches, 3)
    assert torch.equal(faces[:, 0, 0].long(), indices) and len(indices.unique()) == 100
    expanded = numbered(100)
    expanded.generated = 60
    batches = FaceBatches(expanded, 16, CPU, shuffle=True, real_only_from=2)
    assert len(epoch_of(batches, 1)[2].unique()) == 100 and batches.faces_in_epoch == 100 and len(batches) == 7
    assert sorted(epoch_of(batches, 2)[2].tolist()) == list(range(40)) and batches.faces_in_epoch == 40
    assert len(batches) == 3
    batches = FaceBatches(expanded, 16, CPU, shuffle=True, real_only_from=2, faces_per_epoch=80)
    later = torch.cat([epoch_of(batches, epoch)[2] for epoch in (2, 3)])
    assert torch.bincount(later, minlength=100).tolist() == [4] * 40 + [0] * 60


def test_emotions_are_sampled_by_their_shares_in_the_expanded_set_or_equally():
    """Beside the counts that the rule of the expansion gives, computed by a plain loop."""
    sizes = [400, 44, 410, 722, 483, 317, 496]
    labels = torch.repeat_interleave(torch.arange(7), torch.tensor(sizes))
    data = LabelledFaces(torch.zeros(len(labels), 48, 48, dtype=torch.uint8), labels)
    expanded = [float(size) for size in sizes]
    for label in labels.tolist():
        for other in range(7):
            if other != label:
                expanded[other] += 1 - sizes[other] / len(labels)
    for kind, wanted in (("expanded", expanded), ("equal", [1.0] * 7)):
        shares = class_shares(kind, data.class_counts)
        assert shares.tolist() == pytest.approx([part / sum(wanted) for part in wanted])
        batches = FaceBatches(data, 64, CPU, shuffle=True, shares=shares)
        epochs = [epoch_of(batches, epoch)[2] for epoch in range(1, 11)]
        assert all(len(rows) == len(labels) for rows in epochs) and not torch.equal(epochs[0], epochs[1])
        found = torch.bincount(labels[torch.cat(epochs)], minlength=7) / (10 * len(labels))
        spread = (shares * (1 - shares) / (10 * len(labels))).sqrt()
        assert ((found - shares).abs() < 4 * spread).all()
        assert torch.equal(epoch_of(batches, 3)[2], epochs[2])
        of_one = torch.bincount(torch.cat(epochs), minlength=len(labels))[labels == 3]
        assert of_one.float().var() == pytest.approx(of_one.float().mean().item(), rel=0.3)
    assert class_shares("own", data.class_counts) is None
    part = FaceBatches(data, 64, CPU, shuffle=True, shares=shares, faces_per_epoch=100)
    assert len(epoch_of(part, 1)[2]) == 100
    assert class_shares("equal", torch.tensor([5, 0, 3])).tolist() == [0.5, 0, 0.5]


def test_parts_of_an_epoch_need_a_shuffled_one():
    with pytest.raises(ValueError, match="shuffle"):
        FaceBatches(numbered(6), 4, CPU, faces_per_epoch=3)
