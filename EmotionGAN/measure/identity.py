"""Whether edits are still faces, and of the same person: dlib's detector and its descriptor of faces."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from EmotionGAN.measure.dlib_faces import Detection, Run, describe, is_found
from EmotionGAN.measure.face_sets import Edits, FaceSet
from EmotionGAN.measure.summary import Metric, summarise


@dataclass(frozen=True)
class Identities:
    """Of the edits `chosen` int64 [K] (rows of a set of Edits): found bool [K], whether dlib still finds a face;
    distance float [K], from the edit's descriptor to the original's; own bool [K], whether no other original is nearer.
    gallery: int64 [G], the originals' rows; to_others: float [G], each original's mean distance to the others."""

    chosen: Tensor
    found: Tensor
    distance: Tensor
    own: Tensor
    gallery: Tensor
    to_others: Tensor


def identify(faces: FaceSet, detections: list[Detection], edits: Edits, count: int, seed: int, run: Run) -> Identities:
    """Look for faces in the edits of `count` random faces of those that dlib has found, and compare each with all
    these originals. The edit is aligned within the box of its original, whether it is found or not."""
    found = torch.tensor([index for index, one in enumerate(detections) if one.box], dtype=torch.int64)
    order = torch.randperm(len(found), generator=torch.Generator().manual_seed(seed))
    gallery = found[order[:count]].sort().values
    chosen = torch.isin(edits.rows, gallery).nonzero()[:, 0]
    images = [edits.images[row].numpy() for row in chosen]
    still = run(is_found, images, "finding faces in edits")
    boxes = [detections[row].box for row in edits.rows[chosen].tolist()]
    of_edits = descriptors(run(describe, list(zip(images, boxes, strict=True)), "describing edits"))
    originals = [(faces.faces[row].numpy(), detections[row].box) for row in gallery.tolist()]
    of_faces = descriptors(run(describe, originals, "describing faces"))
    own_place = torch.searchsorted(gallery, edits.rows[chosen])
    distance, own = compare(of_edits, of_faces, own_place)
    return Identities(chosen, torch.tensor(still, dtype=torch.bool), distance, own, gallery, mean_distance(of_faces))


def descriptors(rows: list[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.array(rows, dtype=np.float32).reshape(-1, 128))


def compare(edits: Tensor, originals: Tensor, own_place: Tensor) -> tuple[Tensor, Tensor]:
    """The distance of each descriptor [K,D] to that of its own original, at own_place int64 [K] of originals [G,D],
    and whether no other is nearer: float [K] and bool [K]."""
    distances = torch.cdist(edits, originals, compute_mode="donot_use_mm_for_euclid_dist")
    distance = distances.gather(1, own_place[:, None])[:, 0]
    return distance, distance <= distances.amin(1)


def mean_distance(originals: Tensor) -> Tensor:
    """Each descriptor's mean distance to the others: [G,D] -> [G] (NaN of one alone)."""
    distances = torch.cdist(originals, originals, compute_mode="donot_use_mm_for_euclid_dist")
    return distances.sum(1) / (len(originals) - 1)


def identity_figures(faces: FaceSet, detections: list[Detection], edits: Edits, seen: Identities) -> dict[str, Metric]:
    """Three figures of the edits to each emotion: a face still found, beside the share of real faces that are found at
    all; the distance to the original's descriptor, beside that between different people; the share of edits that are
    nearest to their own original."""
    targets, groups = edits.targets[seen.chosen], faces.groups_of(edits.rows[seen.chosen])
    labels, all_groups = faces.labels, faces.groups()
    real_found = torch.tensor([one.box is not None for one in detections])
    of_gallery = faces.groups_of(seen.gallery)
    between = summarise(seen.to_others, labels[seen.gallery], of_gallery, higher_is_better=False)
    return {
        "found": Metric(
            "face still found by dlib (real: found at all)",
            summarise(seen.found, targets, groups), summarise(real_found, labels, all_groups),
        ),
        "identity_distance": Metric(
            "descriptor's distance to the original (real: between people)",
            summarise(seen.distance, targets, groups, False), between, percent=False, higher_is_better=False,
        ),
        "identity_own": Metric("nearest original is its own", summarise(seen.own, targets, groups)),
    }  # fmt: skip
