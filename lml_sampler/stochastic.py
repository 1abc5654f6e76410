"""Fresh noise: step further down than asked, then add noise up to the level asked for."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from .parametrization import Level, Parametrization, level_of
from .settings import LMLSettings

NoiseSampler = Callable[[Tensor, Tensor], Tensor]


def split_level(
    here: Level, target: Level, settings: LMLSettings, parametrization: Parametrization
) -> tuple[Level, float]:
    """The level to step down to, and the standard deviation of the noise to add there.

    Renoising goes down to sigma 0. Ancestral steps:
    VE: sigma_up = eta sigma_t sqrt(1 - (sigma_t / sigma_s)^2), sigma_down^2 = sigma_t^2 - sigma_up^2.
    Flow: sigma_down = sigma_t (1 + (sigma_t / sigma_s - 1) eta); the state is then scaled to alpha_t, so that
    alpha and sigma of the result are those of the target. A target without signal is noise alone.
    A step up, to a larger sigma, adds none.
    """
    eta = settings.eta
    if target.sigma == 0 or not settings.stochastic:
        return target, 0.0
    if settings.renoise:
        return level_of(0.0, parametrization), target.sigma
    ratio = target.sigma / here.sigma
    if ratio >= 1:
        return target, 0.0
    if parametrization == "ve":
        noise = eta * target.sigma * math.sqrt(1 - ratio**2)
        return level_of(math.sqrt(target.sigma**2 - noise**2), parametrization), noise
    down = level_of(target.sigma * (1 + (ratio - 1) * eta), parametrization)
    return down, math.sqrt(target.sigma**2 - (down.sigma * kept_signal(target, down)) ** 2)


def kept_signal(target: Level, down: Level) -> float:
    """The factor on the state at `down` before the noise of `target` is added."""
    return target.alpha / down.alpha if target.alpha > 0 else 0.0


def seeded_noise_sampler(x: Tensor, seed: int | None) -> NoiseSampler:
    """Standard normal noise like `x` from a generator of its own.

    The seed is moved by one, so that the noise of the steps is not the noise that the run started from.

    Raises:
        ValueError: there is no seed.
    """
    if seed is None:
        raise ValueError('the settings add noise, but there is no seed: pass extra_args["seed"] or a noise_sampler')
    generator = torch.Generator(device=x.device).manual_seed((seed + 1) % 2**64)

    def noise_sampler(sigma: Tensor, sigma_next: Tensor) -> Tensor:
        return torch.randn(x.shape, dtype=x.dtype, device=x.device, generator=generator)

    return noise_sampler
