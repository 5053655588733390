"""The recipe of a learning run: how long each stage is, and what each loss weighs."""

from dataclasses import dataclass, field
from typing import Any


def setting(default: Any, help: str) -> Any:
    """A field of the recipe that is also a flag of the command."""
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True)
class LearnConfig:
    """Stages, rates and weights of losses. Where GANmut's published value differs, the help says so."""

    critic_steps: int = setting(2500, "stage 1: steps in which the critic learns real emotions; not in GANmut")
    steps: int = setting(20000, "stage 2: steps of the game")
    batch_size: int = setting(16, "faces a step")
    critic_batch_size: int = setting(64, "faces a step in stage 1")
    n_critic: int = setting(1, "critic's moves to one of the generator; GANmut: 5")
    generator_rate: float = setting(1.5e-4, "Adam's rate for the generator; GANmut: 1e-4")
    critic_rate: float = setting(3e-4, "Adam's rate for the critic; GANmut: 1e-4")
    critic_width: int = setting(64, "channels of the critic's first layer")
    critic_layers: int = setting(4, "strided layers of the critic; GANmut: 6 at 128 px")
    lambda_realness: float = setting(2.0, "weight of looking real, for the generator; GANmut: 1")
    lambda_cycle: float = setting(10.0, "weight of the L1 cycle back to the face")
    lambda_classes: float = setting(1.0, "weight of the critic's cross entropy on real faces")
    lambda_agreement: float = setting(0.3, "weight of the KL between classes and distances; GANmut: lambda_classes")
    lambda_codes: float = setting(0.5, "weight of the code that the critic reads back")
    lambda_centres: float = setting(1.0, "weight of the cross entropy at the centres; GANmut: 0.5")
    lambda_genuine: float = setting(1.0, "weight of being a real face of the emotion, both players; not in GANmut")
    lambda_places: float = setting(0.5, "weight of real faces' codes lying near their emotions; not in GANmut")
    lambda_identity: float = setting(5.0, "weight of no change (L1) at the code read off the face; not in GANmut")
    lambda_r1: float = setting(0.05, "weight of the R1 penalty; GANmut: gradient penalty, 10")
    r1_every: int = setting(8, "steps between R1 penalties")
    average: float = setting(0.999, "momentum of the averaged weights, the ones that are shipped")

    @property
    def total_steps(self) -> int:
        return self.critic_steps + self.steps
