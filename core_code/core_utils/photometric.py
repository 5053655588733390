"""Photometric augmentation: another light, contrast and focus, so that light does not tell which views are a pair.

BYOL's own views (arXiv 2006.07733, appendix B) change colours and blur; these are their counterparts for grey faces.
Without the shades, a net from random weights learns above all whether the background is dark, and little else: two
directions then hold nine tenths of what its features vary.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

GAMMA = 0.7  # the exponent lies within exp(+-0.7)
SLOPE = 0.8  # light rises and falls by up to this share from the centre to the edges, in any direction
SHADES = 4  # a side: light and shadow at so many by so many places of the view, smooth between them
DEPTH = 1.5  # at most, of a shade of one standard deviation, on the scale of the logit of the brightness
CONTRAST = 0.6  # within exp(+-0.6), about the view's own mean
OFFSET = 0.2
BLURRED = 0.5  # the chance to be out of focus
SIGMA = (0.1, 1.5)  # of the blur, in pixels
REACH = 3  # pixels that the blur looks to each side
RANDOM_NUMBERS = 8 + SHADES**2


def photometric_augmentation(views: Tensor, numbers: Tensor) -> Tensor:
    """Another gamma, slope of light, contrast, offset, focus and other shades for each view.

    `views` float32 [B,S,S] in [0,1]; `numbers` float [RANDOM_NUMBERS,B], random in [0,1), on the same device. Returns
    float32 [B,S,S] in [0,1].
    """
    gamma, direction, slope, contrast, offset, focus, sigma, depth = numbers[:8, :, None, None]
    signed = 2 * torch.stack([gamma, contrast, offset]) - 1
    lit = views.clamp(1e-3, 1) ** torch.exp(GAMMA * signed[0])
    across = torch.linspace(-1, 1, views.shape[1], device=views.device)
    angle = 2 * math.pi * direction
    lit = lit * (1 + SLOPE * slope * (torch.cos(angle) * across + torch.sin(angle) * across[:, None]))
    mean = lit.mean((1, 2), keepdim=True)
    lit = (lit - mean) * torch.exp(CONTRAST * signed[1]) + mean + OFFSET * signed[2]
    sigmas = SIGMA[0] + (SIGMA[1] - SIGMA[0]) * sigma[:, 0, 0]
    seen = torch.where(focus < BLURRED, blur(lit, sigmas), lit)
    return shade(seen.clamp(0, 1), DEPTH * depth, numbers[8:])


def shade(views: Tensor, depth: Tensor, numbers: Tensor) -> Tensor:
    """Light and shadow that change smoothly over each view: float [B,S,S] in [0,1], [B,1,1] and [SHADES**2,B].

    Normal numbers from uniform ones, times the `depth`, lie on a grid over the view, bicubic between its points. They
    are added to the logit of the brightness, which goes up or down and stays within 0 and 1. Depth 0 changes nothing.
    """
    normal = torch.special.ndtri(numbers.clamp(1e-4, 1 - 1e-4)).T.reshape(-1, 1, SHADES, SHADES)
    shades = F.interpolate(normal, size=views.shape[1:], mode="bicubic", align_corners=True)[:, 0]
    shaded = torch.special.expit(torch.logit(views.clamp(0.02, 0.98)) + depth * shades)
    return torch.where(depth > 0, shaded, views)


def blur(views: Tensor, sigmas: Tensor) -> Tensor:
    """Each view out of focus by a Gaussian of its own sigma in pixels: float [B,S,S] and [B] -> [B,S,S].

    Beyond the edges the view goes on as at the edge.
    """
    steps = torch.arange(-REACH, REACH + 1, device=views.device)
    weights = torch.exp(-((steps / sigmas[:, None]) ** 2) / 2)
    weights = weights / weights.sum(1, keepdim=True)
    padded = F.pad(views[None], (REACH, REACH, REACH, REACH), mode="replicate")
    rows = F.conv2d(padded, weights[:, None, None, :], groups=len(views))
    return F.conv2d(rows, weights[:, None, :, None], groups=len(views))[0]
