"""The critic: is this face real, which emotion does it show, which code made it."""

from typing import NamedTuple

from torch import Tensor, nn

LEAK = 0.01


class DiscriminatorOutput(NamedTuple):
    """What the critic says of each of B faces.

    patches: [B,P], is this patch of a real face (high: yes); classes: [B,7], logits of the emotions; codes: [B,2], the
    point that made the face, or where a real face lies; genuine: [B,7], is this a real face of that emotion.
    """

    patches: Tensor
    classes: Tensor
    codes: Tensor
    genuine: Tensor


class Discriminator(nn.Module):
    """A patch critic after GANmut and StarGAN: strided convolutions without normalisation, and heads.

    One head is not GANmut's: `genuine` judges a face as one of an emotion (the multi-task critic of Choi et al.,
    "StarGAN v2", CVPR 2020). Classes learned from real faces alone can be pleased by texture that no face has; this
    head sees the made faces too and learns what is wrong with their expressions.

    image_size must be divisible by 2**layers; the patches are (image_size / 2**layers) squared.
    """

    def __init__(self, image_size: int, channels: int = 3, width: int = 64, layers: int = 6) -> None:
        super().__init__()
        self.settings = {"image_size": image_size, "channels": channels, "width": width, "layers": layers}
        stack: list[nn.Module] = [nn.Conv2d(channels, width, 4, stride=2, padding=1), nn.LeakyReLU(LEAK)]
        for _ in range(1, layers):
            stack += [nn.Conv2d(width, 2 * width, 4, stride=2, padding=1), nn.LeakyReLU(LEAK)]
            width *= 2
        self.main = nn.Sequential(*stack)
        self.conv1 = nn.Conv2d(width, 1, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(width, 7 + 2 + 7, image_size // 2**layers, bias=False)

    def forward(self, images: Tensor) -> DiscriminatorOutput:
        """images: float [B,C,S,S] in [-1,1]."""
        features = self.main(images)
        read = self.conv2(features).flatten(1)
        return DiscriminatorOutput(self.conv1(features).flatten(1), read[:, :7], read[:, 7:9], read[:, 9:])
