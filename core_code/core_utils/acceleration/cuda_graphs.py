"""Work of many small kernels, recorded once on a GPU and replayed, so that the GPU need not wait for Python's launches.

CUDA graphs, https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs. DenseNet201 launches thousands of kernels
a step, most of them over sooner than the next is launched.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from core_code.core_utils.distributed.job import world_size

WARM_UP = 3  # calls before the recording, in which libraries choose their algorithms and take their memory


class CudaGraphed:
    """`function` of tensors on `device`, which returns a scalar or None and may leave gradients in `parameters`.

    Called as the function is; earlier gradients go, and what is returned has none. On a GPU, in a process that is
    alone, the first calls go as they are, the next is recorded, and from then on calls with tensors of the same shapes
    are replays; others, such as an epoch's smaller last batch, go as they are. All else that the function reads and
    writes must stay where it is in memory, as weights do that are updated in place.
    """

    def __init__(
        self, function: Callable[..., Tensor | None], device: torch.device, parameters: Iterable[nn.Parameter] = ()
    ) -> None:
        self.function = function
        self.parameters = [parameter for parameter in parameters if parameter.requires_grad]
        self.records = device.type == "cuda" and world_size() == 1
        self.calls = 0
        self.shapes: list[torch.Size] = []
        self.graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, *inputs: Tensor) -> Tensor | None:
        for parameter in self.parameters:
            parameter.grad = None
        shapes = [given.shape for given in inputs]
        if self.calls == 0:
            self.shapes = shapes
        if not self.records or shapes != self.shapes:
            return self.plainly(*inputs)
        self.calls += 1
        if self.calls <= WARM_UP:
            return self.warm_up(*inputs)
        if self.graph is None:
            self.record(*inputs)
        return self.replay(*inputs)

    def plainly(self, *inputs: Tensor) -> Tensor | None:
        """As the function is."""
        returned = self.function(*inputs)
        return None if returned is None else returned.detach()

    def warm_up(self, *inputs: Tensor) -> Tensor | None:
        """The same on another stream: what is recorded must not depend on work that the usual one has seen."""
        usual, other = torch.cuda.current_stream(), torch.cuda.Stream()
        other.wait_stream(usual)
        with torch.cuda.stream(other):
            returned = self.plainly(*inputs)
        usual.wait_stream(other)
        return returned

    def record(self, *inputs: Tensor) -> None:
        """Make the graph; nothing is computed yet. Inputs, gradients and what is returned have their places in it."""
        self.inputs = [static_buffer_like(given) for given in inputs]
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph, capture_error_mode="thread_local"):
            self.returned = self.plainly(*self.inputs)
        self.gradients = [parameter.grad for parameter in self.parameters]

    def replay(self, *inputs: Tensor) -> Tensor | None:
        """Compute the recorded work on these inputs."""
        for place, given in zip(self.inputs, inputs, strict=True):
            place.copy_(given)
        self.graph.replay()
        for parameter, gradient in zip(self.parameters, self.gradients, strict=True):
            parameter.grad = gradient
        return None if self.returned is None else self.returned.clone()


def static_buffer_like(given: Tensor) -> Tensor:
    """Memory for tensors of this shape, images with their channels last, as the nets take them."""
    return torch.empty_like(given, memory_format=torch.channels_last if given.dim() == 4 else torch.contiguous_format)
