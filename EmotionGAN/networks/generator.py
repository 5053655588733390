"""The generator: one trunk, two parametrisations of the space of emotions (gaussian and linear).

Layers, names and shapes are those of GANmut (CVPR 2021), so that its published checkpoints load strictly.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core_code.core_utils.acceleration.cpu_layers import FewChannelConv2d, generates_in_bf16, instance_norm_per_image
from core_code.core_utils.emotions import EMOTIONS
from EmotionGAN.networks.config import GeneratorConfig
from EmotionGAN.networks.overlay import Overlay
from EmotionGAN.networks.warp import WARP_CHANNELS, warp_and_paint

STYLE_WIDTH = 64


class InstanceNorm(nn.InstanceNorm2d):
    """Affine instance norm by each image's own statistics, whatever mode the module is in.

    It holds the running statistics of published checkpoints and neither uses nor updates them. With `styled`, a style
    float [B,STYLE_WIDTH] scales and shifts each image's channels further. `accelerated`: see accelerate_generator.
    """

    accelerated = False

    def __init__(self, channels: int, styled: bool = False) -> None:
        super().__init__(channels, affine=True, track_running_stats=True)
        self.style = nn.Linear(STYLE_WIDTH, 2 * channels) if styled else None

    def forward(self, x: Tensor, style: Tensor | None) -> Tensor:  # type: ignore[override]
        scale: Tensor = self.weight
        shift: Tensor = self.bias
        if self.style is not None:
            style_scale, style_shift = self.style(style).float()[:, None].chunk(2, dim=-1)
            scale, shift = scale * (1 + style_scale), shift * (1 + style_scale) + style_shift
        if self.accelerated and generates_in_bf16(x):
            return instance_norm_per_image(x, scale, shift, self.eps)
        if x.is_cuda:  # one kernel for what are ten
            scale, shift = (each.to(x.dtype).view(-1, x.shape[1], 1, 1) for each in (scale, shift))
            return torch.addcmul(shift, F.instance_norm(x, eps=self.eps), scale)
        # Written out: on CPUs torch's norms leave channels-last memory or are ten times slower in bfloat16, and a
        # compiler fuses this. Statistics are float32; scaling and shifting are done in the type of x.
        pixels = x.flatten(2).transpose(1, 2)
        centred = pixels - pixels.mean(dim=1, keepdim=True, dtype=torch.float32).to(x.dtype)
        variance = centred.square().mean(dim=1, keepdim=True, dtype=torch.float32)
        scale = scale * (variance + self.eps).rsqrt()
        normed = torch.addcmul(shift.to(x.dtype), centred, scale.to(x.dtype))
        return normed.transpose(1, 2).unflatten(2, x.shape[2:])


class ResidualBlock(nn.Module):
    """x + norm(conv(relu(norm(conv(x)))))."""

    def __init__(self, width: int, styled: bool) -> None:
        super().__init__()
        self.main = Layers(
            nn.Conv2d(width, width, 3, padding=1, bias=False), InstanceNorm(width, styled), nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, padding=1, bias=False), InstanceNorm(width, styled),
        )  # fmt: skip

    def forward(self, x: Tensor, style: Tensor | None) -> Tensor:
        return x + self.main(x, style)


class Layers(nn.Sequential):
    """nn.Sequential that passes the style to the layers that use one."""

    def forward(self, x: Tensor, style: Tensor | None) -> Tensor:  # type: ignore[override]
        for layer in self:
            x = layer(x, style) if isinstance(layer, (InstanceNorm, ResidualBlock)) else layer(x)
        return x


class Generator(nn.Module):
    """The image network. Subclasses parametrise the conditional space in the order of their weights: `stored_centres`,
    float [7,2] in [-1,1], and `stored_distances` of codes [B,2], float [B,7], smaller is nearer.

    `centres` and `distances` are the same in the order of EMOTIONS.
    """

    stored_centres: Callable[[], Tensor]
    stored_distances: Callable[[Tensor], Tensor]

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        styled = config.codes == "norms"
        inputs = config.channels + (0 if styled else 2)
        warped = WARP_CHANNELS if config.output == "warp" else 0

        def normed(layer: nn.Module, channels: int) -> list[nn.Module]:
            return [layer, InstanceNorm(channels, styled), nn.ReLU(inplace=True)]

        self.main = Layers(
            *normed(nn.Conv2d(inputs, width, 7, padding=3, bias=False), width),
            *normed(nn.Conv2d(width, 2 * width, 4, stride=2, padding=1, bias=False), 2 * width),
            *normed(nn.Conv2d(2 * width, 4 * width, 4, stride=2, padding=1, bias=False), 4 * width),
            *[ResidualBlock(4 * width, styled) for _ in range(config.blocks)],
            *normed(nn.ConvTranspose2d(4 * width, 2 * width, 4, stride=2, padding=1, bias=False), 2 * width),
            *normed(nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1, bias=False), width),
            nn.Conv2d(width, config.channels + warped, 7, padding=3, bias=False),
        )
        self.overlay = Overlay(config.image_size) if config.output == "overlay" else None
        if styled:
            layers = nn.Linear(2, STYLE_WIDTH), nn.ReLU(), nn.Linear(STYLE_WIDTH, STYLE_WIDTH), nn.ReLU()
            self.style = nn.Sequential(*layers)

    def forward(self, images: Tensor, codes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Edit each image to the expression at its code.

        images: float [B,C,S,S] in [-1,1]; codes: float [B,2] in [-1,1].
        Returns the edited images (same shape and range), `distances(codes)` [B,7], and the codes.
        """
        output, distances = self.output(images, codes), self.distances(codes)
        if self.config.output == "warp":
            return warp_and_paint(images, output, self.config.paint), distances, codes
        if self.overlay is None:
            return torch.tanh(output), distances, codes
        change = self.overlay(images, (-distances).softmax(-1))
        return (images + change + output).clamp(-1, 1), distances, codes

    def output(self, images: Tensor, codes: Tensor) -> Tensor:
        """The image network's output before tanh: [B,C,S,S], with WARP_CHANNELS more where it warps."""
        if self.config.codes == "norms":
            return self.main(images, self.style(codes.to(images.dtype)))
        maps = codes.to(images.dtype)[:, :, None, None].expand(-1, -1, *images.shape[2:])
        return self.main(torch.cat([images, maps], dim=1), None)

    def distances(self, codes: Tensor) -> Tensor:
        """How far each code [B,2] is from each emotion: [B,7]."""
        return self.by_label(self.stored_distances(codes), dim=1)

    def centres(self) -> Tensor:
        """The point of each emotion: float [7,2] in [-1,1]."""
        return self.by_label(self.stored_centres(), dim=0)

    def by_label(self, values: Tensor, dim: int) -> Tensor:
        """Values of the seven emotions along `dim`, from the order of the weights to that of EMOTIONS."""
        if self.config.emotions == EMOTIONS:
            return values
        return torch.stack([values.select(dim, self.config.emotions.index(emotion)) for emotion in EMOTIONS], dim)


