"""Fine-tuning EmotionNet: the classifier's step, its epoch and what is measured after it."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core_code.core_utils.data_parallel import mean_of_all, sum_gradients
from core_code.core_utils.devices import autocast
from core_code.core_utils.metrics import score
from core_code.core_utils.recorded import Recorded
from core_code.core_utils.transforms import train_view
from core_code.datasets.batches import FaceBatches
from core_code.epochs import Record, generator_for
from core_code.inference import predict
from core_code.models.emotion_net import EmotionNet
from core_code.models.synchronised_norm import synchronise_norms

OPTIMIZERS = ("adam", "sgd")
SCHEDULERS = ("cosine", "step", "none")
MOMENTUM = 0.9
STEP_EPOCHS, STEP_FACTOR = 10, 0.1
TRAIN_ACCURACY_EVERY = 5


@dataclass(frozen=True)
class Training:
    """How a net is trained, the data apart."""

    epochs: int
    lr: float
    weight_decay: float
    optimizer: str
    scheduler: str
    image_size: int
    seed: int
    dtype: torch.dtype


class ClassifierTask:
    """A Task of epochs.run_epochs: cross entropy on random views of `train`, accuracy on `val`'s middles.

    `train` is shuffled and may replace faces by their augmentations; `train_plain` holds the same faces as they
    are, for the training accuracy of every fifth epoch and the last.
    """

    best_by = "validation_accuracy"
    higher_is_better = True

    def __init__(
        self, net: EmotionNet, train: FaceBatches, train_plain: FaceBatches, val: FaceBatches, training: Training
    ) -> None:
        synchronise_norms(net)
        self.net = net
        self.train, self.train_plain, self.val = train, train_plain, val
        self.training = training
        self.seed = training.seed
        self.faces_per_epoch = train.faces_per_epoch or len(train.dataset)
        self.optimizer = make_optimizer(learned(net), training)
        self.scheduler = make_scheduler(self.optimizer, training)
        self.gradients = Recorded(self.loss, train.device, net.parameters())

    def steps(self, epoch: int) -> Iterator[tuple[Tensor, int]]:
        """One pass over the training faces; yields each step's loss and number of faces."""
        self.train.set_epoch(epoch)
        generator = generator_for(self.seed, epoch, "views")
        for faces, labels, _, part in self.train.parts():
            views = train_view(faces, self.training.image_size, generator, self.training.dtype, part=part)
            yield self.step(views, labels), part.total

    def step(self, views: Tensor, labels: Tensor) -> Tensor:
        """One update of the net; returns the loss before it."""
        loss = self.gradients(views, labels)
        sum_gradients(self.net.parameters())
        self.optimizer.step()
        return loss

    def loss(self, views: Tensor, labels: Tensor) -> Tensor:
        """Forward and backward."""
        with autocast(views.device, self.training.dtype):
            loss = mean_of_all(F.cross_entropy(self.net(views), labels), len(labels))
        loss.backward()
        return loss

    def measure(self, epoch: int, last: bool) -> Record:
        """Validation accuracy, and the training accuracy every fifth epoch and after the last."""
        figures = {"validation_accuracy": self.accuracy(self.val, "validation")}
        if last or epoch % TRAIN_ACCURACY_EVERY == 0:
            figures["train_accuracy"] = self.accuracy(self.train_plain, "training accuracy")
        return figures

    def accuracy(self, batches: FaceBatches, what: str) -> float:
        """Top-1 accuracy in [0,1]."""
        return score(*predict(self.net, batches, self.training.image_size, self.training.dtype, what)).top1


def learned(net: nn.Module) -> list[nn.Parameter]:
    """The parameters that training changes."""
    return [parameter for parameter in net.parameters() if parameter.requires_grad]


def make_optimizer(
    parameters: list[nn.Parameter], training: Training, others: dict[float, list[nn.Parameter]] | None = None
) -> torch.optim.Optimizer:
    """Adam, or SGD with momentum, on the parameters and, each at a learning rate of their own, on `others`.

    One fused pass over the parameters a step.
    """
    groups = [{"params": parameters}, *({"params": some, "lr": lr} for lr, some in (others or {}).items())]
    options = {"lr": training.lr, "weight_decay": training.weight_decay, "fused": fused_works(parameters[0])}
    if training.optimizer == "adam":
        return torch.optim.Adam(groups, **options)
    return torch.optim.SGD(groups, momentum=MOMENTUM, **options)


def fused_works(parameter: Tensor) -> bool:
    """Whether torch has one-pass optimizers on the parameters' device."""
    return parameter.device.type in {"cpu", "cuda"}


def make_scheduler(optimizer: torch.optim.Optimizer, training: Training) -> torch.optim.lr_scheduler.LRScheduler | None:
    """The learning rate over the epochs: a cosine to zero, a tenth every ten epochs, or None for constant."""
    if training.scheduler == "cosine":
        return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, training.epochs)
    if training.scheduler == "step":
        return torch.optim.lr_scheduler.StepLR(optimizer, STEP_EPOCHS, STEP_FACTOR)
    return None
