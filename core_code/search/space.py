"""The search space, and the sampler that proposes points of it: TPE.

J. Bergstra et al., "Algorithms for Hyper-Parameter Optimization", 2011.
"""

import warnings
from collections.abc import Sequence
from typing import Any

import optuna
from optuna.trial import BaseTrial

from core_code.core_utils.seeding import seed_for
from core_code.models.architectures import ARCHITECTURES, BYOL_STUDY_BATCH_SIZES

Values = dict[str, Any]


def batch_sizes(net_name: str, byol: bool) -> tuple[int, ...]:
    """The batch sizes to choose from."""
    return BYOL_STUDY_BATCH_SIZES if byol else ARCHITECTURES[net_name].study_batch_sizes


def suggest(trial: BaseTrial, sizes: Sequence[int]) -> Values:
    """A point of the search space, named as train_model.py names its flags."""
    return {
        "batch_size": trial.suggest_categorical("batch_size", list(sizes)),
        "lr": trial.suggest_float("lr", 1e-5, 1e-2, log=True),
        "weight_decay": trial.suggest_float("weight_decay", 0.0, 1e-4),
        "optimizer": trial.suggest_categorical("optimizer", ["adam", "sgd"]),
        "scheduler": trial.suggest_categorical("scheduler", ["step", "cosine"]),
    }


def make_sampler(seed: int, sample: int) -> optuna.samplers.BaseSampler:
    """The TPE sampler of one trial. Its values depend on the seed, the sample's number and the trials before it.

    So a resumed study samples what an unbroken one samples, and no two workers sample the same. Values are sampled
    one by one: with `multivariate` some would be sampled before the trial has its number.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(seed=seed_for(seed, sample, "trial"), multivariate=False, constant_liar=True)
