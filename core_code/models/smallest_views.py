"""Whether views are large enough for a net: its maps must not vanish, nor its batch norms see single values."""

from torch import Tensor, nn, no_grad, zeros
from torch.nn.modules.batchnorm import _BatchNorm

from core_code.core_utils.errors import InputError
from core_code.models.emotion_net import EmotionNet

LARGEST_TRIED = 256


def check_views(net: EmotionNet, image_size: int, rows: int | None = None) -> None:
    """Raise InputError, with the smallest size that works, where views of this side in pixels are too small for a net.

    rows: how many views a batch has in training, where each batch norm that learns needs two values a channel or more;
    None where nothing learns. The net is left in the mode that it was in.
    """
    if fits(net, min(image_size, LARGEST_TRIED), rows):
        return
    smallest = next((size for size in range(image_size + 1, LARGEST_TRIED + 1) if fits(net, size, rows)), None)
    why = f"--image_size {image_size}: too small for {net.name}"
    if rows is not None and fits(net, image_size):
        why = f"--image_size {image_size}: batches of {rows} leave a batch norm of {net.name} one value a channel"
    advice = f"take {smallest} or more" if smallest else f"nothing up to {LARGEST_TRIED} is enough"
    raise InputError(f"{why}; {advice}{', or larger batches' if rows is not None else ''}")


@no_grad()
def fits(net: EmotionNet, image_size: int, rows: int | None = None) -> bool:
    """Whether the net computes views of this side, and in training with more than one value a channel."""
    was_training, values = net.training, list[int]()

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        values.append(inputs[0].numel() // inputs[0].shape[1])

    learning = [module for module in net.train().nn_model.modules() if isinstance(module, _BatchNorm)]
    learning = [module for module in learning if module.training] if rows is not None else []
    net.eval()
    hooks = [module.register_forward_hook(count) for module in learning]
    try:
        net.nn_model(zeros(1, 3, image_size, image_size, device=next(net.parameters()).device))
    except (RuntimeError, ValueError):  # a map of no pixels
        return False
    finally:
        net.train(was_training)
        for hook in hooks:
            hook.remove()
    return all((rows or 0) * each > 1 for each in values)
