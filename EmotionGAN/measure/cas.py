"""What edits are worth as training data, and whether they can be told from untouched faces: a small net's accuracy."""

import torch
from torch import Tensor

from core_code.core_utils.emotions import EMOTIONS
from EmotionGAN.editor import Editor
from EmotionGAN.measure.face_sets import FaceSet, augment
from EmotionGAN.measure.small_net import predict_small_net, train_small_net
from EmotionGAN.measure.summary import Figure, summarise


def cas_figures(editor: Editor, train: FaceSet, faces: FaceSet, seed: int) -> dict[str, Figure]:
    """Classification Accuracy Score (Ravuri & Vinyals, "Classification Accuracy Score for Conditional Generative
    Models", NeurIPS 2019): the recall on real faces of a small net that was trained on edits alone, beside the same
    net trained on as many real faces. `overall` is the accuracy.

    Each face of `train` is edited to the neighbourhood of one random emotion; there are as many edits to an emotion as
    faces of it, so that the two nets differ by the pictures alone.
    """
    targets = shuffled(train.labels, seed)
    edits = augment(editor, train.faces, targets, 1, seed)[:, 0]
    kinds = {"edits": (edits, targets), "real faces": (train.faces, train.labels)}
    hits = {}
    for kind, (images, labels) in kinds.items():
        what = f"training a small net on {kind}"
        net = train_small_net(images, labels, len(EMOTIONS), editor.device, editor.dtype, seed, what)
        hits[kind] = predict_small_net(net, faces.faces, editor.device, editor.dtype) == faces.labels
    of_edits, of_real = (summarise(hit, faces.labels, faces.splits()) for hit in hits.values())
    return {"cas": Figure("recall on real faces of a small net trained on edits (CAS)", of_edits, of_real)}


def shuffled(labels: Tensor, seed: int) -> Tensor:
    """The labels in random order: to which emotion each face is edited."""
    return labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))]
