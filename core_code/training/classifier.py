"""Fine-tuning EmotionNet: the classifier's step, its epoch and what is measured after it."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core_code.core_utils.acceleration import accelerate
from core_code.core_utils.acceleration.cuda_graphs import CudaGraphed
from core_code.core_utils.devices import autocast
from core_code.core_utils.distributed.data_parallel import all_reduce_gradients, global_mean
from core_code.core_utils.distributed.job import all_reduce_sum
from core_code.core_utils.distributed.sync_batch_norm import convert_sync_batch_norms
from core_code.core_utils.metrics.scores import score
from core_code.core_utils.transforms import train_view
from core_code.datasets.loader import FaceBatches
from core_code.models.emotion_net import EmotionNet
from core_code.training.inference import predict
from core_code.training.loop import Record, rng_for
from core_code.training.settings import TrainingSettings

MOMENTUM = 0.9
STEP_EPOCHS, STEP_FACTOR = 10, 0.1


class ClassifierTask:
    """A Task of loop.run_epochs: cross entropy on random views of `train`, accuracy on the centre crops of `val`.

    `train` is shuffled and may replace faces by their augmentations. The training accuracy of an epoch is that on the
    views that the net was trained on, each predicted just before the step that it is part of.
    """

    best_by = "validation_accuracy"
    higher_is_better = True

    def __init__(self, net: EmotionNet, train: FaceBatches, val: FaceBatches, training: TrainingSettings) -> None:
        convert_sync_batch_norms(net)
        if training.accelerate:
            accelerate(net)
        self.net = net
        self.train, self.val = train, val
        self.training = training
        self.seed = training.seed
        self.faces_per_epoch = train.faces_per_epoch or len(train.faces)
        self.optimizer = make_optimizer(trainable_parameters(net), training)
        self.scheduler = make_scheduler(self.optimizer, training)
        self.forward_backward = CudaGraphed(
            self.compute_gradients, train.device, net.parameters(), enabled=training.accelerate
        )
        self.correct = torch.zeros((), device=train.device)  # of this epoch's views so far, in this process

    def steps(self, epoch: int) -> Iterator[tuple[Tensor, int]]:
        """One pass over the training faces; yields each step's loss and number of faces."""
        self.train.set_epoch(epoch)
        generator = rng_for(self.seed, epoch, "views")
        self.correct.zero_()
        size, dtype, smallest = self.training.image_size, self.training.dtype, self.training.smallest_crop
        for faces, labels, _, shard in self.train.sharded():
            views = train_view(faces, size, generator, dtype, shard=shard, smallest_crop=smallest)
            yield self.step(views, labels), shard.total

    def step(self, views: Tensor, labels: Tensor) -> Tensor:
        """One update of the net; returns the loss before it."""
        self.optimizer.zero_grad()
        loss = self.forward_backward(views, labels)
        all_reduce_gradients(self.net.parameters())
        self.optimizer.step()
        return loss

    def compute_gradients(self, views: Tensor, labels: Tensor) -> Tensor:
        """Forward and backward; returns the loss."""
        with autocast(views.device, self.training.dtype):
            logits = self.net(views)
            loss = F.cross_entropy(logits, labels, label_smoothing=self.training.label_smoothing)
            loss = global_mean(loss, len(labels))
        loss.backward()
        self.correct += (logits.detach().argmax(1) == labels).sum()
        return loss

    def measure(self, epoch: int, last: bool) -> Record:
        """Training accuracy, out of the epoch's own steps, and validation accuracy, both in [0,1]."""
        scores = score(*predict(self.net, self.val, self.training.image_size, self.training.dtype, "validation"))
        train_accuracy = all_reduce_sum(self.correct).item() / self.faces_per_epoch
        return {"train_accuracy": train_accuracy, "validation_accuracy": scores.top1}


def trainable_parameters(net: nn.Module) -> list[nn.Parameter]:
    """The parameters that training changes."""
    return [parameter for parameter in net.parameters() if parameter.requires_grad]


def make_optimizer(
    parameters: list[nn.Parameter], training: TrainingSettings, others: dict[float, list[nn.Parameter]] | None = None
) -> torch.optim.Optimizer:
    """Fused Adam, or SGD with momentum, on the parameters, and on `others`, by their learning rates."""
    groups: list[dict[str, Any]] = [
        {"params": parameters},
        *({"params": some, "lr": lr} for lr, some in (others or {}).items()),
    ]
    fused = parameters[0].device.type in {"cpu", "cuda"}  # where torch has one-pass optimizers
    options: dict[str, Any] = {"lr": training.lr, "weight_decay": training.weight_decay, "fused": fused}
    if training.optimizer == "adam":
        return torch.optim.Adam(groups, **options)
    return torch.optim.SGD(groups, momentum=MOMENTUM, nesterov=training.nesterov, **options)


def make_scheduler(
    optimizer: torch.optim.Optimizer, training: TrainingSettings
) -> torch.optim.lr_scheduler.LRScheduler | None:
    """The learning rate over the epochs: a cosine to zero, a tenth every ten epochs, or None for constant."""
    if training.scheduler == "cosine":
        return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, training.epochs)
    if training.scheduler == "step":
        return torch.optim.lr_scheduler.StepLR(optimizer, STEP_EPOCHS, STEP_FACTOR)
    return None
