"""The critic: is this face real, which emotion does it show, which code made it."""

from torch import Tensor, nn

LEAK = 0.01


class Discriminator(nn.Module):
    """A patch critic after GANmut and StarGAN: strided convolutions without normalisation, and two heads.

    image_size must be divisible by 2**layers; the patches are (image_size / 2**layers) squared.
    """

    def __init__(self, image_size: int, channels: int = 3, width: int = 64, layers: int = 6) -> None:
        super().__init__()
        stack: list[nn.Module] = [nn.Conv2d(channels, width, 4, stride=2, padding=1), nn.LeakyReLU(LEAK)]
        for _ in range(1, layers):
            stack += [nn.Conv2d(width, 2 * width, 4, stride=2, padding=1), nn.LeakyReLU(LEAK)]
            width *= 2
        self.main = nn.Sequential(*stack)
        self.conv1 = nn.Conv2d(width, 1, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(width, 7 + 2, image_size // 2**layers, bias=False)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """images: float [B,C,S,S] in [-1,1] -> patch logits [B,P] (real is high), class logits [B,7], codes [B,2]."""
        features = self.main(images)
        read = self.conv2(features).flatten(1)
        return self.conv1(features).flatten(1), read[:, :7], read[:, 7:]
