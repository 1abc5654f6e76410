"""The scheme `auto`: first-order LML that reads its gain from the schedule and redoes the last step in hindsight.

At each model call the noise prediction is compared with the one that was expected when the step here was taken:

    1. hindsight    The step here was wrong by what the prediction surprises with: x is corrected for it, and the
                    prediction too, without a model call (an implicit step, as the corrector of UniPC and SA-Solver).
    2. foresight    LML to first order in its gain, u + gain (u - p), with the gain that is right for smooth paths on
                    this schedule (`schedule_gain`). The part along u is kept, and the length is not: with it the scheme
                    is of second order.

Both are damped as Levenberg-Marquardt damps where the local model fails: by the square of the surprise and of the turn
that foresight would make, relative to the prediction, and of its growth; and foresight ends where the path turns back,
as it does when guidance overshoots.

With classifier-free guidance the prediction has two parts, which change at different paces: the unconditional one goes
on as it did, while guidance rises until it is clear what the picture shows and then collapses. Where the unconditional
part is known, each has a damping of its own.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from .correction import inner, nonzero
from .damping import relative_damping
from .first_order import plain_step
from .parametrization import Level, from_denoised
from .schedule_gain import ScheduleGain, schedule_gain
from .settings import LMLSettings
from .step import Step

MOST_GAIN = 3.0
"""A step that is much longer than the one before it is not extrapolated further than this."""
GUIDANCE_SENSITIVITY = 6.0
"""How much more a turn adds to the damping of guidance than to that of the rest.

On exact denoisers the share of the change of guidance that was right to extrapolate, in hindsight, halved near
tan^2 = 0.004, and that of the rest near 0.02.
"""


class Trend(NamedTuple):
    """How the noise prediction changed on the last step, as far as that was trusted."""

    change: Tensor
    """`[B, ...]`."""
    energy: Tensor
    """|change|^2, `[B, 1, ...]`."""
    reach: float
    """The next noise prediction is expected to be the last one + reach * change."""


class AutoMemory(NamedTuple):
    """What one step hands to the next."""

    noise: Tensor
    """The last noise prediction, in hindsight, `[B, ...]`."""
    energy: Tensor
    """Its |noise|^2, `[B, 1, ...]`."""
    level: Level
    """Where it was made."""
    guidance: Tensor | None
    """The part of `noise` that guidance adds to the unconditional prediction, `[B, ...]`, if it is known."""
    trend: Trend | None = None
    """None after a step that was not corrected."""


def advance_auto(
    x: Tensor, denoised: Tensor, step: Step, memory: AutoMemory | None, settings: LMLSettings
) -> tuple[Tensor, AutoMemory]:
    """Take one step from the model's output, `[B, ...]`."""
    here, target, weight = step.here, step.target, step.weight
    wide = torch.promote_types(x.dtype, torch.float32)
    state, output = x.to(wide), denoised.to(wide)
    noise = from_denoised("noise", state, output, here)
    guidance = _guidance(output, step)
    if memory is None or not step.corrected:
        if step.recorder is not None:
            step.recorder.plain(noise, None if memory is None else memory.noise, weight)
        state = plain_step(state, output, here, target)
        return state.to(x.dtype), AutoMemory(noise, inner(noise, noise, weight), here, guidance)
    coefficients = schedule_gain(memory.level, here, target)
    if not settings.stochastic:  # fresh noise is no surprise that a better step would have spared
        state, noise = _redo(state, noise, memory, coefficients, step, settings)
    gain = min(coefficients.gain, MOST_GAIN)
    energy = nonzero(inner(noise, noise, weight))
    trend, trend_energy, trusted = _foresee(noise, energy, guidance, memory, gain, step, settings)
    most = _most(settings)
    if step.recorder is not None:
        direction = torch.add(noise, trend, alpha=most * gain)
        step.recorder.measure(noise, memory.noise, direction, (relative_damping(settings)[0] / trusted, 0.0), weight)
        if coefficients.gain > MOST_GAIN:
            step.recorder.note(f"the schedule asks for a gain of {coefficients.gain:.3g}; {MOST_GAIN:g} is the most")
        if settings.stochastic:
            step.recorder.note("no hindsight: the step before added noise")
    ratio = target.alpha / here.alpha
    span = target.sigma - here.sigma * ratio
    state = torch.add(state if ratio == 1 else state * ratio, noise, alpha=span).add_(trend, alpha=span * most * gain)
    kept = Trend(trend, trend_energy, most * coefficients.outlook)
    return state.to(x.dtype), AutoMemory(noise, energy, here, guidance, kept)


