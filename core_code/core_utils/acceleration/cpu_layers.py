"""Two layers as CPUs compute them fastest in bfloat16, for generating; the results are those of PyTorch's layers.

Of a 128-px GANmut generator's time (one thread, bfloat16, AMD Zen 5) convolutions are 85 %, which run at the
arithmetic peak; these two take what can be saved of the rest.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LANES = 16  # channels that the CPU's convolutions compute at once: fewer cost as much


def generates_in_bf16(x: Tensor) -> bool:
    """Whether this is a CPU's bfloat16 pass without gradients and without a compiler, which fuses better itself."""
    in_bf16 = x.device.type == "cpu" and x.dtype == torch.bfloat16
    return in_bf16 and not torch.is_grad_enabled() and not torch.compiler.is_compiling()


def instance_norm_per_image(x: Tensor, scale: Tensor, shift: Tensor, eps: float) -> Tensor:
    """Instance norm of x [B,C,H,W] as a batch norm of each image, scaled and shifted by float [C] or [B,1,C].

    One image stays in the cache from its statistics to its result, all in float32 inside: a third of the time of
    tensor by tensor.
    """
    scales, shifts = (each.expand(len(x), 1, -1)[:, 0] for each in (scale, shift))
    images = zip(x.split(1), scales, shifts, strict=True)
    return torch.cat([F.batch_norm(image, None, None, up, by, training=True, eps=eps) for image, up, by in images])


class FewChannelConv2d(nn.Conv2d):
    """A convolution to one or few channels, stride 1, that keeps the image's size.

    In bfloat16 on CPUs it computes squares of pixels as if they were channels: a kernel as much larger, moved over
    the image in as large steps. Only from a multiple of LANES channels: oneDNN's kernel for AMX (in torch 2.15) gives
    wrong results for such large kernels in steps of two over 8 or 12 channels.
    """

    def forward(self, x: Tensor) -> Tensor:
        side = next(side for side in (4, 2, 1) if side == 1 or side * side * self.out_channels <= LANES)
        if not generates_in_bf16(x) or x.shape[1] % LANES or x.shape[2] % side or x.shape[3] % side:
            return super().forward(x)
        moved = [
            F.pad(self.weight, (right, side - 1 - right, down, side - 1 - down))
            for down in range(side)
            for right in range(side)
        ]
        squares = torch.stack(moved, dim=1).flatten(0, 1)  # as pixel_shuffle counts: channel, down, right
        return F.pixel_shuffle(F.conv2d(x, squares, stride=side, padding=self.padding), side)
