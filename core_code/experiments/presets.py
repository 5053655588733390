"""How long, how large and from what the nets of a study are trained."""

from dataclasses import dataclass

EXPERIMENTS = ("baseline", "augmented", "augmented_face", "expanded", "byol")
WHAT = {
    "baseline": "the real faces alone",
    "augmented": "a drawn face is replaced, with chance 0.8, by an augmentation near its emotion's centre",
    "augmented_face": "the same, by an augmentation near the point that the face itself has",
    "expanded": "the real faces and the same persons with the other six emotions",
    "byol": "pre-trained with BYOL on faces and their augmentations, then trained as the baseline",
}
AUGMENTED_PROBABILITY = 0.8


@dataclass(frozen=True)
class Preset:
    """What a study is unless a flag says otherwise.

    With `equal_faces` every run sees as many faces as `epochs` of the real training set have, whatever it trains on,
    those of its pre-training among them, where a face and its augmentation are two; without it an epoch is all that
    there is to train on, as in the published study. BYOL pre-trains for `byol_epochs` on views of `byol_image_size`.
    The hyper-parameters are the nets' own (models/architectures.py) but for those in `training_flags`. `max_faces` is
    how many of the training faces there are (None: all).
    """

    what: str
    nets: tuple[str, ...]
    epochs: int
    image_size: int
    weights: str
    num_augments: int
    equal_faces: bool
    byol_epochs: int
    byol_image_size: int
    max_faces: int | None = None
    training_flags: tuple[str, ...] = ()


FROM_RANDOM_WEIGHTS = (
    "--optimizer", "sgd", "--nesterov", "True", "--lr", "0.05", "--weight_decay", "5e-4", "--label_smoothing", "0.1",
    "--smallest_crop", "0.5",
)  # fmt: skip
PRESETS = {
    "published": Preset(
        "the published protocol: both nets, 100 epochs at 224 px from ImageNet weights; for a GPU",
        ("resnet18", "densenet201"), 100, 224, "imagenet", 10, False, 100, 224,
    ),
    "two_cores": Preset(
        "ResNet18 from random weights at 64 px; every run sees 30 epochs' worth of real faces; hours on two cores",
        ("resnet18",), 30, 64, "none", 4, True, 8, 48,
    ),
    "tenth": Preset(
        "ResNet18 from random weights at 40 px on a tenth of the training faces, with Nesterov's SGD; one or "
        "two hours on two cores",
        ("resnet18",), 40, 40, "none", 4, True, 8, 40, 2871, FROM_RANDOM_WEIGHTS,
    ),
    "quick": Preset(
        "ResNet18 from random weights at 32 px for 3 epochs: minutes, to see that everything works",
        ("resnet18",), 3, 32, "none", 1, True, 1, 32,
    ),
}  # fmt: skip

# Top-1 and top-2 in percent on PublicTest (our val): ImageNet weights, 100 epochs, 224 px.
PUBLISHED = {
    "resnet18": {
        "baseline": (70.16, 84.93), "augmented": (69.60, 84.95), "expanded": (69.55, 84.48), "vote": (71.69, None),
    },
    "densenet201": {
        "baseline": (70.29, 84.76), "augmented": (69.57, 84.87), "expanded": (68.10, 84.29), "vote": (71.61, None),
    },
}  # fmt: skip
BEST_PUBLISHED = {
    "VGG, from scratch, ten crops": 73.28,
    "Residual Masking Network": 74.14,
    "EmoNeXt-XL, ImageNet-22k": 76.12,
}