def _guidance(denoised: Tensor, step: Step) -> Tensor | None:
    """What guidance adds to the unconditional noise prediction, `[B, ...]`; None where that is not known."""
    if step.uncond_denoised is None:
        return None
    return (step.uncond_denoised.to(denoised.dtype) - denoised).mul_(step.here.alpha / step.here.sigma)


def _redo(
    state: Tensor, noise: Tensor, memory: AutoMemory, coefficients: ScheduleGain, step: Step, settings: LMLSettings
) -> tuple[Tensor, Tensor]:
    """The state, and the noise prediction there, had the step here known the prediction at its end."""
    surprise = noise - memory.noise
    if memory.trend is not None:
        surprise.sub_(memory.trend.change, alpha=memory.trend.reach)
    energy = nonzero(torch.minimum(inner(noise, noise, step.weight), memory.energy))
    most = _most(settings)
    trusted = _trusted(settings, energy, inner(surprise, surprise, step.weight)).clamp_max_(min(1 / most, 1))
    if step.recorder is not None:
        step.recorder.trust(most * trusted, energy)
    if step.weight is not None:
        surprise = surprise * step.weight
    hindsight, share = coefficients.hindsight, coefficients.share
    state = torch.addcmul(state, trusted, surprise, value=-most * hindsight * share)
    return state, torch.addcmul(noise, trusted, surprise, value=-most * (1 - share))


def _foresee(
    noise: Tensor,
    energy: Tensor,
    guidance: Tensor | None,
    memory: AutoMemory,
    gain: float,
    step: Step,
    settings: LMLSettings,
) -> tuple[Tensor, Tensor, Tensor]:
    """How the prediction changes, as far as that may be extrapolated by `gain`.

    With it its squared length and the share that the damping left of it, both `[B, 1, ...]`.
    """
    weight, scale = step.weight, gain**2  # what counts is the turn that the step would make
    change = noise - memory.noise
    length = inner(change, change, weight)
    along = (energy - memory.energy).add_(length).mul_(0.5)  # <change, noise>, from |noise - change|^2
    # Predictions of noise keep their length or lose some; one that grows is off, whichever way it points.
    growth = (energy.sqrt() - memory.energy.sqrt()).clamp_min_(0).square_()
    least = nonzero(torch.minimum(energy, memory.energy))
    deviation = _across(length, along, energy).add_(growth)
    trusted = _trusted(settings, least, deviation, scale)
    agreement = _agreement(change, length, memory.trend, weight)
    if guidance is None or memory.guidance is None:
        agreed = trusted * agreement
        trend = change.mul_(agreed if weight is None else agreed * weight)
        return trend, agreed.square_().mul_(length), trusted
    part = guidance - memory.guidance
    rest_length = (length - 2 * inner(change, part, weight)).add_(inner(part, part, weight))
    rest = _across(rest_length, along - inner(part, noise, weight), energy).add_(growth)
    cautious = _trusted(settings, least, deviation, scale * GUIDANCE_SENSITIVITY)
    # Parts that nearly cancel are one part: neither may be trusted less than their sum.
    trusted = torch.maximum(_trusted(settings, least, rest, scale), trusted)
    trend = change.mul_(trusted).addcmul_(part, trusted - cautious, value=-1)
    trend.mul_(agreement if weight is None else agreement * weight)
    return trend, inner(trend, trend, weight), trusted


def _trusted(settings: LMLSettings, energy: Tensor, deviation: Tensor, scale: float = 1.0) -> Tensor:
    """The share that the damping leaves of a change, `[B, 1, ...]`: 1 / (1 + scale c deviation / energy)."""
    damping, sensitivity = relative_damping(settings)
    return energy / torch.add(energy, deviation, alpha=scale * sensitivity / damping)


def _across(length: Tensor, along: Tensor, energy: Tensor) -> Tensor:
    """The squared length of a change across the prediction, from its own, their inner product and |noise|^2."""
    return torch.addcmul(length, along, along / energy, value=-1).clamp_min_(0)


def _most(settings: LMLSettings) -> float:
    """kappa / lambda: the share of what the schedule asks for that is taken where nothing is damped."""
    return settings.kappa * settings.strength / settings.damping


def _agreement(change: Tensor, length: Tensor, trend: Trend | None, weight: Tensor | None) -> Tensor | float:
    """1 where the path turns on as it was expected to, falling to 0 as it turns back: 1 + min(cosine, 0)."""
    if trend is None:
        return 1.0
    lengths = nonzero(length * trend.energy)
    return (inner(change, trend.change, weight) * lengths.rsqrt_()).clamp_(-1, 0).add_(1)
