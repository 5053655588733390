"""LabelledFaces: parts of it."""

import torch

from core_code.datasets.labelled_faces import LabelledFaces


def test_a_subset_has_its_rows_their_emotions_and_knows_which_are_generated():
    faces = torch.arange(10, dtype=torch.uint8)[:, None, None].expand(10, 48, 48)
    whole = LabelledFaces(faces, torch.arange(10) % 3, ("a", "b", "c"), generated=4)
    for rows in (torch.tensor([1, 4, 6, 9]), torch.isin(torch.arange(10), torch.tensor([1, 4, 6, 9]))):
        part = whole.subset(rows)
        assert part.faces[:, 5, 7].tolist() == [1, 4, 6, 9] and part.labels.tolist() == [1, 1, 0, 0]
        assert part.emotions == whole.emotions and part.generated == 2 and part.class_counts.tolist() == [2, 2, 0]
    assert whole.subset(torch.arange(6)).generated == 0
