"""python -m EmotionGAN.learn whose second process kills itself at a step, once: started again by torchrun it lives."""

import os
import signal
from typing import Any

from core_code.core_utils.errors import run_command
from EmotionGAN.learn import __main__ as learn
from EmotionGAN.learn.data import BalancedFaces

LAST_STEP = 7
sample, steps = BalancedFaces.sample, []


def sample_or_die(self: BalancedFaces, *arguments: Any) -> Any:
    steps.append(1)
    if len(steps) == LAST_STEP:
        os.kill(os.getpid(), signal.SIGKILL)
    return sample(self, *arguments)


if __name__ == "__main__":
    if os.environ["RANK"] == "1" and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
        BalancedFaces.sample = sample_or_die
    run_command(learn.main)
