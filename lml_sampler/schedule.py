"""LML's own schedule: every step takes the same share of the noise away.

    share(sigma) = sigma / (sigma + TURN * alpha),      share = share of sigma_max ... 0 in equal steps

It is the time of a flow, in which ComfyUI's `simple` spreads the levels of a flow model evenly, with its middle where
pictures take shape. So a VE model and a flow model get the same levels, whatever a shift has done to the model's own.
"""

import math

from .parametrization import Parametrization, level_of

TURN = 1.65
"""sigma / alpha at half the share, for data of about unit width, as latents have. On exact problems few calls ask for
more (2.7: guided samples choose what they show above), typical samples and many calls for less (1)."""


def lml_schedule(steps: int, sigma_min: float, sigma_max: float, parametrization: Parametrization) -> list[float]:
    """The noise levels of a run, in host numbers.

    Args:
        steps: model calls, 1 or more.
        sigma_min: the smallest level that the model knows, 0 or more. The shares end there; the last step goes to 0,
            which the sampler `auto` ends there too.
        sigma_max: the first level, for `flow` at most 1 (a little more is rounding and counts as 1).
        parametrization: of the model.

    Returns:
        `steps + 1` sigmas that fall strictly from `sigma_max` to 0.

    Raises:
        ValueError: `steps` is below 1, or the levels are not 0 <= sigma_min < sigma_max < inf.
    """
    if steps < 1:
        raise ValueError(f"steps is {steps}; it must be 1 or more. 8 is a good start.")
    if not 0 <= sigma_min < sigma_max < math.inf:
        raise ValueError(
            f"sigma_min is {sigma_min:g} and sigma_max {sigma_max:g}; they must be 0 <= sigma_min < sigma_max < inf. "
            "The noise levels of this model are broken, as by a shift of 0: remove what changes them."
        )
    high, low = _share(sigma_max, parametrization), _share(sigma_min, parametrization)
    shares = (high + (low - high) * index / steps for index in range(1, steps))
    return [sigma_max, *(_sigma(share, parametrization) for share in shares), 0.0]


def _share(sigma: float, parametrization: Parametrization) -> float:
    return sigma / (sigma + TURN * max(level_of(sigma, parametrization).alpha, 0.0))


def _sigma(share: float, parametrization: Parametrization) -> float:
    """The inverse of `_share`."""
    noise, signal = TURN * share, 1 - share
    return noise / signal if parametrization == "ve" else noise / (noise + signal)