class GaussianGenerator(Generator):
    """Every emotion is a gaussian in the plane (GANmut, section 3.2): centre tanh(mu), covariance R diag(|axes|) R'."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__(config)
        self.mu = nn.Linear(2, 7, bias=False)
        self.covariance_axes = nn.Linear(2, 7, bias=False)
        self.covariance_angles = nn.Linear(7, 1, bias=False)
        nn.init.ones_(self.covariance_axes.weight)
        nn.init.zeros_(self.covariance_angles.weight)

    def stored_distances(self, codes: Tensor) -> Tensor:
        """Squared Mahalanobis distances to the seven gaussians."""
        angle = self.covariance_angles.weight[0]
        along = torch.stack([angle.cos(), angle.sin()], dim=-1)
        across = torch.stack([-angle.sin(), angle.cos()], dim=-1)
        offset = codes.float()[:, None] - self.stored_centres()
        squared = torch.stack([(offset * along).sum(-1), (offset * across).sum(-1)], dim=-1) ** 2
        return (squared / self.covariance_axes.weight.abs()).sum(-1)

    def stored_centres(self) -> Tensor:
        return torch.tanh(self.mu.weight)

    def deviations(self) -> tuple[Tensor, Tensor]:
        """Each gaussian's standard deviations along its two axes, float [7,2], and the first axis' angle in radians,
        counter-clockwise from x, float [7]."""
        lengths, angles = self.covariance_axes.weight.abs().sqrt(), self.covariance_angles.weight[0]
        return self.by_label(lengths, dim=0), self.by_label(angles, dim=0)


class LinearGenerator(Generator):
    """Every emotion but Neutral is a direction of the plane (GANmut, section 3.1); Neutral is the origin.

    The angle of a code is its emotion, its length the strength. The six axes are those of the other emotions, in the
    config's order.
    """

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__(config)
        self.axes = nn.Linear(2, 6)

    def stored_distances(self, codes: Tensor) -> Tensor:
        """Minus the axes' scores, and 0 for Neutral: softmax(-distances) are the emotions' probabilities."""
        return -self.with_neutral(self.axes(codes.float()), dim=-1)

    def stored_centres(self) -> Tensor:
        """Each axis at strength 0.8, Neutral at the origin."""
        return self.with_neutral(0.8 * F.normalize(self.axes.weight, dim=-1), dim=0)

    def with_neutral(self, values: Tensor, dim: int) -> Tensor:
        """Values of six emotions along `dim`, and 0 for Neutral in its place."""
        parts = list(values.unbind(dim))
        parts.insert(self.config.emotions.index("Neutral"), torch.zeros_like(parts[0]))
        return torch.stack(parts, dim)


def build_generator(config: GeneratorConfig) -> Generator:
    """An untrained generator of the config's parametrisation."""
    return {"gaussian": GaussianGenerator, "linear": LinearGenerator}[config.parametrisation](config)


def accelerate_generator(generator: Generator) -> Generator:
    """Let a generator compute its norms and its last convolution faster where it generates in bfloat16 on a CPU.
    Changes it in place and returns it. Parameters and their names stay; outputs differ in their last bits."""
    for module in generator.modules():
        if isinstance(module, InstanceNorm):
            module.accelerated = True
    last = generator.main[-1]
    assert isinstance(last, nn.Conv2d)
    with torch.device("meta"):
        faster = FewChannelConv2d(last.in_channels, last.out_channels, 7, padding=3, bias=False)
    faster.weight = last.weight
    generator.main[-1] = faster
    return generator
