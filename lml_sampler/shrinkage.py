"""How the length of the noise prediction goes on.

A noise prediction is shorter than the noise, by what the model takes for detail of the picture. Where the data spread
by a width w around what the model sees, in VE scale (tan = sigma / alpha),

    |eps|^2 ~ tan^2 / (tan^2 + w^2),        so 1 / |eps|^2 is linear in 1 / tan^2

and two predictions tell how the length goes on. `schedule_gain` takes w to be 1 for all that changes; but the part
along the prediction is mostly noise, and shrinks where the finest detail appears, late and all at once.
"""

from typing import NamedTuple

from torch import Tensor

from .correction import nonzero
from .parametrization import Level


class Shrinkage(NamedTuple):
    """The length of the noise prediction in units of the last one, each `[B, 1, ...]` and within [0, 1]."""

    mean: Tensor
    """On average over the next step, as the state integrates it."""
    end: Tensor
    """At its end."""


def shrinkage(energy: Tensor, energy_before: Tensor, before: Level, here: Level, target: Level) -> Shrinkage:
    """The shrinkage on the step from `here` to `target`; exact for Gaussian data of any width.

    `energy` and `energy_before` are |eps|^2 `here` and `before`, `[B, 1, ...]`, not 0; `here.alpha` > 0. A prediction
    that did not shrink is taken to keep its length.
    """
    start, end = here.sigma / here.alpha, target.sigma / target.alpha
    passed = (here.sigma * before.alpha / (here.alpha * before.sigma)) ** 2  # (tan here / tan before)^2
    squared_width = (1 - energy / energy_before).clamp_min_(0).mul_(start**2 / (1 - passed))
    root = squared_width.mul_(1 - (end / start) ** 2).add_(end**2).sqrt_()
    return Shrinkage((start + end) / (start + root), end / nonzero(root))


def decline(here: Level, target: Level) -> float:
    """1 - tan(target) / tan(here): the share of the noise that the step takes out."""
    return 1 - target.sigma * here.alpha / (target.alpha * here.sigma)
