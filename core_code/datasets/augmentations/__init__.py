"""Synthetic faces: planned, generated, written, and read again for training."""
