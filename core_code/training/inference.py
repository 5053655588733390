"""Predictions of trained nets: logits of a whole data set, and nets out of their checkpoints."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from tqdm import tqdm

from core_code.core_utils.acceleration import accelerate
from core_code.core_utils.checkpoints import BEST, LAST, CheckpointFiles, load_net, read_checkpoint
from core_code.core_utils.choices import FLIP, NO_TTA, TEN_CROP, TTA_KINDS
from core_code.core_utils.devices import autocast
from core_code.core_utils.distributed.data_parallel import gather_rows
from core_code.core_utils.emotions import EMOTIONS
from core_code.core_utils.errors import InputError, shown
from core_code.core_utils.transforms import RESIZE_TO_CROP, as_floats, central_weights, evaluation_view
from core_code.datasets.loader import FaceBatches
from core_code.models.architectures import ARCHITECTURES, IMAGENET_STEM, STEMS
from core_code.models.emotion_net import PREFIX, EmotionNet, build
from core_code.training.next_command import next_command

SHIPPED_CLASSIFIER = Path(__file__).parents[1] / "models" / "shipped" / "classifier.pth"
PUBLISHED_IMAGE_SIZE = 224  # pixels; published checkpoints do not hold it


@torch.no_grad()
def predict(
    net: EmotionNet, batches: FaceBatches, image_size: int, dtype: torch.dtype, what: str = "evaluation",
    tta: str = NO_TTA,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Logits float32 [N,E] and labels int64 [N] on the CPU, of evaluation views, in the data set's order.

    Each of several processes predicts its shard of every batch, and all get the whole. Leaves the net in evaluation
    mode. `what` is the progress bar's title, `tta` one of choices.TTA_KINDS.
    """
    net.eval()
    logits, rows, count = [], [], len(batches.labels)
    with tqdm(total=count, desc=what, unit=" faces", leave=False, delay=2) as bar:
        for faces, _, indices, _, shard in batches.sharded():
            logits.append(predict_batch(net, faces, image_size, dtype, tta))
            rows.append(indices)
            bar.update(shard.total)
    return gather_rows(torch.cat(logits), torch.cat(rows), count).cpu(), batches.labels.cpu()


@torch.no_grad()
def predict_batch(net: EmotionNet, faces: Tensor, image_size: int, dtype: torch.dtype, tta: str = NO_TTA) -> Tensor:
    """Logits float32 [B,E] of a batch, uint8 [B,H,W], by a net in evaluation mode on the same device.

    With `tta` the mean of the views' logits, not softmaxes, so that votes and confidences are on the scale of one view.
    """
    with autocast(faces.device, dtype):
        logits = [net(view).float() for view in views_of(faces, image_size, tta, dtype)]
    return torch.stack(logits).mean(0)


def views_of(faces: Tensor, size: int, kind: str = NO_TTA, dtype: torch.dtype = torch.float32) -> Iterator[Tensor]:
    """The views of a batch of faces, one after the other: `dtype` [B,3,size,size] in [0,1] each.

    `faces` uint8 [B,H,W]. `none`: the evaluation view alone. `flip`: it and its mirror image. `ten_crop`: of the face
    resized to 256/224 of `size` the four corners and the centre crop, and the same of its mirror image (ten crops as in
    A. Krizhevsky et al., "ImageNet classification with deep convolutional neural networks", 2012, section 4.1; their
    order is that of torchvision's TenCrop). Raises ValueError for another kind.
    """
    if kind not in TTA_KINDS:
        raise ValueError(f"test-time augmentation {kind!r}, expected one of {', '.join(TTA_KINDS)}")
    if kind != TEN_CROP:
        view = evaluation_view(faces, size, dtype)
        yield from (view, view.flip(-1)) if kind == FLIP else (view,)
        return
    side = round(size * RESIZE_TO_CROP)
    rows, columns = (central_weights(source, side, side).to(faces.device) for source in faces.shape[1:])
    resized = (rows @ as_floats(faces) @ columns.T).clamp_(0, 1)
    end, centre = side - size, round((side - size) / 2)
    for whole in (resized, resized.flip(-1)):
        for top, left in ((0, 0), (0, end), (end, 0), (end, end), (centre, centre)):
            crop = whole[:, top : top + size, left : left + size]
            yield crop.to(dtype)[:, None].expand(-1, 3, -1, -1)


