"""Whether edits can be told from untouched faces when both show the same emotion."""

import torch
from torch import Tensor

from EmotionGAN.editor import Editor
from EmotionGAN.measure.face_sets import FaceSet, augment
from EmotionGAN.measure.small_net import predict_small_net, train_small_net
from EmotionGAN.measure.summary import Figure, summarise

UNTOUCHED, EDITED = 0, 1


def detectability_figures(editor: Editor, train: FaceSet, faces: FaceSet, seed: int) -> dict[str, Figure]:
    """The balanced accuracy of a small net that tells edits at a face's own emotion from untouched faces; 0.5 is
    chance. It learns from `train` and is tested on `faces`; each face stands on both sides of either."""
    images, sides = both_sides(train.faces, augment(editor, train.faces, train.labels, 1, seed)[:, 0])
    what = "training a small net to tell edits from faces"
    net = train_small_net(images, sides, 2, editor.device, editor.dtype, seed, what)
    images, sides = both_sides(faces.faces, augment(editor, faces.faces, faces.labels, 1, seed + 1)[:, 0])
    hits = predict_small_net(net, images, editor.device, editor.dtype) == sides
    # Each face is on both sides: the mean of its two answers, averaged over an emotion, is the balanced accuracy.
    values = hits.double().view(2, -1).mean(0)
    summary = summarise(values, faces.labels, faces.splits(), higher_is_better=False)
    title = "edits told from untouched faces by a small net (50 % is chance)"
    return {"detectability": Figure(title, summary, higher_is_better=False)}


def both_sides(faces: Tensor, edits: Tensor) -> tuple[Tensor, Tensor]:
    """Faces and edits uint8 [N,H,W] as one set of 2N with its labels int64: first UNTOUCHED, then EDITED."""
    return torch.cat([faces, edits]), torch.tensor([UNTOUCHED, EDITED]).repeat_interleave(len(faces))
