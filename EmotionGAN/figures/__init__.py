"""Pictures of a generator and its space: `python -m EmotionGAN.figures`."""
