"""Work of many small kernels, captured once as a CUDA graph and replayed, so that the GPU never waits for launches.

CUDA graphs, https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs. DenseNet201 launches thousands of kernels
a step, most of them over sooner than the next is launched.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from core_code.core_utils.distributed.job import world_size

WARM_UP = 3  # calls before the capture, in which libraries choose their algorithms and allocate their memory


class CudaGraphed:
    """`function` of tensors on `device`, which returns a scalar or None and may leave gradients in `parameters`.

    Called as the function is, with gradients set to None before each call (Optimizer.zero_grad); what is returned has
    none. On a GPU, in a job of one process, the first calls run eagerly, the next is captured, and from then on calls
    with tensors of the same shapes are replays; others, such as an epoch's smaller last batch, run eagerly. All else
    that the function reads and writes must stay where it is in memory, as weights do that are updated in place.
    Without `enabled` every call runs eagerly.
    """

    def __init__(
        self, function: Callable[..., Tensor | None], device: torch.device, parameters: Iterable[nn.Parameter] = (),
        enabled: bool = True,
    ) -> None:  # fmt: skip
        self.function = function
        self.parameters = [parameter for parameter in parameters if parameter.requires_grad]
        self.enabled = enabled and device.type == "cuda" and world_size() == 1
        self.calls = 0
        self.shapes: list[torch.Size] = []
        self.graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, *inputs: Tensor) -> Any:
        shapes = [given.shape for given in inputs]
        if self.calls == 0:
            self.shapes = shapes
        if not self.enabled or shapes != self.shapes:
            return self.run_eagerly(*inputs)
        self.calls += 1
        if self.calls <= WARM_UP:
            return self.warm_up(*inputs)
        if self.graph is None:
            self.graph = self.capture(*inputs)
        return self.replay(self.graph, *inputs)

    def run_eagerly(self, *inputs: Tensor) -> Tensor | None:
        returned = self.function(*inputs)
        return None if returned is None else returned.detach()

    def warm_up(self, *inputs: Tensor) -> Tensor | None:
        """The same on a side stream, as PyTorch's notes on CUDA graphs ask for before a capture."""
        usual, other = torch.cuda.current_stream(), torch.cuda.Stream()
        other.wait_stream(usual)
        with torch.cuda.stream(other):
            returned = self.run_eagerly(*inputs)
        usual.wait_stream(other)
        return returned

    def capture(self, *inputs: Tensor) -> torch.cuda.CUDAGraph:
        """The graph; nothing is computed yet. It has static buffers for inputs (images with their channels last, as
        the nets take them), gradients and what is returned."""
        formats = [torch.channels_last if given.dim() == 4 else torch.contiguous_format for given in inputs]
        self.inputs = [torch.empty_like(given, memory_format=f) for given, f in zip(inputs, formats, strict=True)]
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            self.returned = self.run_eagerly(*self.inputs)
        self.gradients = [parameter.grad for parameter in self.parameters]
        return graph

    def replay(self, graph: torch.cuda.CUDAGraph, *inputs: Tensor) -> Tensor | None:
        """Compute the captured work on these inputs."""
        for place, given in zip(self.inputs, inputs, strict=True):
            place.copy_(given)
        graph.replay()
        for parameter, gradient in zip(self.parameters, self.gradients, strict=True):
            parameter.grad = gradient
        return None if self.returned is None else self.returned.clone()
