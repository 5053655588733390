"""Measuring a generator: `python -m EmotionGAN.measure`."""