def check_finite(outputs: Tensor, what: str) -> Tensor:
    """The outputs or features of a net. Raises InputError, which begins with `what`, where they are not finite."""
    if not outputs.isfinite().all():
        advice = "it has diverged, or they are too large for this precision: try --precision fp32"
        raise InputError(f"{what}: the net's outputs are not all finite numbers; {advice}")
    return outputs


class Trained(NamedTuple):
    """A net out of a checkpoint, and the side in pixels of the views that it was trained on."""

    net: EmotionNet
    image_size: int


def load_trained(files: CheckpointFiles, kind: str, device: torch.device | str = "cpu") -> Trained:
    """The net of a run's checkpoint, or of a published one under its name. Raises InputError."""
    return trained_net(files.load(kind, "settings"), files.name, files.path(kind), device)


def load_trained_file(
    path: Path, device: torch.device | str = "cpu", emotions: tuple[str, ...] | None = None
) -> Trained:
    """The net of a checkpoint of train_model.py, whatever the file's name. Raises InputError, also for a net that
    predicts others than these `emotions`, where they are given.

    The architecture of a published checkpoint with an unknown name is recognised from its tensors.
    """
    state = read_checkpoint(path, "settings")
    name = state["name"]
    if name not in ARCHITECTURES and not state["settings"]:
        name = recognise_architecture(state["net"])
    if name not in ARCHITECTURES:
        raise InputError(f"{path}: a checkpoint of {shown(state['name'])}, expected one of {', '.join(ARCHITECTURES)}")
    trained = trained_net(state, name, path, device)
    if emotions and trained.net.emotions != emotions:
        raise InputError(f"{path}: predicts {', '.join(trained.net.emotions)}, expected {', '.join(emotions)}")
    return trained


def trained_net(state: dict[str, Any], name: str, path: Path, device: torch.device | str) -> Trained:
    """The net of an architecture with a checkpoint's weights; `path` names the checkpoint in the InputError."""
    stem = state["settings"].get("stem", IMAGENET_STEM)
    if stem not in STEMS:
        raise InputError(f"{path}: its stem is {shown(stem)}, expected one of {', '.join(STEMS)}")
    emotions = state["settings"].get("emotions", ",".join(EMOTIONS))
    if not isinstance(emotions, str):
        raise InputError(f"{path}: its emotions are {shown(emotions)}, expected names with commas between")
    hidden = f"{PREFIX}{ARCHITECTURES[name].head}.0.weight" in state["net"]
    net = EmotionNet(name, hidden_head=hidden, stem=stem, emotions=emotions.split(","))
    load_net(net, state, path)
    accelerate(net)
    return Trained(net.to(device), state["settings"].get("image_size", PUBLISHED_IMAGE_SIZE))


def recognise_architecture(state: dict[str, Any]) -> str | None:
    """The architecture whose backbone has the names and shapes of this state dict; None where there is none."""
    found = {name: value.shape for name, value in state.items() if isinstance(value, Tensor)}
    for name, architecture in ARCHITECTURES.items():
        with torch.device("meta"):
            shapes = {key: value.shape for key, value in build(architecture).state_dict().items()
                      if not key.startswith(f"{architecture.head}.")}  # fmt: skip
        if all(found.get(f"{PREFIX}{key}") == shape for key, shape in shapes.items()):
            return name
    return None


def load_byol(
    folder: Path,
    name: str,
    experiment: str,
    kind: str = BEST,
    used: tuple[str, ...] = (),
    settings: Mapping[str, Any] | None = None,
) -> tuple[dict[str, Any], Path]:
    """A BYOL checkpoint, of which `used` will be used beside the net, and its path.

    Where there is no best one, as after the published program, the last epoch's is taken. Raises InputError; for a
    missing one it names the command that makes it, with the flags that `settings` (of a run) have other values of.
    """
    files = CheckpointFiles(folder, name, experiment, byol=True)
    if kind == BEST and not files.path(BEST).exists() and files.path(LAST).exists():
        kind = LAST
    path = files.path(kind)
    if not path.exists():
        given = {"net_name": name, "exp_name": experiment, "fine_tune": True}
        command = next_command("train_byol_model.py", settings or {}, **given)
        raise InputError(f"{path}: no such BYOL checkpoint; make it with: {command}")
    return files.load(kind, *used), path
