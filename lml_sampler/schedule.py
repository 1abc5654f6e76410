"""LML's own schedule: the noise is taken away in the model's own time, slower at both ends.

    share(sigma) = sigma / (sigma + shift * alpha)                 1 is pure noise, 0 a clean picture
    share falls from sigma_max to sigma_min as  u - ENDS sin(2 pi u) / (2 pi),   u = 0, 1/N ... 1

For a flow model of that shift, share is its own time, which ComfyUI's `simple` divides evenly. Steps at its start
decide what is shown, those at its end how sharp it is.
"""

import math

from .parametrization import Parametrization, level_of

VE_SHIFT = 1.65
"""sigma at half the share of a VE model: SD's own 1,000 levels have it in their middle."""

ENDS = 0.6
"""How much slower the ends are, from 0 (even shares) to 1. On networks more is closer, by a third from 0 to 0.6, and so
are typical samples of exact problems; but of these more end elsewhere."""


def lml_schedule(
    steps: int, sigma_min: float, sigma_max: float, parametrization: Parametrization, shift: float = VE_SHIFT
) -> list[float]:
    """The noise levels of a run, in host numbers.

    Args:
        steps: model calls, 1 or more.
        sigma_min: the smallest level that the model knows, 0 or more. The shares end there; the last step goes to 0,
            which the sampler `auto` ends there too.
        sigma_max: the first level, for `flow` at most 1 (a little more is rounding and counts as 1).
        parametrization: of the model.
        shift: sigma / alpha at half the share; the shift of a flow model.

    Returns:
        `steps + 1` sigmas that fall strictly from `sigma_max` to 0.

    Raises:
        ValueError: `steps` is below 1, or `shift` or the levels are not 0 <= sigma_min < sigma_max < inf.
    """
    if steps < 1:
        raise ValueError(f"steps is {steps}; it must be 1 or more. 8 is a good start.")
    if not (0 <= sigma_min < sigma_max < math.inf and 0 < shift < math.inf):
        raise ValueError(
            f"sigma_min is {sigma_min:g}, sigma_max {sigma_max:g} and shift {shift:g}; they must be 0 <= sigma_min < "
            "sigma_max < inf and 0 < shift < inf. The noise levels of this model are broken, as by a shift of 0: "
            "remove what changes them."
        )
    high, low = _share(sigma_max, parametrization, shift), _share(sigma_min, parametrization, shift)
    shares = (high + (low - high) * _place(index / steps) for index in range(1, steps))
    return [sigma_max, *(_sigma(share, parametrization, shift) for share in shares), 0.0]


def _place(u: float) -> float:
    """From 0 to 1, slower at both ends."""
    return u - ENDS * math.sin(2 * math.pi * u) / (2 * math.pi)


def _share(sigma: float, parametrization: Parametrization, shift: float) -> float:
    return sigma / (sigma + shift * max(level_of(sigma, parametrization).alpha, 0.0))


def _sigma(share: float, parametrization: Parametrization, shift: float) -> float:
    """The inverse of `_share`."""
    noise, signal = shift * share, 1 - share
    return noise / signal if parametrization == "ve" else noise / (noise + signal)
