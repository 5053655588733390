"""The one table of architectures: a further torchvision net is one entry here.

Nothing heavy is imported, so that argument parsers can read names and defaults.
"""

from dataclasses import dataclass, replace

BYOL_BATCH_SIZE = 32
STEMS = IMAGENET_STEM, SMALL_STEM = "imagenet", "small"
BYOL_STUDY_BATCH_SIZES = (16, 32, 64)


@dataclass(frozen=True)
class HyperParameters:
    """What a net is trained with unless a flag says otherwise."""

    batch_size: int
    lr: float
    weight_decay: float
    optimizer: str = "adam"
    scheduler: str = "cosine"


@dataclass(frozen=True)
class Architecture:
    """A torchvision net.

    `builder` is its name for torchvision.models.get_model, `weights` the ImageNet entry of its weights enum,
    `head` the dotted path of the last linear layer, whose input is `features` numbers. `renamed` is a pattern and its
    replacement where ImageNet files have older parameter names than the module. `stem` are the dotted paths of the
    first convolution and of the pooling after it, if any, which the small stem changes; empty: it has none. A study of
    fine-tuning chooses among `study_batch_sizes`.
    """

    builder: str
    weights: str
    features: int
    head: str
    defaults: HyperParameters
    renamed: tuple[str, str] | None = None
    stem: tuple[str, ...] = ()
    study_batch_sizes: tuple[int, ...] = (32, 64, 128)

    @property
    def byol_defaults(self) -> HyperParameters:
        """What BYOL pre-training takes unless a flag says otherwise: the net's own, in batches of 32 faces."""
        return replace(self.defaults, batch_size=BYOL_BATCH_SIZE)


ARCHITECTURES = {
    "resnet18": Architecture(
        builder="resnet18",
        weights="IMAGENET1K_V1",
        features=512,
        head="fc",
        defaults=HyperParameters(batch_size=128, lr=2e-4, weight_decay=2e-5),
        stem=("conv1", "maxpool"),
    ),
    "densenet201": Architecture(
        builder="densenet201",
        weights="IMAGENET1K_V1",
        features=1920,
        head="classifier",
        defaults=HyperParameters(batch_size=32, lr=3e-4, weight_decay=3.4e-5),
        study_batch_sizes=(16, 32),
        stem=("features.conv0", "features.pool0"),
        renamed=(r"(denselayer\d+\.(?:norm|relu|conv))\.(\d)", r"\1\2"),
    ),
    "mobilenet_v3_small": Architecture(
        builder="mobilenet_v3_small",
        weights="IMAGENET1K_V1",
        features=1024,
        head="classifier.3",
        defaults=HyperParameters(batch_size=128, lr=2e-4, weight_decay=2e-5),
        stem=("features.0.0",),
    ),
}
