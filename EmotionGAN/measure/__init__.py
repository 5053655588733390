"""Measuring a generator: `python -m EmotionGAN.measure`."""

PARTS = ("targets", "diversity", "cas", "detectability", "identity")
