"""Fine-tuning EmotionNet: the classifier's step, its epoch and what is measured after it."""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core_code.core_utils.acceleration import accelerate
from core_code.core_utils.acceleration.cuda_graphs import CudaGraphed
from core_code.core_utils.devices import autocast
from core_code.core_utils.distributed.data_parallel import Shard, all_reduce_gradients, gather_rows, global_mean
from core_code.core_utils.distributed.job import all_reduce_sum
from core_code.core_utils.distributed.sync_batch_norm import convert_sync_batch_norms
from core_code.core_utils.ema import WeightEMA
from core_code.core_utils.metrics.scores import score
from core_code.core_utils.seeding import rng_for
from core_code.core_utils.transforms import random_mix, train_view
from core_code.datasets.loader import FaceBatches
from core_code.models.emotion_net import EmotionNet
from core_code.models.smallest_views import check_views
from core_code.training.inference import check_finite, predict
from core_code.training.loop import Record
from core_code.training.settings import TrainingSettings
from core_code.training.synthetic_norms import add_synthetic_norms

MOMENTUM = 0.9
STEP_EPOCHS, STEP_FACTOR = 10, 0.1


class ClassifierTask:
    """A Task of loop.run_epochs: cross entropy on random views of `train`, accuracy on the centre crops of `val`.

    `train` is shuffled and may replace faces by their augmentations. The training accuracy of an epoch is that on the
    views that the net was trained on, each predicted just before the step that it is part of, against the labels; under
    mixup against that of the face that weighs more.

    `targets`, float [R,E], are probabilities to train on in place of the labels, without label smoothing: a row for
    each face of `train` and for each of its augmentations, as Batch.sources counts them.

    With `training.ema` the weights' moving average is what is measured.
    """

    best_by = "validation_accuracy"
    higher_is_better = True

    def __init__(
        self, net: EmotionNet, train: FaceBatches, val: FaceBatches, training: TrainingSettings,
        targets: Tensor | None = None,
    ) -> None:  # fmt: skip
        check_views(net, training.image_size, min(train.batch_size, train.faces_in_epoch))
        self.synthetic = add_synthetic_norms(net) if training.synthetic_norms else None
        if self.synthetic is None:
            convert_sync_batch_norms(net)
        if training.accelerate:
            accelerate(net)
        self.net = net
        self.train, self.val = train, val
        self.training = training
        self.targets = None if targets is None else targets.to(train.device)
        self.label_smoothing = training.label_smoothing if targets is None else 0.0
        self.seed = training.seed
        self.faces_per_epoch = train.faces_per_epoch or len(train.faces)
        self.optimizer = make_optimizer(trainable_parameters(net), training)
        self.scheduler = make_scheduler(self.optimizer, training)
        self.forward_backward = CudaGraphed(
            self.compute_gradients, train.device, net.parameters(), enabled=training.accelerate
        )
        self.ema = WeightEMA(net, training.ema) if training.ema else None
        self.correct = torch.zeros((), device=train.device)  # of this epoch's views so far, in this process

    def steps(self, epoch: int) -> Iterator[tuple[Tensor, int]]:
        """One pass over the training faces; yields each step's loss and number of faces."""
        self.train.set_epoch(epoch)
        generator = rng_for(self.seed, epoch, "views")
        self.correct.zero_()
        for faces, labels, _, sources, shard in self.train.sharded():
            views = self.views(faces, generator, shard)
            targets = labels if self.targets is None else self.targets[sources]
            if self.training.mixup:
                if targets is labels:
                    targets = F.one_hot(labels, len(self.net.emotions)).to(views.dtype)
                views, targets = mix_batch(views, targets, self.training.mixup, generator, shard)
            views = views.to(self.training.dtype).expand(-1, 3, -1, -1)
            synthetic = () if self.synthetic is None else (sources >= self.train.real_count,)
            yield self.step(views, targets, labels, *synthetic), shard.total

    def views(self, faces: Tensor, generator: torch.Generator, shard: Shard) -> Tensor:
        """A random view of each face, float32 [B,1,S,S] in [0,1]."""
        how = self.training
        return train_view(
            faces, how.image_size, generator, channels=1, shard=shard, smallest_crop=how.smallest_crop,
            rotation=how.rotation, erasing=how.erasing, elastic=how.elastic,
        )  # fmt: skip

    def step(self, views: Tensor, targets: Tensor, labels: Tensor, *synthetic: Tensor) -> Tensor:
        """One update of the net, and of the weights' average; returns the loss before it."""
        self.optimizer.zero_grad()
        loss = self.forward_backward(views, targets, labels, *synthetic)
        all_reduce_gradients(self.net.parameters())
        self.optimizer.step()
        if self.ema:
            self.ema.update()
        return loss

    def compute_gradients(self, views: Tensor, targets: Tensor, labels: Tensor, *synthetic: Tensor) -> Tensor:
        """Forward and backward; returns the loss. `targets` are labels int64 [B], or probabilities float [B,E];
        `synthetic`, bool [B], is given for synthetic norms alone."""
        if self.synthetic is not None:
            (self.synthetic.rows,) = synthetic
        with autocast(views.device, self.training.dtype):
            logits = self.net(views)
            loss = F.cross_entropy(logits, targets, label_smoothing=self.label_smoothing)
            loss = global_mean(loss, len(targets))
        loss.backward()
        self.correct += (logits.detach().argmax(1) == labels).sum()
        return loss

    def measure(self) -> Record:
        """Training accuracy, out of the epoch's own steps, and validation accuracy, both in [0,1]."""
        net = self.ema.net if self.ema else self.net
        logits, labels = predict(net, self.val, self.training.image_size, self.training.dtype, "validation")
        scores = score(check_finite(logits, "validation"), labels)
        train_accuracy = all_reduce_sum(self.correct).item() / self.train.faces_in_epoch
        return {"train_accuracy": train_accuracy, "validation_accuracy": scores.top1}


