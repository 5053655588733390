"""The discriminator: is this face real, which emotion does it show, at which code was it generated."""

from typing import NamedTuple

from torch import Tensor, nn

LEAK = 0.01


class DiscriminatorOutput(NamedTuple):
    """Of each of B faces.

    patches: [B,P], logits of each patch being real; classes: [B,7], logits of the emotions; codes: [B,2], the code at
    which the face was generated, or of a real face; conditional: [B,7], logits of being a real face of each emotion.
    """

    patches: Tensor
    classes: Tensor
    codes: Tensor
    conditional: Tensor


class Discriminator(nn.Module):
    """A patch discriminator after GANmut and StarGAN: strided convolutions without normalisation, and heads.

    One head is not GANmut's: `conditional` judges a face as one of an emotion (the multi-task discriminator of Choi et
    al., "StarGAN v2", CVPR 2020). Classes learned from real faces alone can be fooled by texture that no face has; this
    head is trained on generated faces too.

    image_size must be at least 2**layers; the patches are (image_size // 2**layers) squared.
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
        heads = self.conv2(features).flatten(1)
        return DiscriminatorOutput(self.conv1(features).flatten(1), heads[:, :7], heads[:, 7:9], heads[:, 9:])
