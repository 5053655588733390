"""The page of `python -m EmotionGAN.explore`: its faces, its server, and what the browser gets."""
