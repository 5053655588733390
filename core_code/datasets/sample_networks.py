"""The generator of the sample faces: a small class-conditional StyleGAN2.

T. Karras et al., "Analyzing and improving the image quality of StyleGAN", CVPR 2020: weights of unit variance that are
scaled when they are used, convolutions modulated by a style, outputs of every resolution summed up; here 48x48 grey
faces, a shallow mapping network, no noise inputs.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core_code.core_utils.emotions import EMOTIONS

FIRST_SIDE = 6
CHANNELS = (192, 128, 64, 24)  # at 6, 12, 24 and 48 pixels
LATENT = 64
LEAK = 0.2
GAIN = math.sqrt(2)  # keeps the variance of what passes a leaky ReLU
SLOW = 0.1  # the mapping network's learning rate, as a multiple of the others'


def activate(features: Tensor) -> Tensor:
    return F.leaky_relu(features, LEAK)


def unit(vectors: Tensor) -> Tensor:
    """[B,C] -> the same directions with a mean square of 1."""
    return vectors * (vectors.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()


class ScaledLinear(nn.Module):
    """A linear layer whose weight is scaled by gain / sqrt(inputs) when it is used. `rate` multiplies how fast it
    learns."""

    def __init__(self, inputs: int, outputs: int, gain: float = 1.0, bias: float = 0.0, rate: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / rate)
        self.bias = nn.Parameter(torch.full((outputs,), bias))
        self.scale = gain * rate / math.sqrt(inputs)

    def forward(self, features: Tensor) -> Tensor:
        return F.linear(features, self.weight * self.scale, self.bias)


class ScaledConv(nn.Module):
    """A same-size convolution whose weight is scaled by gain / sqrt(fan-in) when it is used."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, gain: float = GAIN, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.scale = gain / (kernel * math.sqrt(inputs))

    def forward(self, features: Tensor) -> Tensor:
        padding = self.weight.shape[-1] // 2
        return F.conv2d(features, self.weight * self.scale, self.bias, padding=padding)


class StyledConv(nn.Module):
    """A convolution whose input channels are multiplied by a style and, with `demodulate`, whose output channels are
    brought back to unit variance (equations 1 to 3 of the paper), then a bias."""

    def __init__(self, inputs: int, outputs: int, style: int, kernel: int = 3, demodulate: bool = True) -> None:
        super().__init__()
        self.style = ScaledLinear(style, inputs, bias=1.0)
        self.conv = ScaledConv(inputs, outputs, kernel, gain=1.0, bias=False)
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.demodulate = demodulate

    def forward(self, features: Tensor, latents: Tensor) -> Tensor:
        """Features [B,I,H,W], latents [B,style] -> [B,O,H,W]."""
        style = self.style(latents)
        convolved = self.conv(features * style[:, :, None, None])
        if self.demodulate:
            power = (self.conv.weight * self.conv.scale).square().sum(dim=(2, 3))
            level = GAIN * (F.linear(style.square(), power).float() + 1e-8).rsqrt()
            convolved = convolved * level[:, :, None, None].to(convolved.dtype)
        return convolved + self.bias[:, None, None].to(convolved.dtype)


class FaceGenerator(nn.Module):
    """Random vectors and emotions -> faces.

    channels: of the features at 6, 12, 24 and 48 pixels. `mean_latents` [7, 2 * latent] holds the mean latent of each
    emotion, which truncation moves towards; see `measure_mean_latents`.
    """

    mean_latents: Tensor

    def __init__(self, channels: tuple[int, ...] = CHANNELS, latent: int = LATENT) -> None:
        super().__init__()
        self.latent, style = latent, 2 * latent
        self.emotions = nn.Embedding(len(EMOTIONS), latent)
        self.mapping = nn.ModuleList(ScaledLinear(style, style, GAIN, rate=SLOW) for _ in range(2))
        self.first = nn.Parameter(torch.randn(channels[0], FIRST_SIDE, FIRST_SIDE))
        before = (channels[0], *channels[:-1])
        self.before = nn.ModuleList(StyledConv(i, o, style) for i, o in zip(before, channels, strict=True))
        self.after = nn.ModuleList(StyledConv(o, o, style) for o in channels)
        self.grey = nn.ModuleList(StyledConv(o, 1, style, kernel=1, demodulate=False) for o in channels)
        self.register_buffer("mean_latents", torch.zeros(len(EMOTIONS), style))

    def forward(self, noise: Tensor, labels: Tensor, truncation: float = 1.0) -> Tensor:
        """Noise [B, latent] of normal numbers, labels int64 [B] -> faces [B,1,48,48], about -1..1 and not clamped.

        truncation: how far from the emotion's mean latent, as a share of where the noise leads (StyleGAN's truncation
        trick); lower is cleaner and more alike.
        """
        latents = self.map(noise, labels)
        if truncation != 1:
            latents = torch.lerp(self.mean_latents[labels], latents, truncation)
        return self.synthesize(latents)

    def map(self, noise: Tensor, labels: Tensor) -> Tensor:
        """Noise [B, latent], labels int64 [B] -> latents [B, 2 * latent]."""
        latents = torch.cat([unit(noise), unit(self.emotions(labels))], dim=1)
        for layer in self.mapping:
            latents = activate(layer(latents))
        return latents

    def synthesize(self, latents: Tensor) -> Tensor:
        """Latents [B, 2 * latent] -> faces [B,1,48,48]. The first convolution of a resolution is done before the
        features are enlarged."""
        features = self.first.expand(len(latents), -1, -1, -1)
        faces = latents.new_zeros(())
        for stage, (before, after, grey) in enumerate(zip(self.before, self.after, self.grey, strict=True)):
            features = activate(before(features, latents))
            if stage:
                features, faces = double(features), double(faces)
            features = activate(after(features, latents))
            faces = faces + grey(features, latents)
        return faces

    @torch.no_grad()
    def measure_mean_latents(self, samples: int = 4096) -> None:
        """Fill `mean_latents` from that many random vectors an emotion, always the same."""
        noise = torch.randn(samples, self.latent, generator=torch.Generator().manual_seed(0)).to(self.first.device)
        for label in range(len(EMOTIONS)):
            labels = torch.full((samples,), label, device=noise.device)
            self.mean_latents[label] = self.map(noise, labels).mean(dim=0)


def double(images: Tensor) -> Tensor:
    """Enlarge [B,C,H,W] to twice the side, bilinearly."""
    return F.interpolate(images, scale_factor=2, mode="bilinear", align_corners=False)
