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
from .parametrization import Level, noise_ratio


class Shrinkage(NamedTuple):
    """The length of the noise prediction in units of the last one, each `[B, 1, ...]` and within [0, 1]."""

    mean: Tensor
    """On average over the next step, as the state integrates it."""
    end: Tensor
    """At its end."""


def shrinkage(
    energy: Tensor, energy_before: Tensor, before: Level, here: Level, target: Level, rest: float = 0.0
) -> Shrinkage:
    """The shrinkage on the step from `here` to `target`; exact for Gaussian data of any width.

    `energy` and `energy_before` are |eps|^2 `here` and `before`, `[B, 1, ...]`, not 0; `here.alpha` > 0. A prediction
    that did not shrink is taken to keep its length. On `rest`, the share of the step below `target`, it does.
    """
    start, end = here.sigma / here.alpha, target.sigma / target.alpha
    passed = noise_ratio(here, before) ** 2
    squared_width = (1 - energy / energy_before).clamp_min_(0).mul_(start**2 / (1 - passed))
    root = squared_width.mul_(1 - (end / start) ** 2).add_(end**2).sqrt_()
    mean, last = (start + end) / (start + root), end / nonzero(root)
    return Shrinkage(mean + rest * (last - mean) if rest else mean, last)


def decline(here: Level, target: Level) -> float:
    """The share of the noise that the step takes out."""
    return 1 - noise_ratio(target, here)
