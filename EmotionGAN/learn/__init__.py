"""Learning a generator: `python -m EmotionGAN.learn`."""
