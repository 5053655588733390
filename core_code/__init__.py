"""Training and judging emotion classifiers on real and GAN-generated faces."""
