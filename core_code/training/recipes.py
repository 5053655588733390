"""What a classifier is trained with from given weights and from random ones: one entry a recipe.

Nothing heavy is imported, so that argument parsers can read names and defaults.
"""

from dataclasses import dataclass
from typing import Any

from core_code.core_utils.choices import SMALLEST_CROP
from core_code.models.architectures import ARCHITECTURES, IMAGENET_STEM, SMALL_STEM, HyperParameters

PUBLISHED, SCRATCH = "published", "scratch"
LARGEST_SMALL_STEM = 64  # pixels: the side of the largest views that a recipe takes the small stem for


@dataclass(frozen=True, kw_only=True)
class RecipeParts:
    """How a net is trained beside its hyper-parameters; each part has the name of its flag.

    `nesterov` is SGD's (with momentum 0.9). The learning rate rises over the first `warm_up` epochs, before the
    scheduler begins. Without `decay_norms` the weight decay leaves out norms and biases. `label_smoothing`, in [0,1],
    is the share of each label that is spread over all emotions. `mixup` is alpha of mixup, 0 for none. `smallest_crop`,
    in (0,1], is the least share of a face's area that a view shows. Views are rotated by up to `rotation` degrees
    either way, warped by `elastic` (alpha of transforms.elastic_fields), and a rectangle of one is erased with
    probability `erasing`. `ema`, in [0,1), is the decay of the weights' moving average, which is what is validated and
    kept then; 0 for none.
    """

    nesterov: bool = False
    warm_up: int = 0
    decay_norms: bool = True
    label_smoothing: float = 0.0
    mixup: float = 0.0
    smallest_crop: float = SMALLEST_CROP
    rotation: float = 0.0
    erasing: float = 0.0
    elastic: float = 0.0
    ema: float = 0.0


@dataclass(frozen=True, kw_only=True)
class TrainingRecipe(RecipeParts):
    """What a net is trained with unless a flag says otherwise: `hyper_parameters` None are the net's own; `stem` is
    that for views of LARGEST_SMALL_STEM pixels or less."""

    hyper_parameters: HyperParameters | None = None
    stem: str = IMAGENET_STEM


RECIPES = {
    PUBLISHED: TrainingRecipe(),
    SCRATCH: TrainingRecipe(
        hyper_parameters=HyperParameters(batch_size=128, lr=0.1, weight_decay=5e-4, optimizer="sgd"),
        nesterov=True, warm_up=3, decay_norms=False, label_smoothing=0.1, smallest_crop=0.5, rotation=10.0,
        erasing=0.25, ema=0.999, stem=SMALL_STEM,
    ),
}  # fmt: skip
PARTS = tuple(name for name in vars(TrainingRecipe()) if name != "hyper_parameters")  # beside those of HyperParameters


def default_recipe(weights: str, other_start: bool = False) -> str:
    """The recipe unless a flag names one: SCRATCH with random weights ("none"), but PUBLISHED with an `other_start`
    (BYOL's weights, or hyper-parameters of a study, which has searched beside the published recipe)."""
    return SCRATCH if weights == "none" and not other_start else PUBLISHED


def recipe_values(name: str, net_name: str, image_size: int) -> dict[str, Any]:
    """The values of a recipe's parts for a net of the table and views of this side, by their flags' names."""
    recipe, architecture = RECIPES[name], ARCHITECTURES[net_name]
    values = {**vars(recipe.hyper_parameters or architecture.defaults), **{part: vars(recipe)[part] for part in PARTS}}
    if image_size > LARGEST_SMALL_STEM or not architecture.stem:
        values["stem"] = IMAGENET_STEM
    return values
