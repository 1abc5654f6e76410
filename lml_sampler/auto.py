"""The scheme `auto`: LML that reads its gain from the schedule and redoes the last step in hindsight.

At each model call the noise prediction is compared with the one that was expected when the step here was taken:

    1. hindsight    The step here was wrong by what the prediction surprises with: x is corrected for it, and the
                    prediction too, without a model call (an implicit step, as the corrector of UniPC and SA-Solver).
    2. foresight    Where the prediction goes on the next step. Across itself it turns on as it turned, LML to first
                    order in its gain, with the gain that is right for smooth paths on this schedule (`schedule_gain`);
                    a share of what that missed on the step before is added. Its length goes on as `shrinkage` says.

Both are damped as Levenberg-Marquardt damps where the local model fails: by the square of the surprise and of what a
line may miss where the path turns, relative to the prediction, and of its growth. Where the line through the turn
before has foreseen the turn, less is to be missed; where the path turns back, foresight ends.

With classifier-free guidance a sharp turn means that guidance is about to end: it pulls until it is clear what the
picture shows and then collapses, in a fraction of a long step. Where the prediction without guidance is known, the
damping therefore fades guidance out by as much as it takes from the turn.

A flow model starts from pure noise, which tells nothing of the picture. What its second call surprises with in the mean
is redone apart from the rest: means spread more widely than details. Without guidance the turn there is not damped: it
is the picture that appears.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from .correction import inner, nonzero
from .damping import auto_sensitivity
from .parametrization import Level, from_denoised
from .schedule_gain import BendGain, ScheduleGain, bend_gain, hindsight_gain, mean_hindsight, mean_width, schedule_gain
from .settings import LMLSettings
from .shrinkage import decline, shrinkage
from .step import Figures, Step, plain_step

MOST_GAIN = 3.0
"""A step that is much longer than the one before it is not extrapolated further than this."""
BEND_SHARE = 0.5
"""The share of the next order that is taken. On exact denoisers more is better, but networks answer with some noise of
their own, of which every order takes a multiple; DPM-Solver of order 3 takes half of it as well."""
GUIDED_BEND_SHARE = 0.25
"""With guidance, part of what a step missed is a collapse, which happens once: half as much is taken."""


class Turn(NamedTuple):
    """How the noise prediction changed on the last step."""

    change: Tensor
    """`[B, ...]`."""
    energy: Tensor
    """|change|^2, `[B, 1, ...]`."""
    before: Level
    """Where it began."""
    foreseen: Tensor
    """The noise prediction that follows if the turn goes on, `[B, ...]`."""


class AutoMemory(NamedTuple):
    """What one step hands to the next."""

    noise: Tensor
    """The last noise prediction, in hindsight, `[B, ...]`."""
    energy: Tensor
    """Its |noise|^2, `[B, 1, ...]`."""
    level: Level
    """Where it was made."""
    expected: Tensor
    """The next noise prediction, as the step took it, `[B, ...]`."""
    turn: Turn | None = None
    """None after a step that was not corrected."""


class Measured(NamedTuple):
    """The change of the noise prediction on the last step; all but `change` are `[B, 1, ...]`."""

    energy: Tensor
    """|noise|^2, not 0."""
    least: Tensor
    """The smaller one of it and that of the prediction before."""
    change: Tensor
    """`[B, ...]`."""
    length: Tensor
    """|change|^2."""
    along: Tensor
    """<change, noise> / |noise|^2."""
    trusted: Tensor
    """The share of the change that the damping leaves."""


class AutoSolver:
    """The solver of the scheme `auto`."""

    def init(self, x: Tensor) -> AutoMemory | None:
        return None

    def step(
        self, x: Tensor, denoised: Tensor, step: Step, state: AutoMemory | None
    ) -> tuple[Tensor, AutoMemory, Figures | None]:
        here, target, weight, settings, memory = step.here, step.target, step.weight, step.settings, state
        noise = from_denoised("noise", x, denoised, here)
        if memory is None or not step.corrected:
            figures = Figures(noise, None if memory is None else memory.noise) if step.recorded else None
            moved = plain_step(x, denoised, here, target)
            return moved, AutoMemory(noise, inner(noise, noise, weight), here, noise), figures
        coefficients = schedule_gain(memory.level, here, step.end, step.rest)
        trusted = None
        if not settings.stochastic:  # fresh noise is no surprise that a better step would have spared
            x, noise, trusted = _redo(x, noise, memory, step, settings)
        bend, kept, damping = _foresee(noise, denoised, memory, coefficients, step, settings)
        figures = None
        if step.recorded:
            notes = ("no hindsight: the step before added noise",) if settings.stochastic else ()
            if coefficients.gain > MOST_GAIN:
                gain = f"the schedule asks for a gain of {coefficients.gain:.3g}; {MOST_GAIN:g} is the most"
                notes = (gain, *notes)
            figures = Figures(noise, memory.noise, noise + bend, (damping, 0.0), trusted, notes)
        ratio = target.alpha / here.alpha
        span = target.sigma - here.sigma * ratio
        moved = torch.add(x if ratio == 1 else x * ratio, noise, alpha=span).add_(bend, alpha=span)
        return moved, kept, figures


def _redo(
    state: Tensor, noise: Tensor, memory: AutoMemory, step: Step, settings: LMLSettings
) -> tuple[Tensor, Tensor, Tensor]:
    """The state, and the noise prediction there, had the step here known the prediction at its end; and the trust."""
    surprise = noise - memory.expected
    energy = nonzero(torch.minimum(inner(noise, noise, step.weight), memory.energy))
    trusted = _trusted(settings, energy, inner(surprise, surprise, step.weight)).mul_(_most(settings)).clamp_max_(1)
    if step.weight is not None:
        surprise = surprise * step.weight
    positions = surprise[0, 0].numel()
    wider = mean_width(positions) if step.cond_denoised is None else 0.0
    hindsight, share = hindsight_gain(memory.level, step.here, wider)
    state = torch.addcmul(state, trusted, surprise, value=-hindsight * share)
    noise = torch.addcmul(noise, trusted, surprise, value=share - 1)
    if memory.level.alpha == 0 and surprise.ndim > 2:
        common = _common(surprise, step.weight) * trusted
        mean = mean_hindsight(memory.level, step.here, positions)
        state = torch.add(state, common, alpha=hindsight * share - mean.hindsight * mean.share)
        noise = torch.add(noise, common, alpha=mean.share - share)
    return state, noise, trusted


def _common(surprise: Tensor, weight: Tensor | None) -> Tensor:
    """The mean of each sample and channel over all positions that are sampled, `[B, C, ...]`; 0 at the others."""
    axes = tuple(range(2, surprise.ndim))
    mean = surprise.mean(axes, keepdim=True)
    if weight is None:
        return mean
    sampled = weight.to(surprise.dtype).expand_as(surprise)
    return mean / nonzero(sampled.mean(axes, keepdim=True)) * sampled


def _foresee(
    noise: Tensor, denoised: Tensor, memory: AutoMemory, coefficients: ScheduleGain, step: Step, settings: LMLSettings
) -> tuple[Tensor, AutoMemory, Tensor]:
    """By how much the noise prediction will differ from `noise` on average over the next step; and what to remember.

    With it the damping, in units of |noise|^2.
    """
    weight, gain = step.weight, min(coefficients.gain, MOST_GAIN)
    bend = BendGain(0.0, 0.0)
    if memory.turn is not None:
        bend = bend_gain(memory.turn.before, memory.level, step.here, step.end, step.rest)
    bend_most = min(bend.bend, MOST_GAIN)
    seen = _measure(noise, memory, gain, bend_most, step, settings)
    most, outlook = _most(settings), coefficients.outlook
    sure = min(most, 1.0)  # what is known is not exaggerated
    kept = shrinkage(seen.energy, memory.energy, memory.level, step.here, step.end, step.rest)
    mean = noise * seen.trusted.mul(sure * (kept.mean - 1) - most * gain * seen.along)
    mean.addcmul_(seen.change, seen.trusted, value=most * gain)
    foreseen = noise * seen.trusted.mul(sure * (kept.end - 1) - most * outlook * seen.along).add_(1)
    foreseen.addcmul_(seen.change, seen.trusted, value=most * outlook)
    if step.cond_denoised is not None:
        # By how much the prediction differs without guidance, from the denoised states.
        release = (denoised - step.cond_denoised.to(denoised.dtype)).mul_(step.here.alpha / step.here.sigma)
        faded = (1 - seen.trusted).mul_(sure)
        mean.addcmul_(release, faded, value=decline(step.here, step.end))
        foreseen.addcmul_(release, faded)
    expected = foreseen
    if memory.turn is not None and not settings.stochastic:
        missed = _missed(noise, memory.turn, seen, step, settings)
        mean.add_(missed, alpha=bend_most)
        expected = torch.add(foreseen, missed, alpha=bend.outlook)
    if weight is not None:
        mean.mul_(weight)
    turn = Turn(seen.change, seen.length, memory.level, foreseen)
    damping = settings.damping / seen.trusted
    return mean, AutoMemory(noise, seen.energy, step.here, expected, turn), damping


def _missed(noise: Tensor, turn: Turn, seen: Measured, step: Step, settings: LMLSettings) -> Tensor:
    """What of the noise prediction the last foresight, its bend aside, has missed: the share to add, `[B, ...]`."""
    missed = noise - turn.foreseen
    trusted = _trusted(settings, seen.least, inner(missed, missed, step.weight)).mul_(seen.trusted)
    share = BEND_SHARE if step.cond_denoised is None else GUIDED_BEND_SHARE
    return missed.mul_(trusted.mul_(_most(settings) * share))


def _measure(
    noise: Tensor, memory: AutoMemory, gain: float, bend: float, step: Step, settings: LMLSettings
) -> Measured:
    """How the noise prediction changed, and how far a step that extrapolates it by `gain` may be trusted."""
    energy = nonzero(inner(noise, noise, step.weight))
    change = noise - memory.noise
    length = inner(change, change, step.weight)
    product = (energy - memory.energy).add_(length).mul_(0.5)  # <change, noise>, from |noise - change|^2
    along = product / energy
    # Predictions of noise keep their length or lose some; one that grows is off, whichever way it points.
    growth = (energy.sqrt() - memory.energy.sqrt()).clamp_min_(0).square_()
    deviation = torch.addcmul(length, product, along, value=-1).clamp_min_(0).add_(growth)
    least = nonzero(torch.minimum(energy, memory.energy))
    doubt, agreement = _doubt(change, length, memory, gain, bend, step)
    trusted = _trusted(settings, least, deviation.mul_(doubt)).mul_(agreement)
    return Measured(energy, least, change, length, along, trusted)


def _doubt(
    change: Tensor, length: Tensor, memory: AutoMemory, gain: float, bend: float, step: Step
) -> tuple[Tensor | float, Tensor | float]:
    """By how much a line may miss, squared, in units of the turn; and how far the path turns on as it turned.

    Where the line through the turn before has foreseen this one, less may be missed. The second is 1, falling to 0 as
    the path turns back: 1 + min(cosine, 0). Tensors are `[B, 1, ...]`.
    """
    reach = (gain * (1 + gain)) ** 2  # what a line misses grows as the next term does
    turn = memory.turn
    if turn is None:
        appears = memory.level.alpha == 0 and step.cond_denoised is None  # the picture, and the path does not bend
        return 0.0 if appears else reach, 1.0
    product, energy = inner(change, turn.change, step.weight), nonzero(turn.energy)
    outlook = schedule_gain(turn.before, memory.level, step.here).outlook
    missed = (length - product * (2 * outlook)).add_(energy, alpha=outlook**2).clamp_min_(0)
    doubt = missed.mul_(bend**2).div_(energy).clamp_max_(reach)
    return doubt, (product * nonzero(length * energy).rsqrt_()).clamp_(-1, 0).add_(1)


def _trusted(settings: LMLSettings, energy: Tensor, deviation: Tensor) -> Tensor:
    """The share that the damping leaves of a change, `[B, 1, ...]`: 1 / (1 + c deviation / energy)."""
    return energy / torch.add(energy, deviation, alpha=auto_sensitivity(settings))


def _most(settings: LMLSettings) -> float:
    """The share of what the schedule asks for that is taken where nothing is damped."""
    return settings.kappa
