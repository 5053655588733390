"""EmotionGAN: one face, any expression, by a point of a two-dimensional space of emotions.

After GANmut: d'Apolito et al., "GANmut: Learning Interpretable Conditional Space for Gamut of Emotions", CVPR 2021.
"""
