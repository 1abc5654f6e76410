"""LML's own schedule: the noise is taken away in the model's own time, slower at both ends.

    share(sigma) = sigma / (sigma + middle * alpha)            1 is pure noise, 0 a clean picture
    middle = MIDDLE (shift / MIDDLE)^(2/3)                     for a flow model; MIDDLE for the others
    share falls from sigma_max to sigma_min as  u - e sin(2 pi u) / (2 pi),   u = 0, 1/N ... 1
    e goes from START at u = 0 to 1 - LAST / N at u = 1, by sin(pi u / 2)^2

With `middle` the whole shift of a flow model, share is its own time, which ComfyUI's `simple` divides evenly. A shift
says how much noise the pictures of a model need, and is chosen for `euler`; where a picture is decided depends on the
data too. So `middle` lies between the two. Steps at the start decide what is shown, those at the end how sharp it is.
The last step is one of first order, those before it are of second order, so their errors fall as 1 / N^2: e makes the
last step fall so too.
"""

import math

from .parametrization import Parametrization, level_of

MIDDLE = 1.65
"""sigma / alpha at half the share where there is no shift: SD's own 1,000 levels have it in their middle."""

START = 0.6
"""How much slower the start is, from 0 (even shares) to 1. With less, eps networks of a large sigma_max
are further off."""

LAST = 3.0
"""The share of the last step is about this / N^2. With 2, typical samples are closer, but more of them end elsewhere on
exact problems at 8 steps; with 4, networks are further off."""


def lml_schedule(
    steps: int, sigma_min: float, sigma_max: float, parametrization: Parametrization, shift: float | None = None
) -> list[float]:
    """The noise levels of a run, in host numbers.

    Args:
        steps: model calls, 1 or more.
        sigma_min: the smallest level that the model knows, 0 or more. The shares end there. The last step goes on to 0,
            but the scheme `auto` ends it at sigma_min too.
        sigma_max: the first level, for `flow` at most 1 (a little more is rounding and counts as 1).
        parametrization: of the model.
        shift: of a flow model. None for the others.

    Returns:
        `steps + 1` sigmas that fall strictly from `sigma_max` to 0.

    Raises:
        ValueError: `steps` is below 1, or `shift` or the levels are not 0 <= sigma_min < sigma_max < inf.
    """
    if steps < 1:
        raise ValueError(f"steps is {steps}; it must be 1 or more. 8 is a good start.")
    if not (0 <= sigma_min < sigma_max < math.inf and (shift is None or 0 < shift < math.inf)):
        shifted = "" if shift is None else f", shift {shift:g}"
        raise ValueError(
            f"sigma_min is {sigma_min:g}, sigma_max {sigma_max:g}{shifted}; they must be 0 <= sigma_min < "
            "sigma_max < inf and 0 < shift < inf. The noise levels of this model are broken, as by a shift of 0: "
            "remove what changes them."
        )
    middle = MIDDLE if shift is None else MIDDLE * (shift / MIDDLE) ** (2 / 3)
    high, low = _share(sigma_max, parametrization, middle), _share(sigma_min, parametrization, middle)
    shares = (high + (low - high) * _place(index / steps, 1 - LAST / steps) for index in range(1, steps))
    return [sigma_max, *(_sigma(share, parametrization, middle) for share in shares), 0.0]


def _place(u: float, end: float) -> float:
    """From 0 to 1, slower at both ends: by START and by `end`."""
    slower = START + (end - START) * math.sin(math.pi * u / 2) ** 2
    return u - slower * math.sin(2 * math.pi * u) / (2 * math.pi)


def _share(sigma: float, parametrization: Parametrization, middle: float) -> float:
    return sigma / (sigma + middle * max(level_of(sigma, parametrization).alpha, 0.0))


def _sigma(share: float, parametrization: Parametrization, middle: float) -> float:
    """The inverse of `_share`."""
    noise, signal = middle * share, 1 - share
    return noise / signal if parametrization == "ve" else noise / (noise + signal)
