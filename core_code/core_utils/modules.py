"""Layers of a net replaced by others of the same parameters."""

from collections.abc import Callable

from torch import nn


def replace_modules(net: nn.Module, replacement: Callable[[nn.Module], nn.Module | None]) -> nn.Module:
    """Put `replacement(layer)` in the place of every layer for which it is not None; returns the net.

    The net itself is changed in place, unless it is such a layer. Replacements share the layer's parameters and
    buffers (see `share_state`), so that names in state dicts and the parameters that an optimizer holds stay the same.
    """
    if (new := replacement(net)) is not None:
        return share_state(net, new)
    for parent in list(net.modules()):
        for name, layer in parent.named_children():
            if (new := replacement(layer)) is not None:
                setattr(parent, name, share_state(layer, new))
    return net


def share_state(layer: nn.Module, new: nn.Module) -> nn.Module:
    """Give `new` the parameters, the buffers and the mode of `layer`; returns `new`."""
    for name, parameter in layer.named_parameters(recurse=False):
        setattr(new, name, parameter)
    for name, buffer in layer.named_buffers(recurse=False):
        setattr(new, name, buffer)
    return new.train(layer.training)
