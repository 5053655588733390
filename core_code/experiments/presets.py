"""How a study trains: the presets, and the settings of one study."""

from dataclasses import dataclass
from pathlib import Path

from core_code.experiments.arms import CLASSIC
from core_code.training import recipes


@dataclass(frozen=True, kw_only=True)
class Preset:
    """How the nets of a study are trained unless a flag changes it.

    With `equal_faces` every run sees as many faces as `epochs` of the real training set have, whatever it trains on,
    those of its pre-training among them, where a face and its augmentation are two; without it an epoch is all that
    there is to train on, as in the published study. BYOL pre-trains for `byol_epochs` on views of `byol_image_size`.
    The recipe is `recipe` (training/recipes.py) but for `training_flags`. `max_faces` is how many of the training faces
    are used (None: all), and `shares` the parts of these, in 0..1, that nets are trained on, each with all of `seeds`;
    the whole with the first `whole_seeds` alone (None: all) and for `whole_epochs` (None: `epochs`). `byol_flags`,
    `generator_flags` and `label_flags` are those of pre-training, of EmotionGAN.learn and of core_code.soft_labels.
    `experiments` are names of arms, the most important first.
    """

    what: str
    nets: tuple[str, ...] = ("resnet18",)
    experiments: tuple[str, ...] = CLASSIC
    shares: tuple[float, ...] = (1.0,)
    seeds: tuple[int, ...] = (1,)
    whole_seeds: int | None = None
    whole_epochs: int | None = None
    recipe: str = recipes.PUBLISHED
    epochs: int
    image_size: int
    weights: str = "none"
    num_augments: int
    equal_faces: bool = True
    byol_epochs: int
    byol_image_size: int
    max_faces: int | None = None
    training_flags: tuple[str, ...] = ()
    byol_flags: tuple[str, ...] = ()
    generator_flags: tuple[str, ...] = ()
    label_flags: tuple[str, ...] = ("--folds", "5", "--ensemble", "1", "--confidence", "0.2")


@dataclass(frozen=True, kw_only=True)
class StudySettings(Preset):
    """One study: a preset as changed by flags, the faces, the hardware, the folders.

    `tta` is reported beside the figures of one view; `seed` is that of all that the nets of every seed share: learned
    generators, generated images, teachers and the folds of their faces. With `learn_generators`
    the images of a part of the faces come from a generator that is learned from that part, else from `generator`.
    """

    preset: str
    learn_generators: bool
    tta: str
    dataset: str
    data_root: Path
    generator: Path | None
    device: str
    precision: str
    seed: int
    output_root: Path
    images_root: Path

    @property
    def plots(self) -> Path:
        """Where pictures and tables are written."""
        return self.output_root / "plots_output"


