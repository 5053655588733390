"""The models of a study: trained nets, and votes of several."""

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

from torch import Tensor

from core_code.core_utils.metrics import votes
from core_code.experiments.arms import ARMS, CLASSIC
from core_code.experiments.predicted import ADJUSTED, OTHER_SEEDS

VOTERS = 3


class Model(NamedTuple):
    """A trained net, or a vote of several: `vote` is empty, surest or mean, `members` the experiments in it."""

    members: tuple[str, ...]
    vote: str = ""

    @property
    def name(self) -> str:
        return f"vote ({self.vote}) of {', '.join(self.members)}" if self.vote else self.members[0]

    @property
    def control(self) -> "Model":
        """The vote of as many baselines of other seeds."""
        return Model(("baseline", *OTHER_SEEDS[: len(self.members) - 1]), self.vote)

    def logits(self, of: dict[str, Tensor]) -> Tensor:
        """The model's logits, float [N,7], from those of the experiments."""
        several = [of[member] for member in self.members]
        return votes.BY_NAME[self.vote](several) if self.vote else several[0]


def models_of(experiments: Sequence[str]) -> list[Model]:
    """Each experiment, and votes: of any three of CLASSIC (of two, where there are but two), of the
    baseline and each other one, and of as many baselines of other seeds, where they are among the experiments."""
    alone = [name for name in experiments if name not in OTHER_SEEDS]
    voting = [name for name in alone if name in CLASSIC]
    voters = min(VOTERS, len(voting))
    voted = [Model(members, vote) for vote in votes.BY_NAME for members in combinations(voting, voters) if voters > 1]
    if "baseline" in alone:
        voted += [Model(("baseline", name), "mean") for name in alone if name != "baseline"]
    voted += [vote.control for vote in voted if set(vote.control.members) <= set(experiments)]
    return [Model((name,)) for name in alone] + list(dict.fromkeys(voted))


def described(experiments: Sequence[str]) -> dict[str, str]:
    """What each experiment is, those of corrected logits among them."""
    found = {name: ARMS[name].what for name in experiments}
    found |= {
        name + ADJUSTED: f"{name}, its logits corrected for the shares of the emotions in training; no other training"
        for name in experiments if ARMS[name].rebalanced
    }  # fmt: skip
    return found
