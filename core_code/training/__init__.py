"""Training: the loop, the classifier, BYOL, and predictions of trained nets."""
