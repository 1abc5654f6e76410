"""The scheme `auto`: first-order LML that reads its gain from the schedule and redoes the last step in hindsight.

At each model call the noise prediction is compared with the one that was expected when the step here was taken:

    1. hindsight    The step here was wrong by what the prediction surprises with: x is corrected for it, and the
                    prediction too, without a model call (an implicit step, as the corrector of UniPC and SA-Solver).
    2. foresight    LML to first order in its gain, u + gain (u - p), with the gain that is right for smooth paths on
                    this schedule (`schedule_gain`). The part along u is kept, and the length is not: with it the scheme
                    is of second order.

Both are damped as Levenberg-Marquardt damps where the local model fails: by the square of the surprise and of the turn,
relative to the prediction; and foresight ends where the path turns back, as it does when guidance overshoots.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from .correction import inner, measure_products, nonzero
from .damping import relative_damping
from .first_order import plain_step
from .parametrization import Level, from_denoised
from .schedule_gain import schedule_gain
from .settings import LMLSettings
from .step import Step

MOST_GAIN = 3.0
"""A step that is much longer than the one before it is not extrapolated further than this."""


class AutoMemory(NamedTuple):
    """What one step hands to the next."""

    noise: Tensor
    """The last noise prediction, in hindsight, `[B, ...]`."""
    energy: Tensor
    """Its |noise|^2, `[B, 1, ...]`."""
    expected: Tensor
    """The noise prediction that is expected next, `[B, ...]`."""
    level: Level
    """Where the last prediction was made."""


def advance_auto(
    x: Tensor, denoised: Tensor, step: Step, memory: AutoMemory | None, settings: LMLSettings
) -> tuple[Tensor, AutoMemory]:
    """Take one step from the model's output, `[B, ...]`."""
    here, target = step.here, step.target
    wide = torch.promote_types(x.dtype, torch.float32)
    state, output = x.to(wide), denoised.to(wide)
    noise = from_denoised("noise", state, output, here)
    if memory is None or not step.corrected or target.sigma == 0:
        if step.recorder is not None:
            step.recorder.plain(noise, None if memory is None else memory.noise, step.weight)
            if memory is not None and step.corrected:
                step.recorder.note("the step to sigma 0 is not extrapolated")
        state = plain_step(state, output, here, target)
        return state.to(x.dtype), AutoMemory(noise, inner(noise, noise, step.weight), noise, here)
    coefficients = schedule_gain(memory.level, here, target)
    if not settings.stochastic:  # fresh noise is no surprise that a better step would have spared
        state, noise = _redo(state, noise, memory, coefficients.hindsight, coefficients.share, step, settings)
    turn = measure_products(noise, memory.noise, memory.energy, step.weight)
    change = noise - memory.noise
    if step.weight is not None:
        change *= step.weight
    gain = _damped(settings, turn.tangent_squared) * _agreement(change, memory, step.weight)
    direction = torch.addcmul(noise, gain * min(coefficients.gain, MOST_GAIN), change)
    if step.recorder is not None:
        damping = relative_damping(settings)
        step.recorder.measure(noise, memory.noise, direction, damping, step.weight)
        if coefficients.gain > MOST_GAIN:
            step.recorder.note(f"the schedule asks for a gain of {coefficients.gain:.3g}; {MOST_GAIN:g} is the most")
        if settings.stochastic:
            step.recorder.note("no hindsight: the step before added noise")
    expected = torch.addcmul(noise, gain * coefficients.outlook, change)
    ratio = target.alpha / here.alpha
    state = torch.add(state * ratio, direction, alpha=target.sigma - here.sigma * ratio)
    return state.to(x.dtype), AutoMemory(noise, turn.energy, expected, here)


def _redo(
    state: Tensor,
    noise: Tensor,
    memory: AutoMemory,
    hindsight: float,
    share: float,
    step: Step,
    settings: LMLSettings,
) -> tuple[Tensor, Tensor]:
    """The state, and the noise prediction there, had the step here known the prediction at its end."""
    surprise = noise - memory.expected
    energy = inner(noise, noise, step.weight)
    relative = inner(surprise, surprise, step.weight) / nonzero(energy)
    trust = _damped(settings, relative).clamp(max=1)
    if step.recorder is not None:
        step.recorder.trust(trust, energy)
    if step.weight is not None:
        surprise = surprise * step.weight
    state = torch.addcmul(state, trust * (hindsight * share), surprise, value=-1)
    return state, torch.addcmul(noise, trust * (1 - share), surprise, value=-1)


def _damped(settings: LMLSettings, tangent_squared: Tensor) -> Tensor:
    """kappa / lambda, the share of what the schedule asks for, `[B, 1, ...]`."""
    damping, sensitivity = relative_damping(settings)
    return settings.kappa / (tangent_squared * sensitivity + damping)


def _agreement(change: Tensor, memory: AutoMemory, weight: Tensor | None) -> Tensor:
    """1 where the path turns on as it was expected to, falling to 0 as it turns back: 1 + min(cosine, 0)."""
    outlook = memory.expected - memory.noise
    lengths = inner(change, change, weight) * inner(outlook, outlook, weight)
    return 1 + (inner(change, outlook, weight) * torch.rsqrt(nonzero(lengths))).clamp(-1, 0)
