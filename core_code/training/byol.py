"""Pre-training with BYOL: its step, its epoch, what is measured after it, and a warning of collapse."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from tqdm import tqdm

from core_code.core_utils.acceleration import accelerate
from core_code.core_utils.acceleration.cuda_graphs import CudaGraphed
from core_code.core_utils.devices import autocast
from core_code.core_utils.distributed.data_parallel import Shard, all_reduce_gradients, gather_rows, global_mean
from core_code.core_utils.distributed.sync_batch_norm import convert_sync_batch_norms
from core_code.core_utils.ema import WeightEMA
from core_code.core_utils.logs import TrainingLog
from core_code.core_utils.photometric import RANDOM_NUMBERS, photometric_augmentation
from core_code.core_utils.seeding import rng_for
from core_code.core_utils.transforms import train_view
from core_code.datasets.augmentations.store import Augmentations
from core_code.datasets.loader import FaceBatches
from core_code.models.byol import BYOL, effective_rank, feature_std
from core_code.models.smallest_views import check_views
from core_code.training.classifier import make_optimizer, make_scheduler, trainable_parameters
from core_code.training.loop import Record, log_message
from core_code.training.settings import TrainingSettings

COLLAPSE_STD = 0.05  # below it the net gives all faces nearly the same features
FEW_DIRECTIONS = 3.0  # features of fewer tell hardly more than whether a face is dark


class BYOLTask:
    """A Task of loop.run_epochs: two views of each face of `train`; the loss on two views of each of `val`.

    The second view is of one of the face's `augmentations`, sampled anew in each epoch; a face that has none gets two
    random views of itself, and so does every face of `val`, the same ones after each epoch. Labels are not used.
    With `photometric` each view gets a photometric augmentation of its own (core_utils/photometric.py).
    `prediction_lr` is the prediction head's learning rate, where it is not that of `training`; the scheduler lowers
    both alike.
    """

    best_by = "validation_loss"
    higher_is_better = False
    ema: WeightEMA | None = None

    def __init__(
        self, net: BYOL, train: FaceBatches, val: FaceBatches, training: TrainingSettings,
        augmentations: Augmentations | None = None, photometric: bool = False, prediction_lr: float | None = None,
    ) -> None:  # fmt: skip
        check_views(net, training.image_size, 2 * min(train.batch_size, len(train.faces)))
        convert_sync_batch_norms(net)
        if training.accelerate:
            accelerate(net)
        self.net = net
        self.train, self.val = train, val
        self.training = training
        self.augmentations = augmentations.to(train.device) if augmentations else None
        self.photometric = photometric
        self.seed = training.seed
        self.faces_per_epoch = len(train.faces)
        self.optimizer = make_byol_optimizer(net, training, prediction_lr)
        self.scheduler = make_scheduler(self.optimizer, training)
        graphed = training.accelerate
        self.forward_backward = CudaGraphed(self.compute_gradients, train.device, net.parameters(), enabled=graphed)
        self.update_target = CudaGraphed(net.update_target, train.device, enabled=graphed)

    def steps(self, epoch: int) -> Iterator[tuple[Tensor, int]]:
        """One pass over the training faces; yields each step's loss and number of faces."""
        self.train.set_epoch(epoch)
        augmentation_rng = rng_for(self.seed, epoch, "partners")
        view_rng = rng_for(self.seed, epoch, "views")
        for faces, _, indices, _, shard in self.train.sharded():
            second = faces
            if self.augmentations is not None:
                second = self.augmentations.replace(faces, indices, 1.0, augmentation_rng, shard)
            yield self.step(self.views(faces, second, view_rng, shard)), shard.total

    def views(self, faces: Tensor, second: Tensor, generator: torch.Generator, shard: Shard) -> Tensor:
        """Random views [2B,3,S,S], those of the faces first."""
        pairs, both = torch.cat([faces, second]), shard.doubled()
        size, smallest = self.training.image_size, self.training.smallest_crop
        views = train_view(pairs, size, generator, channels=1, shard=both, smallest_crop=smallest)
        if self.photometric:
            numbers = torch.rand(RANDOM_NUMBERS, both.total, generator=generator)[:, both.rows]
            views = photometric_augmentation(views[:, 0], numbers.to(views.device))[:, None]
        return views.to(self.training.dtype).expand(-1, 3, -1, -1)

    def step(self, views: Tensor) -> Tensor:
        """One update of the online net and of the target, its EMA; returns the loss before it."""
        self.optimizer.zero_grad()
        loss = self.forward_backward(views)
        all_reduce_gradients(self.net.parameters())
        self.optimizer.step()
        self.update_target()
        return loss

    def compute_gradients(self, views: Tensor) -> Tensor:
        """Forward and backward; returns the loss."""
        with autocast(views.device, self.training.dtype):
            loss = global_mean(self.net.compare(views).loss, len(views))
        loss.backward()
        return loss

    @torch.no_grad()
    def measure(self) -> Record:
        """On val: the loss, the std of features and projections over faces, and the features' effective rank.

        All by batch statistics, as in training: the running statistics lag behind weights that change fast. In the
        first epochs from random weights they make all faces look alike, the views agree, and such an epoch would pass
        for the best one.
        """
        generator = rng_for(self.seed, 0, "validation views")
        losses, features, projections, rows = [], [], [], []
        count = len(self.val.faces)
        bar = tqdm(total=count, desc="validation", unit=" faces", leave=False, delay=2)
        with bar, only_batch_statistics(self.net.train()):
            for faces, _, indices, _, shard in self.val.sharded():
                views = self.views(faces, faces, generator, shard)
                with autocast(views.device, self.training.dtype):
                    compared = self.net.compare(views)
                losses.append(global_mean(compared.loss, len(faces)) * shard.total)
                features.append(compared.features[: len(faces)])
                projections.append(compared.projections[: len(faces)])
                rows.append(indices)
                bar.update(shard.total)
        indices = torch.cat(rows)
        every = gather_rows(torch.cat(features), indices, count)
        return {
            "validation_loss": torch.stack(losses).sum().item() / count,
            "feature_std": feature_std(every),
            "projection_std": feature_std(gather_rows(torch.cat(projections), indices, count)),
            "feature_rank": effective_rank(every),
        }