FROM_RANDOM_WEIGHTS = ("--batch_size", "64", "--lr", "1e-3", "--label_smoothing", "0.1", "--smallest_crop", "0.5")
# docs/pretraining.md: with BYOL's published settings the features collapse to a few directions
BYOL_VIEWS = ("--photometric", "True", "--smallest_crop", "0.3")
BYOL_FROM_RANDOM_WEIGHTS = (
    "--batch_size", "256", "--optimizer", "sgd", "--lr", "0.1", "--prediction_lr", "1", "--weight_decay", "1e-5",
    *BYOL_VIEWS,
)  # fmt: skip
BYOL_ON_FEW_FACES = (  # smaller batches, so that there are more steps, at learning rates in proportion
    "--batch_size", "64", "--optimizer", "sgd", "--lr", "0.025", "--prediction_lr", "0.25", "--weight_decay", "1e-5",
    *BYOL_VIEWS,
)  # fmt: skip
# of the included generator, so that the images of a part are painted as those of the whole
PAINTED = ("--paint_blur", "0.7", "--paint_highpass", "4", "--paint_gain", "2.2", "--paint_soft", "True")
# An hour on one core with units for bfloat16. The included generator has more channels and was learned longer.
SMALL_GENERATOR = (
    "--discriminator_steps", "600", "--steps", "6500", "--batch_size", "16", "--width", "24", "--blocks", "4",
    "--discriminator_width", "32", "--guide_width", "16", *PAINTED,
)  # fmt: skip
QUESTIONED = (
    "baseline", "expanded", "oversampled", "augmented_face", "own_code", "expanded_soft", "baseline_soft",
    "augmented_face_soft", "elastic_soft", "augmented", "expanded_then_real", "augmented_face_then_real",
    "own_code_then_real", "expanded_norms", "augmented_face_norms", "augmented_soft", "byol", "augmented_then_real",
    "augmented_norms",
)  # fmt: skip
PRESETS = {
    "published": Preset(
        what="the published protocol: both nets, 100 epochs at 224 px from ImageNet weights; for a GPU",
        nets=("resnet18", "densenet201"), epochs=100, image_size=224, weights="imagenet", num_augments=10,
        equal_faces=False, byol_epochs=100, byol_image_size=224,
    ),
    "one_gpu": Preset(
        what="does it help? ResNet18 from random weights at 48 px, 60 epochs' worth of real faces a run, all arms, on "
        "a tenth of the faces (5 seeds) and on all (3): hours on a GPU",
        experiments=QUESTIONED, shares=(0.1, 1.0), seeds=(1, 2, 3, 4, 5), whole_seeds=3, recipe=recipes.SCRATCH,
        epochs=60, image_size=48, num_augments=10, byol_epochs=15, byol_image_size=48,
        byol_flags=BYOL_FROM_RANDOM_WEIGHTS, generator_flags=PAINTED,
        label_flags=("--folds", "5", "--ensemble", "3", "--confidence", "0.2"),
    ),
    "two_cores": Preset(
        what="ResNet18 from random weights at 64 px; every run sees 30 epochs' worth of real faces; hours on two cores",
        experiments=("baseline", "expanded", "oversampled", "augmented_face", "augmented", "byol"),
        recipe=recipes.SCRATCH, epochs=30, image_size=64, num_augments=4, byol_epochs=8, byol_image_size=48,
        byol_flags=BYOL_FROM_RANDOM_WEIGHTS, training_flags=("--stem", "imagenet"),
    ),
    "tenth": Preset(
        what="ResNet18 from random weights at 40 px on a tenth of the training faces: a quarter of an hour to an "
        "hour on two cores; --shares 0.1 0.25 1 for a quarter and all of them too",
        experiments=("baseline", "augmented", "expanded", "oversampled"), shares=(0.1,), whole_seeds=3, whole_epochs=10,
        epochs=24, image_size=40, num_augments=4, byol_epochs=4, byol_image_size=40, training_flags=FROM_RANDOM_WEIGHTS,
        byol_flags=BYOL_ON_FEW_FACES, generator_flags=SMALL_GENERATOR,
    ),
    "quick": Preset(
        what="ResNet18 from random weights at 32 px for 3 epochs: minutes on sample faces, to try it all",
        epochs=3, image_size=32, num_augments=1, byol_epochs=1, byol_image_size=32,
        generator_flags=("--discriminator_steps", "2", "--steps", "3", "--width", "8", "--discriminator_width", "8",
                         "--guide_width", "0", "--batch_size", "8"),
        label_flags=("--folds", "2", "--ensemble", "1", "--confidence", "0.1"),
    ),
    "demo": Preset(
        what="baseline, augmented and expanded ResNet18 from random weights at 32 px: two to five minutes",
        experiments=("baseline", "augmented", "expanded"), epochs=8, image_size=32, num_augments=2, byol_epochs=1,
        byol_image_size=32, max_faces=1000, training_flags=("--batch_size", "64", "--lr", "1e-3"),
    ),
}  # fmt: skip

# Top-1 and top-2 in percent on PublicTest (our val): ImageNet weights, 100 epochs, 224 px.
PUBLISHED = {
    "resnet18": {"baseline": (70.16, 84.93), "augmented": (69.60, 84.95), "expanded": (69.55, 84.48),
                 "vote": (71.69, None)},
    "densenet201": {"baseline": (70.29, 84.76), "augmented": (69.57, 84.87), "expanded": (68.10, 84.29),
                    "vote": (71.61, None)},
}  # fmt: skip
BEST_PUBLISHED = {"VGG, from scratch, ten crops": 73.28, "Residual Masking Network": 74.14,
                  "EmoNeXt-XL, ImageNet-22k": 76.12}  # fmt: skip
