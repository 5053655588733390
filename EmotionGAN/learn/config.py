"""The settings of a training run: how long each stage is, learning rates, and the weight of each loss."""

from dataclasses import dataclass, field
from typing import Any


def setting(default: Any, help: str, old: str | None = None) -> Any:
    """A field that is also a flag of the command; `old` is an earlier name of the flag, which is still accepted."""
    return field(default=default, metadata={"help": help, "old": old})


@dataclass(frozen=True)
class LearnConfig:
    """Stages, learning rates and weights of losses. The help names GANmut's published value where it differs."""

    discriminator_steps: int = setting(
        2500, "stage 1: steps in which the discriminator learns to classify real faces; not in GANmut", "critic_steps"
    )
    steps: int = setting(20000, "stage 2: steps of adversarial training")
    batch_size: int = setting(16, "faces a step")
    discriminator_batch_size: int = setting(64, "faces a step in stage 1", "critic_batch_size")
    generator_every: int = setting(1, "discriminator steps to one generator step; GANmut's n_critic, 5", "n_critic")
    generator_lr: float = setting(1.5e-4, "Adam's learning rate for the generator; GANmut: 1e-4", "generator_rate")
    discriminator_lr: float = setting(3e-4, "Adam's learning rate for the discriminator; GANmut: 1e-4", "critic_rate")
    discriminator_width: int = setting(64, "channels of the discriminator's first layer", "critic_width")
    discriminator_layers: int = setting(4, "strided layers of the discriminator; GANmut: 6 at 128 px", "critic_layers")
    lambda_adversarial: float = setting(2.0, "weight of the generator's adversarial loss; GANmut: 1", "lambda_realness")
    lambda_cycle: float = setting(10.0, "weight of the L1 cycle back to the face")
    lambda_classes: float = setting(1.0, "weight of the discriminator's cross entropy on real faces")
    lambda_agreement: float = setting(0.3, "weight of the KL between classes and distances; GANmut: lambda_classes")
    lambda_codes: float = setting(0.5, "weight of the error of the code that the discriminator predicts")
    lambda_centres: float = setting(1.0, "weight of the cross entropy at the centres; GANmut: 0.5")
    lambda_conditional: float = setting(
        1.0, "weight of the adversarial losses given the emotion, of both networks; not in GANmut", "lambda_genuine"
    )
    lambda_embedding: float = setting(
        0.5, "weight of real faces' codes lying near their emotion; not in GANmut", "lambda_places"
    )
    lambda_identity: float = setting(5.0, "weight of no change (L1) at the code of the face; not in GANmut")
    lambda_r1: float = setting(0.05, "weight of the R1 penalty; GANmut: gradient penalty, 10")
    r1_every: int = setting(8, "steps between R1 penalties")
    ema_decay: float = setting(0.999, "decay of the exponential moving average of the generator's weights", "average")

    @property
    def total_steps(self) -> int:
        return self.discriminator_steps + self.steps
