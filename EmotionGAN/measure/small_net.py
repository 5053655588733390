"""A small net that is trained in seconds: what edits are worth as training data, and whether they can be told from
untouched faces."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from core_code.core_utils.devices import autocast
from core_code.core_utils.emotions import EMOTIONS
from EmotionGAN.editor import Editor
from EmotionGAN.measure.face_sets import FaceSet, augment
from EmotionGAN.measure.summary import Metric, summarise

LAYERS = ((32, 5, 2), (64, 3, 2), (128, 3, 2), (256, 3, 1))  # width, kernel size, stride
EPOCHS, BATCH, LEARNING_RATE, SHIFT = 8, 128, 2e-3, 3
UNTOUCHED, EDITED = 0, 1


def make_small_net(classes: int, seed: int) -> nn.Sequential:
    """Four convolutions (LAYERS), each with batch norm and ReLU, then a linear layer on the means of the maps.
    float [B,1,H,W] to logits [B,classes]; He's initial weights from the seed."""
    layers: list[nn.Module] = []
    channels = 1
    for width, kernel, stride in LAYERS:
        layers += [
            nn.Conv2d(channels, width, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        ]
        channels = width
    head = nn.Linear(channels, classes)
    net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in net.parameters():
            if weight.dim() > 1:
                weight.normal_(0, math.sqrt(2 / weight[0].numel()), generator=rng)
        nn.init.zeros_(head.bias)
    return net


def train_small_net(
    faces: Tensor, labels: Tensor, classes: int, device: torch.device, dtype: torch.dtype, seed: int, what: str
) -> nn.Sequential:
    """Train on faces uint8 [N,H,W] with labels int64 [N] for EPOCHS, mirrored and shifted at random; Adam, one cycle
    of the learning rate. `what` is the progress bar's title. Returns the net in evaluation mode on the device."""
    net = make_small_net(classes, seed).to(device).to(memory_format=torch.channels_last)
    rng = torch.Generator().manual_seed(seed)
    faces, labels = faces.to(device), labels.to(device)
    steps = EPOCHS * math.ceil(len(faces) / BATCH)
    optimizer = torch.optim.Adam(net.parameters(), LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps)
    with tqdm(total=steps, desc=what, unit="batch", leave=False, delay=2) as bar:
        for _ in range(EPOCHS):
            for rows in torch.randperm(len(faces), generator=rng).split(BATCH):
                view = random_view(faces[rows.to(device)], rng)
                with autocast(device, dtype):
                    logits = net(view)
                loss = F.cross_entropy(logits.float(), labels[rows.to(device)])
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                schedule.step()
                bar.update()
    return net.eval()


def random_view(faces: Tensor, rng: torch.Generator) -> Tensor:
    """Faces uint8 [B,H,W] mirrored by chance and shifted by up to SHIFT pixels (the edge is repeated), as float
    [B,1,H,W] in [-1,1]. `rng` is on the CPU."""
    count, height, width = faces.shape
    shifts = torch.randint(-SHIFT, SHIFT + 1, (2, count, 1), generator=rng)
    flips = torch.rand(count, 1, generator=rng) < 0.5
    ys = (torch.arange(height) + shifts[0]).clamp(0, height - 1)
    xs = (torch.arange(width) + shifts[1]).clamp(0, width - 1)
    xs = torch.where(flips, xs.flip(1), xs)
    ys, xs = ys.to(faces.device, non_blocking=True), xs.to(faces.device, non_blocking=True)
    rows = torch.arange(count, device=faces.device)[:, None, None]
    return as_input(faces[rows, ys[:, :, None], xs[:, None, :]])


def as_input(faces: Tensor) -> Tensor:
    """uint8 [B,H,W] -> float [B,1,H,W] in [-1,1]."""
    return faces[:, None].float() / 127.5 - 1


@torch.inference_mode()
def predict_small_net(net: nn.Module, faces: Tensor, device: torch.device, dtype: torch.dtype) -> Tensor:
    """The predicted class of each face uint8 [N,H,W]: int64 [N] on the CPU."""
    predicted = []
    for batch in faces.split(512):
        with autocast(device, dtype):
            predicted.append(net(as_input(batch.to(device))).argmax(1).cpu())
    return torch.cat(predicted)


def cas_figures(editor: Editor, train: FaceSet, faces: FaceSet, seed: int) -> dict[str, Metric]:
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
    of_edits, of_real = (summarise(hit, faces.labels, faces.groups()) for hit in hits.values())
    return {"cas": Metric("recall on real faces of a small net trained on edits (CAS)", of_edits, of_real)}


def shuffled(labels: Tensor, seed: int) -> Tensor:
    """The labels in random order: to which emotion each face is edited."""
    return labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))]


def detectability_figures(editor: Editor, train: FaceSet, faces: FaceSet, seed: int) -> dict[str, Metric]:
    """The balanced accuracy of a small net that tells edits at a face's own emotion from untouched faces; 0.5 is
    chance. It learns from `train` and is tested on `faces`; each face stands on both sides of either."""
    images, sides = both_sides(train.faces, augment(editor, train.faces, train.labels, 1, seed)[:, 0])
    what = "training a small net to tell edits from faces"
    net = train_small_net(images, sides, 2, editor.device, editor.dtype, seed, what)
    images, sides = both_sides(faces.faces, augment(editor, faces.faces, faces.labels, 1, seed + 1)[:, 0])
    hits = predict_small_net(net, images, editor.device, editor.dtype) == sides
    # Each face is on both sides: the mean of its two answers, averaged over an emotion, is the balanced accuracy.
    values = hits.double().view(2, -1).mean(0)
    summary = summarise(values, faces.labels, faces.groups(), higher_is_better=False)
    title = "edits told from untouched faces by a small net (50 % is chance)"
    return {"detectability": Metric(title, summary, higher_is_better=False)}


def both_sides(faces: Tensor, edits: Tensor) -> tuple[Tensor, Tensor]:
    """Faces and edits uint8 [N,H,W] as one set of 2N with its labels int64: first UNTOUCHED, then EDITED."""
    return torch.cat([faces, edits]), torch.tensor([UNTOUCHED, EDITED]).repeat_interleave(len(faces))