def mix_batch(
    views: Tensor, targets: Tensor, alpha: float, generator: torch.Generator, shard: Shard
) -> tuple[Tensor, Tensor]:
    """Mixup (H. Zhang et al., 2018): each view and its target blended with those of another face of the batch.

    `views` float [B,1,S,S], `targets` probabilities float [B,E]. One share of Beta(alpha, alpha) for the whole batch,
    the larger part always a face's own.
    """
    partners, share = random_mix(shard.total, alpha, generator)
    partners, rows = partners[shard.rows], torch.arange(shard.total)[shard.rows]
    partners = partners.to(views.device, non_blocking=True)
    mixed = [torch.lerp(gather_rows(own, rows, shard.total)[partners], own, share) for own in (views, targets)]
    return mixed[0], mixed[1]


def trainable_parameters(net: nn.Module) -> list[nn.Parameter]:
    """The parameters that training changes."""
    return [parameter for parameter in net.parameters() if parameter.requires_grad]


def make_optimizer(
    parameters: list[nn.Parameter], training: TrainingSettings, others: dict[float, list[nn.Parameter]] | None = None
) -> torch.optim.Optimizer:
    """Fused Adam, or SGD with momentum, on the parameters, and on `others`, by their learning rates."""
    groups: list[dict[str, Any]] = decay_groups(parameters, training)
    for lr, some in (others or {}).items():
        groups += [{**group, "lr": lr} for group in decay_groups(some, training)]
    fused = parameters[0].device.type in {"cpu", "cuda"}  # where torch has one-pass optimizers
    options: dict[str, Any] = {"lr": training.lr, "weight_decay": training.weight_decay, "fused": fused}
    if training.optimizer == "adam":
        return torch.optim.Adam(groups, **options)
    return torch.optim.SGD(groups, momentum=MOMENTUM, nesterov=training.nesterov, **options)


def decay_groups(parameters: list[nn.Parameter], training: TrainingSettings) -> list[dict[str, Any]]:
    """The optimizer's groups: all parameters in one, or norms and biases (of one dimension) apart, without decay."""
    if training.decay_norms:
        return [{"params": parameters}]
    decayed = [parameter for parameter in parameters if parameter.dim() > 1]
    others = [parameter for parameter in parameters if parameter.dim() <= 1]
    groups: list[dict[str, Any]] = [{"params": decayed}, {"params": others, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def make_scheduler(
    optimizer: torch.optim.Optimizer, training: TrainingSettings
) -> torch.optim.lr_scheduler.LRScheduler | None:
    """The learning rate over the epochs: a cosine to zero, a tenth every ten epochs, or None for constant.

    With a warm-up it comes first: Schedule.
    """
    return Schedule(optimizer, training) if training.warm_up or training.scheduler != "none" else None


class Schedule(torch.optim.lr_scheduler.LRScheduler):
    """A linear warm-up by equal parts, an epoch each, that ends just below the full rate; then the scheduler's course.

    The warm-up takes no more than half of a cosine's epochs.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, training: TrainingSettings) -> None:
        self.kind, self.epochs = training.scheduler, training.epochs
        self.warm_up = min(training.warm_up, training.epochs // 2) if self.kind == "cosine" else training.warm_up
        super().__init__(optimizer)

    def get_lr(self) -> list[float | Tensor]:
        """The rates of the coming epoch."""
        return [base * self.factor(self.last_epoch) for base in self.base_lrs]

    def factor(self, done: int) -> float:
        """Of the full learning rate, after `done` epochs."""
        after = done - self.warm_up
        if after < 0:
            return (done + 1) / (self.warm_up + 1)
        if self.kind == "cosine":
            return (1 + math.cos(math.pi * after / (self.epochs - self.warm_up))) / 2
        return STEP_FACTOR ** (after // STEP_EPOCHS) if self.kind == "step" else 1.0
