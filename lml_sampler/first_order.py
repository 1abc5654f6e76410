"""LML to first order, whatever the scheme, in as few passes over the latent as a plain solver of second order takes.

All first-order schemes are one, and the corrected direction is a combination of the last two predictions; so the next
state is one of three tensors, and neither the direction nor another form of the prediction is ever written to memory.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from .correction import combine, inner, measure_products, small_rotation
from .damping import relative_damping
from .parametrization import Level, from_denoised
from .settings import LMLSettings
from .step import Step


class FirstOrderMemory(NamedTuple):
    """What one step hands to the next."""

    previous: Tensor
    """The last prediction times its sigma, not corrected, `[B, ...]`."""
    energy: Tensor
    """Its squared length, `[B, 1, ...]`."""
    sigma: float


def suits_first_order(settings: LMLSettings, step: Step) -> bool:
    """Whether `advance_first_order` can take the steps of a run; `sampler` knows the general form of all others."""
    plain_target = settings.target in ("score", "velocity")
    return settings.order == 1 and plain_target and step.weight is None and step.rotates_little


def advance_first_order(
    x: Tensor, denoised: Tensor, step: Step, memory: FirstOrderMemory | None, settings: LMLSettings
) -> tuple[Tensor, FirstOrderMemory]:
    """Take one step from the model's output, `[B, ...]`.

    x_t = ratio x + gain v    v the corrected noise prediction (ratio = alpha_t / alpha_s) or velocity (ratio = 1),
                              both times sigma_s, which spares a division of the whole latent
    """
    here, target, recorder = step.here, step.target, step.recorder
    of_noise = settings.target == "score"
    vector = torch.sub(x, denoised, alpha=here.alpha if of_noise else 1.0)
    if memory is None or not step.corrected:
        if recorder is not None:
            previous = None if memory is None else memory.previous / memory.sigma
            recorder.plain(vector / here.sigma, previous, None)
        return plain_step(x, denoised, here, target), FirstOrderMemory(vector, inner(vector, vector), here.sigma)
    products = measure_products(vector, memory.previous, memory.energy)
    damping, sensitivity = relative_damping(settings)
    scale = here.sigma / memory.sigma
    shares = small_rotation(products, damping, settings.kappa, sensitivity, scale)
    if recorder is not None:
        corrected = combine(vector, memory.previous, shares) / here.sigma
        recorder.measure(vector / here.sigma, memory.previous / memory.sigma, corrected, (damping, sensitivity))
    ratio = target.alpha / here.alpha if of_noise else 1.0
    gain = target.sigma / here.sigma - ratio
    state = torch.addcmul(x if ratio == 1 else x * ratio, shares.own, vector, value=gain)
    state.addcmul_(shares.other, memory.previous, value=-gain * shares.gain)
    return state, FirstOrderMemory(vector, products.energy, here.sigma)


def plain_step(x: Tensor, denoised: Tensor, here: Level, target: Level) -> Tensor:
    """DDIM, or Euler for flow models, with the very operations of a run that corrects nothing."""
    return from_denoised("velocity", x, denoised, here).mul_(target.sigma - here.sigma).add_(x)
