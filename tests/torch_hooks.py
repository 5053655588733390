"""What nets are shown, and moments of a training, through PyTorch's own hooks: nothing of the program is replaced."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import NamedTuple

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook


class Shown(NamedTuple):
    """One call of a net: whether it was in training mode, the views float [B,C,S,S] and its answer."""

    net: nn.Module
    training: bool
    views: Tensor
    answer: Tensor


@contextmanager
def shown_to(kind: type[nn.Module], first: Callable[[nn.Module], None] = lambda net: None) -> Iterator[list[Shown]]:
    """Every call of nets of exactly this class, in order; `first(net)` happens before the first call of each net."""
    calls: list[Shown] = []
    known: set[nn.Module] = set()

    def before(net: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if type(net) is kind and net not in known:
            known.add(net)
            first(net)

    def after(net: nn.Module, inputs: tuple[Tensor, ...], answer: Tensor) -> None:
        if type(net) is kind:
            calls.append(Shown(net, net.training, inputs[0].detach().clone(), answer.detach().clone()))

    hooks = nn.modules.module
    handles = [hooks.register_module_forward_pre_hook(before), hooks.register_module_forward_hook(after)]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def before_step(number: int, act: Callable[[], object]) -> Iterator[None]:
    """`act()` happens just before the optimizers' step of this number, from 1 on, all steps counted together."""
    steps = count(1)
    handle = register_optimizer_step_pre_hook(lambda *_: act() if next(steps) == number else None)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def weights_after_steps(value: float) -> Iterator[None]:
    """Every step leaves this value in the last parameter of its optimizer."""

    def spoil(optimizer: Optimizer, *_: object) -> None:
        nn.init.constant_(optimizer.param_groups[-1]["params"][-1], value)

    handle = register_optimizer_step_post_hook(spoil)
    try:
        yield
    finally:
        handle.remove()
