"""Scores of predictions, their calibration, and whether differences are significant."""
