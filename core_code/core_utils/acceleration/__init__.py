"""Faster ways to compute what PyTorch computes; each can be left out."""
