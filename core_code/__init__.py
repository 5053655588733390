"""Training and judging emotion classifiers on real and GAN-made faces."""
