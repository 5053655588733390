"""Editing photographs: `python -m EmotionGAN.edit`."""