def make_byol_optimizer(net: BYOL, training: TrainingSettings, prediction_lr: float | None) -> torch.optim.Optimizer:
    """As make_optimizer, the prediction head at a learning rate of its own where one is given."""
    if prediction_lr is None:
        return make_optimizer(trainable_parameters(net), training)
    prediction = set(net.prediction.parameters())
    rest = [parameter for parameter in trainable_parameters(net) if parameter not in prediction]
    return make_optimizer(rest, training, {prediction_lr: list(net.prediction.parameters())})


@contextmanager
def only_batch_statistics(net: nn.Module) -> Iterator[None]:
    """Within it batch norms in training mode use the batch's statistics and leave the running ones as they are."""
    norms = [module for module in net.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True


def make_byol_task(
    net_name: str, train: FaceBatches, val: FaceBatches, training: TrainingSettings,
    augmentations: Augmentations | None = None, weights: str = "imagenet", fine_tune: bool = True,
    photometric: bool = False, prediction_lr: float | None = None,
) -> BYOLTask:  # fmt: skip
    """A task ready for run_epochs, on the device of `train`.

    `weights` as EmotionNet.load_backbone takes them. Without `fine_tune` the backbone is frozen and only
    projection and prediction learn. Raises InputError for the weights.
    """
    torch.manual_seed(training.seed)
    net = BYOL(net_name, frozen_backbone=not fine_tune)
    net.load_backbone(weights)
    return BYOLTask(net.to(train.device), train, val, training, augmentations, photometric, prediction_lr)


def warn_of_collapse(record: Record, log: TrainingLog | None = None) -> None:
    """Log a collapse of the representation, which the loss does not show: it looks perfect."""
    for what in ("feature", "projection"):
        value = record[f"{what}_std"]
        if not value >= COLLAPSE_STD:
            log_message(
                f"warning: the representation has collapsed: {what} std {value:.4f} after epoch {record['epoch']}, "
                f"expected {COLLAPSE_STD} or more; the net gives all faces nearly the same {what}s; try a lower --lr "
                f"or a larger --batch_size",
                log,
            )
    if record["feature_rank"] < FEW_DIRECTIONS:
        log_message(
            f"warning: after epoch {record['epoch']} the features tell faces apart in {record['feature_rank']:.1f} "
            f"directions only, however large their std; try --photometric True and a --prediction_lr ten times "
            f"the --lr",
            log,
        )
