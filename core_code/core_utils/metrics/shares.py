"""Logits of a net for faces whose emotions have other shares than those that it was trained on."""

from torch import Tensor


def for_shares(logits: Tensor, trained: Tensor, real: Tensor) -> Tensor:
    """Logits float [N,C] of a net that was trained on shares of the classes float [C], for faces with `real` shares.

    A class's logit loses the logarithm of its share in training and gains that of its real share: logit adjustment
    after training (A. Menon et al., "Long-tail learning via logit adjustment", ICLR 2021, eq. 9, there for equal
    shares). A class without real faces is never predicted; one without faces in training keeps its logit.
    """
    shift = real.double().log() - trained.double().log()
    return (logits.double() + shift.where(trained > 0, 0)).to(logits.dtype)
