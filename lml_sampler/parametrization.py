"""Noise levels, and the quantities that a scheme may integrate, for VE-scaled and flow models.

Glossary:
    x               the state, alpha * x0 + sigma * noise
    alpha, sigma    signal and noise level; VE scale (eps, v and EDM models in ComfyUI): alpha = 1; flow: 1 - sigma
    half_log_snr    log(alpha / sigma), -inf at sigma = 1 of a flow model, inf at sigma = 0
    denoised        the model's estimate of x0
    noise           the estimate of the noise, (x - alpha * denoised) / sigma
    velocity        dx/dsigma, (x - denoised) / sigma; in VE scale the same as noise
"""

import math
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

Parametrization = Literal["ve", "flow"]
Quantity = Literal["denoised", "noise", "velocity"]


SAME_LEVEL = 1e-5
"""Relative difference below which two sigmas are one: they come through exp and log in float32."""

NO_SIGNAL = 2e-6
"""Below this alpha a flow model's level counts as pure noise: its sigma is 1 up to the rounding of a shift."""


def check_parametrization(parametrization: str) -> None:
    """Raise ValueError unless it is one."""
    if parametrization not in get_args(Parametrization):
        raise ValueError(f"parametrization is {parametrization!r}; choose one of ve (eps, v and EDM models), flow.")


class Level(NamedTuple):
    """One noise level, in host numbers."""

    sigma: float
    alpha: float
    """0 at pure noise; below 0 above it, where a flow model's sigma is more than 1."""

    @property
    def half_log_snr(self) -> float:
        if self.alpha <= 0:
            return -math.inf
        return math.log(self.alpha / self.sigma) if self.sigma > 0 else math.inf


def level_of(sigma: float, parametrization: Parametrization) -> Level:
    """The level of a sigma."""
    if parametrization == "ve":
        return Level(sigma, 1.0)
    return Level(sigma, 0.0 if abs(1.0 - sigma) <= NO_SIGNAL else 1.0 - sigma)


def falls(here: Level, target: Level) -> bool:
    """Whether `target` is below `here` by more than rounding."""
    return target.sigma < here.sigma * (1 - SAME_LEVEL)


def noise_ratio(low: Level, high: Level) -> float:
    """sigma / alpha of one level in units of another's, 0 where that one is pure noise; `low.alpha` > 0."""
    return low.sigma * high.alpha / (low.alpha * high.sigma)


def smallest_level(sigma_min: float, parametrization: Parametrization) -> Level:
    """The smallest level that a model knows.

    Raises:
        ValueError: `sigma_min` is no level of such a model.
    """
    most = math.inf if parametrization == "ve" else 1.0
    if not 0 <= sigma_min < most:
        raise ValueError(
            f"sigma_min is {sigma_min:g}; it must be from 0 to below {most:g}, the smallest noise level that the model "
            "knows. 0 if that is not known."
        )
    return level_of(sigma_min, parametrization)


def vp_scale(level: Level, parametrization: Parametrization) -> float:
    """Factor from a state in ComfyUI's scale to the scale in which the published lambda is given.

    VE states are variance-preserving ones divided by alpha_vp = 1 / sqrt(1 + sigma^2); flow states are used as
    they are.
    """
    return 1 / math.hypot(1.0, level.sigma) if parametrization == "ve" else 1.0


def schedule(sigmas: list[float], parametrization: Parametrization) -> list[Level]:
    """Check a schedule and give its levels.

    Raises:
        ValueError: the parametrization is unknown, a sigma is not finite or negative, or one above 0 follows 0.
    """
    check_parametrization(parametrization)
    for index, sigma in enumerate(sigmas):
        if not (math.isfinite(sigma) and sigma >= 0):
            raise ValueError(
                f"sigmas[{index}] is {sigma}; it must be a finite number from 0 up. "
                "Choose another scheduler or more steps, or correct the sigmas that you typed."
            )
        if index and sigma > 0 and sigmas[index - 1] == 0:
            raise ValueError(
                f"sigmas[{index}] is {sigma} after 0; no noise is known that leads up from a clean picture. "
                "Start from a small number in place of 0, as FlipSigmas does."
            )
    return [level_of(sigma, parametrization) for sigma in sigmas]


def from_denoised(quantity: Quantity, x: Tensor, denoised: Tensor, level: Level) -> Tensor:
    """Express a denoised prediction as `quantity`. All tensors `[B, ...]`; sigma > 0."""
    if quantity == "denoised":
        return denoised
    alpha = 1.0 if quantity == "velocity" else level.alpha
    return torch.sub(x, denoised, alpha=alpha).div_(level.sigma)


def to_denoised(quantity: Quantity, x: Tensor, value: Tensor, level: Level) -> Tensor:
    """The inverse of `from_denoised`; for `noise` alpha > 0."""
    if quantity == "denoised":
        return value
    signal = torch.sub(x, value, alpha=level.sigma)
    return signal if quantity == "velocity" or level.alpha == 1 else signal.div_(level.alpha)


def convert(source: Quantity, quantity: Quantity, x: Tensor, value: Tensor, level: Level) -> Tensor:
    """Express `value`, given as `source`, as `quantity`. All tensors `[B, ...]`."""
    same_in_ve = level.alpha == 1 and "denoised" not in (source, quantity)
    if source == quantity or same_in_ve:
        return value
    return from_denoised(quantity, x, to_denoised(source, x, value, level), level)
