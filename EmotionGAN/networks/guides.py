"""Two small classifiers of different kinds that guide a generator: they learn from real training faces alone.

A discriminator's own classes can be satisfied by texture; what two well-trained nets of other kinds predict from random
views is an expression. They are part of a training run and are not shipped.
"""

from torch import Tensor, nn

STAGES = (1, 2, 4, 8)  # times the width, each at half the resolution of the one before


def norm_relu(channels: int) -> list[nn.Module]:
    return [nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]


class PreActivationBlock(nn.Module):
    """x + conv(relu(norm(conv(relu(norm(x)))))) (He et al., "Identity Mappings", 2016), to other channels by 1x1."""

    def __init__(self, inputs: int, channels: int, stride: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            *norm_relu(inputs), nn.Conv2d(inputs, channels, 3, stride, 1, bias=False),
            *norm_relu(channels), nn.Conv2d(channels, channels, 3, 1, 1, bias=False),
        )  # fmt: skip
        self.skip = nn.Conv2d(inputs, channels, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.skip(x) + self.main(x)


def residual_guide(channels: int, width: int) -> nn.Module:
    """Images [B,channels,S,S] in [-1,1] -> logits [B,7]."""
    widths = [width, *(width * times for times in STAGES)]
    blocks = [PreActivationBlock(widths[i], widths[i + 1], 1 if i == 0 else 2) for i in range(len(STAGES))]
    stem = nn.Conv2d(channels, width, 3, padding=1, bias=False)
    head = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], 7)
    return nn.Sequential(stem, *blocks, *norm_relu(widths[-1]), *head)


def plain_guide(channels: int, width: int) -> nn.Module:
    """After VGG: pairs of convolutions with a max pooling behind each. The same inputs and outputs."""
    layers: list[nn.Module] = []
    for times in STAGES:
        for _ in range(2):
            layers += [nn.Conv2d(channels, width * times, 3, padding=1, bias=False), *norm_relu(width * times)]
            channels = width * times
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 7))


class Guides(nn.ModuleList):
    """Both; called with images they return a list of their logits."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__([residual_guide(channels, width), plain_guide(channels, width)])

    def forward(self, images: Tensor) -> list[Tensor]:
        return [guide(images) for guide in self]
