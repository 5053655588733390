"""Metrics of edits: small functions on faces, predictions and features."""

from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

SSIM_WINDOW, SSIM_SIGMA = 11, 1.5


def mean_change(faces: Tensor, others: Tensor) -> float:
    """Mean absolute difference of two batches uint8 [B,H,W], in the 0..1 range."""
    return (faces.float() - others.float()).abs().mean().item() / 255


def structural_similarity(faces: Tensor, others: Tensor) -> float:
    """Mean SSIM of two batches uint8 [B,H,W] (Wang et al., 2004: gaussian window of 11 pixels, sigma 1.5)."""
    x, y = faces[:, None].double(), others[:, None].double()
    steps = torch.arange(SSIM_WINDOW, dtype=torch.float64) - SSIM_WINDOW // 2
    line = torch.exp(-(steps**2) / (2 * SSIM_SIGMA**2))
    blur = partial(F.conv2d, weight=(line[:, None] * line / line.sum() ** 2)[None, None].to(x.device))
    mean_x, mean_y = blur(x), blur(y)
    var_x, var_y = blur(x * x) - mean_x**2, blur(y * y) - mean_y**2
    covariance = blur(x * y) - mean_x * mean_y
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    similarity = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    similarity = similarity / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))
    return similarity.mean().item()


def frechet_distance(features: Tensor, others: Tensor) -> float:
    """Distance of two clouds of features, float [N,D] and [M,D], taken as gaussians (Heusel et al., 2017, eq. 6)."""
    a, b = features.double().numpy(), others.double().numpy()
    covariance_a, covariance_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    # tr sqrt(AB) = the sum of the square roots of AB's eigenvalues, which are those of sqrt(A) B sqrt(A)
    values, vectors = np.linalg.eigh(covariance_a)
    root = vectors * np.sqrt(values.clip(0)) @ vectors.T
    overlap = np.sqrt(np.linalg.eigvalsh(root @ covariance_b @ root).clip(0)).sum()
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + covariance_a.trace() + covariance_b.trace() - 2 * overlap)
