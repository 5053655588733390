"""The settings of a training run: how long each stage is, learning rates, and the weight of each loss."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from core_code.core_utils.flags import count, decay, non_negative, number, probability, whole_number


def setting(default: Any, help: str, old: str | None = None, kind: Callable[[str], Any] = non_negative) -> Any:
    """A field that is also a flag of the command, of argparse type `kind`; `old` is an earlier name of the flag, which
    is still accepted."""
    return field(default=default, metadata={"help": help, "old": old, "kind": kind})


@dataclass(frozen=True)
class LearnConfig:
    """Stages, learning rates and weights of losses. GANmut's published values are in PUBLISHED."""

    discriminator_steps: int = setting(
        2500,
        "stage 1: steps in which discriminator and guides learn to classify real faces",
        "critic_steps",
        kind=whole_number,
    )
    steps: int = setting(20000, "stage 2: steps of adversarial training; 0: stage 1 alone", kind=whole_number)
    batch_size: int = setting(32, "faces a step", kind=count)
    discriminator_batch_size: int = setting(128, "faces a step in stage 1", "critic_batch_size", kind=count)
    generator_every: int = setting(
        1, "discriminator steps to one generator step (GANmut's n_critic)", "n_critic", kind=count
    )
    generator_lr: float = setting(2e-4, "Adam's learning rate for the generator", "generator_rate")
    discriminator_lr: float = setting(3e-4, "Adam's learning rate for the discriminator", "critic_rate")
    guides_lr: float = setting(0.05, "SGD's first learning rate for the guides, cosine over stage 1")
    discriminator_width: int = setting(64, "channels of the discriminator's first layer", "critic_width", kind=count)
    discriminator_layers: int = setting(4, "strided layers of the discriminator", "critic_layers", kind=count)
    guide_width: int = setting(
        32,
        "channels of the guides' first layer; 0: no guides",
        kind=number("a whole number from 0 to 512", lambda value: 0 <= value <= 512, int),
    )
    neighbourhood: float = setting(0.25, "half-width of the box around a centre in which codes show its emotion")
    share_uniform: float = setting(0.25, "share of codes anywhere in the square, where emotions mix", kind=probability)
    share_own: float = setting(0.25, "share of the other codes that lie near the face's own emotion", kind=probability)
    lambda_adversarial: float = setting(1.0, "weight of the generator's adversarial loss", "lambda_realness")
    lambda_cycle: float = setting(10.0, "weight of the L1 cycle back to the face")
    lambda_classes: float = setting(1.0, "weight of the discriminator's cross entropy on real faces")
    lambda_agreement: float = setting(0.3, "weight of the KL between the discriminator's classes and the distances")
    lambda_codes: float = setting(0.5, "weight of the error of the code that the discriminator predicts")
    lambda_recovered: float = setting(1.0, "weight of the same error in the generator's loss (InfoGAN)")
    lambda_centres: float = setting(0.3, "weight of the discriminator's classes of edits near a centre")
    lambda_guides: float = setting(1.0, "weight of what the guides predict from edits")
    guide_margin: float = setting(0.25, "KL at which the guides are content: faces need not be typical")
    lambda_conditional: float = setting(
        1.0, "weight of the adversarial losses given the emotion, of both networks", "lambda_genuine"
    )
    lambda_embedding: float = setting(0.5, "weight of real faces' codes lying near their emotion", "lambda_places")
    lambda_identity: float = setting(5.0, "weight of no change (L1) at the code of the face")
    lambda_diversity: float = setting(3.0, "weight of edits of one face and emotion that differ too little")
    diversity: float = setting(0.05, "how far they are to differ: mean local change, in the range -1..1")
    lambda_r1: float = setting(0.1, "weight of the R1 penalty")
    r1_every: int = setting(8, "steps between R1 penalties", kind=count)
    ema_decay: float = setting(
        0.999, "decay of the exponential moving average of the generator's weights", "average", kind=decay
    )

    @property
    def total_steps(self) -> int:
        return self.discriminator_steps + self.steps


NETWORK = {"image_size": 48, "width": 32, "blocks": 6, "output": "warp", "codes": "norms"}
# GANmut's published values, as far as they have a meaning here (CVPR 2021, section 4): `--config ganmut`.
PUBLISHED: dict[str, Any] = {
    "discriminator_steps": 0, "steps": 1_800_000, "batch_size": 16, "generator_every": 5, "generator_lr": 1e-4,
    "discriminator_lr": 1e-4, "discriminator_layers": 6, "guide_width": 0, "neighbourhood": 0.0, "share_uniform": 0.5,
    "share_own": 0.0, "lambda_agreement": 1.0, "lambda_codes": 1.0, "lambda_recovered": 0.0,
    "lambda_centres": 0.5, "lambda_guides": 0.0, "lambda_conditional": 0.0, "lambda_embedding": 0.0,
    "lambda_identity": 0.0, "lambda_diversity": 0.0,
}  # fmt: skip
PUBLISHED_NETWORK = {"image_size": 128, "width": 64, "blocks": 6, "output": "plain", "codes": "maps"}
