"""The scheme `auto`: one damped Levenberg-Marquardt step, trusted as far as the last forecast was right.

Glossary (per sample; s: this level, p: the call before, t: the next level)
    x, D        the state at s and the denoised prediction there
    e           the noise prediction (x - alpha D) / sigma
    P           the denoised prediction that was forecast for s when the step from p was taken; it is never in memory
    r           D - P, what the forecast missed
    h           the length of a step in log(1 + alpha / sigma): as in half_log_snr, but pure noise is not infinitely far

A model of the path asks for a change v of the prediction, the plain scheme for none. The damped problem lies between:

    argmin_u |u - v|^2 + mu |u|^2  =  tau v,    tau = 1 / (1 + mu),    mu = 16 lambda |alpha r / sigma|^2 / |e before|^2

so v is followed as far as the last forecast missed little beside the noise prediction. lambda = 0 trusts the model;
a large lambda leaves the plain step. kappa is the share of the result that is followed.

    hindsight   Had r been known, the step from p would have ended at

                    x + kappa tau / 2 (alpha_s - alpha_p sigma_s / sigma_p) r

                (the rule of the trapezoid). No call of the model is needed.

    foresight   The picture goes on changing as it changed, at most once more, and some of what was missed is missed
                again. With d = D - D before + 0.4 r, without its part along e,

                    D_t = D + tau reach d,     reach = min(1, h / h before) kept
                    kept = 1 - lost,  lost = <D before - D, D before> / max(|D|^2, |D before|^2),  from 0 to 1

                and on average over the step kappa / 2 of that change. What shrank goes on shrinking by the same factor,
                not by the same amount: at pure noise guidance asks for far too much, and comes back so. A D before that
                is small beside D, as at pure noise for data of mean 0, tells nothing.

    length      |e| goes on as for data of width w: two calls tell it, and it counts as far as it was the same before.
                This change, too, is followed by kappa tau.

A step to sigma 0 ends at the smallest level that the model knows. After fresh noise r only damps.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ..correction import MOST, inner, nonzero, squared_length
from ..damping import MOST_DAMPING
from ..parametrization import Level
from ..step import Figures, Step, plain_step

SENSITIVITY = 16.0
"""How much what was missed damps at lambda 1; from 8 to 25 little changes."""

MISSED_AGAIN = 0.4
"""How much of what was missed is added to the next change. From 0.3 to 0.5 little changes; 1, all of the second
difference, is far worse on networks."""


class AutoState(NamedTuple):
    """What one step hands to the next."""

    level: Level
    denoised: Tensor
    """D, `[B, ...]`."""
    noise: Tensor
    """sigma e, `[B, ...]`. The next step writes over it, over `change` and over `scratch`."""
    change: Tensor
    """d, `[B, ...]`."""
    own: Tensor
    """The next D was forecast as D + units[0] own sigma e + units[1] repeated d; `[B, 1, ...]`, where it is sampled."""
    repeated: Tensor
    units: tuple[float, float]
    scratch: Tensor
    """Memory, `[B, ...]`."""
    squared: Tensor
    """|sigma e|^2, `[B, 1, ...]`, not 0."""
    size: Tensor
    """|D|^2, `[B, 1, ...]`, not 0."""
    width: Tensor
    """w^2 in units of the size of the latent, `[B, 1, ...]`; 0 after a plain step."""


class Length(NamedTuple):
    """How |e| goes on, each `[B, 1, ...]`; tau of it is followed."""

    shortened: Tensor
    """tau times by how much e is shorter than now on average over the step, in units of its length."""
    ahead: Tensor
    """tau times how D changes by the end of the step for that, in units of sigma e / alpha."""
    width: Tensor
    """For `AutoState`."""


class AutoSolver:
    """See the head of this module."""

    def init(self, x: Tensor) -> AutoState | None:
        return None

    def step(
        self, x: Tensor, denoised: Tensor, step: Step, state: AutoState | None
    ) -> tuple[Tensor, AutoState, Figures | None]:
        if state is None or not step.corrected:
            return _uncorrected_step(x, denoised, step, state)
        here, target, weight, settings = step.here, step.target, step.weight, step.settings
        change = torch.sub(denoised, state.denoised, out=state.scratch)
        size = nonzero(squared_length(denoised, weight))
        lost_twice = _lost(squared_length(change, weight), size, state.size)
        of_noise, of_change = state.units
        repeated = _within(state.repeated, weight)
        missed = torch.addcmul(change, repeated, state.change, value=-of_change, out=state.change)
        missed.addcmul_(_within(state.own, weight), state.noise, value=-of_noise)
        trust = _trust(squared_length(missed, weight), step, state)
        noise = torch.sub(x, denoised, alpha=here.alpha, out=state.noise)  # sigma e
        if not settings.stochastic:  # fresh noise is nothing that a better step would have foreseen
            noise.addcmul_(_within(trust, weight), missed, value=settings.kappa * _hindsight(state.level, here))
            change.add_(missed, alpha=MISSED_AGAIN)
        scratch = missed  # not needed any more
        squared = nonzero(squared_length(noise, weight, scratch))
        along = inner(change, noise, weight, scratch).div_(squared)
        length = _forecast_length(squared, trust, step, state)
        followed = torch.addcmul(trust, trust, lost_twice, value=-0.5)
        turned = along.mul_(followed)  # the length has that part of d already

        ratio, repetition = target.sigma / here.sigma, _repetition(state.level, here, step.end)
        span, turn = settings.kappa * (ratio - target.alpha / here.alpha), repetition * here.alpha
        own = _within(torch.sub(length.shortened, turned, alpha=turn / 2), weight)
        base = denoised if target.alpha == 1 else torch.mul(denoised, target.alpha, out=scratch)
        moved = torch.addcmul(base, torch.rsub(own, ratio, alpha=span), noise)
        moved.addcmul_(_within(followed, weight), change, value=-span * turn / 2)
        figures = _figures(x, noise, moved, trust, step, state) if step.recorded else None

        own, units = length.ahead.sub_(turned, alpha=turn), (1 / here.alpha, repetition)
        after = AutoState(here, denoised, noise, change, own, followed, units, scratch, squared, size, length.width)
        return moved, after, figures


def _uncorrected_step(
    x: Tensor, denoised: Tensor, step: Step, state: AutoState | None
) -> tuple[Tensor, AutoState, Figures | None]:
    """The first step of a run, or one that is not to be corrected; nothing is forecast."""
    here = step.here
    noise = torch.sub(x, denoised, alpha=here.alpha)
    squared, size = (nonzero(squared_length(vector, step.weight)) for vector in (noise, denoised))
    figures = Figures(noise / here.sigma, _previous(x, state, here)) if step.recorded else None
    nothing = torch.zeros_like(size)
    change, scratch = torch.zeros_like(noise), torch.empty_like(noise)
    after = AutoState(here, denoised, noise, change, nothing, nothing, (0.0, 0.0), scratch, squared, size, nothing)
    return plain_step(x, denoised, here, step.target), after, figures


def _trust(missed: Tensor, step: Step, state: AutoState) -> Tensor:
    """tau, from |r|^2; |e| is the one of the step before."""
    settings, here, before = step.settings, step.here, state.level
    sensitivity = SENSITIVITY * settings.damping * (here.alpha * before.sigma / here.sigma) ** 2
    return state.squared / torch.add(state.squared, missed, alpha=min(sensitivity, MOST_DAMPING))


def _hindsight(before: Level, here: Level) -> float:
    """How far the state moves for what was missed."""
    return (here.alpha - before.alpha * here.sigma / before.sigma) / 2


def _lost(changed: Tensor, size: Tensor, before: Tensor) -> Tensor:
    """Twice the share of D before that is lost, from 0 to 2; `changed` is |D - D before|^2, `size` |D|^2.

    <D before - D, D before> = (|D - D before|^2 + |D before|^2 - |D|^2) / 2
    """
    return changed.add_(before).sub_(size).div_(torch.maximum(size, before)).clamp_(0, 2)


def _forecast_length(squared: Tensor, trust: Tensor, step: Step, state: AutoState) -> Length:
    """How |e| goes on.

        |e|^2 = t^2 / (t^2 + w^2),  t = sigma / alpha

    for Gaussian data of width w, so two calls tell w. Far above the data a network's own errors look like width, and
    where guidance ends e shrinks for another reason. So w^2 counts as far as it was the same before: by the ratio of
    the two. A prediction that did not shrink keeps its length, and so does one below the smallest level that the model
    knows.
    """
    here, end, before = step.here, step.end, state.level
    start, stop = here.sigma / here.alpha, end.sigma / end.alpha
    passed = (start * max(before.alpha, 0.0) / before.sigma) ** 2
    # w^2 / (t^2 + w^2), and w^2 itself in units of |e|^2, which is the size of the latent far above the data.
    higher = min(before.sigma / here.sigma, MOST)
    shrunk = torch.sub(state.squared, squared, alpha=higher**2).clamp_min_(0).div_(state.squared)
    number = torch.finfo(squared.dtype)
    width = (shrunk / squared).mul_((here.sigma * start) ** 2 / (1 - passed)).clamp_(number.tiny, number.max)
    # From here on t is in the unit in which t^2 + w^2 falls by `shrunk`; not 0 either at the smallest level itself.
    unit = max(math.sqrt((start**2 - stop**2) / (1 - passed)), start / MOST)
    start, stop = start / unit, stop / unit
    rest = shrunk.mul_(_agreement(width, state.width))
    root = (rest + max(stop**2, number.tiny)).sqrt_()  # stop, were e as long there as here
    shorter = rest.mul_(trust).div_(root + start)
    ahead = shorter / root
    if step.rest > 0:
        shorter.add_(ahead, alpha=step.rest * start)
    return Length(shorter.div_(root + stop), ahead, width)


def _agreement(first: Tensor, second: Tensor) -> Tensor:
    """1 where two widths are the same, less the more they differ; not both are 0."""
    return torch.minimum(first, second) / torch.maximum(first, second)


def _figures(x: Tensor, noise: Tensor, moved: Tensor, trust: Tensor, step: Step, state: AutoState) -> Figures:
    """What a recorded step shows."""
    here, target = step.here, step.target
    stochastic = step.settings.stochastic
    notes = ("no hindsight: the step before added noise",) if stochastic else ()
    signal = target.alpha / here.alpha
    corrected = (moved - x * signal) / (target.sigma - signal * here.sigma)
    previous = _previous(x, state, here)
    damping = (1 / nonzero(trust) - 1, 0.0)
    return Figures(noise / here.sigma, previous, corrected, damping, None if stochastic else trust, notes)


def _within(share: Tensor, weight: Tensor | None) -> Tensor:
    """A share of each sample, where it is sampled."""
    return share if weight is None else share * weight


def _repetition(before: Level, here: Level, end: Level) -> float:
    """How often the last change is repeated by the end of the step, by their lengths."""
    first, second, third = map(_log_signal, (before, here, end))
    return min(1.0, (third - second) / (second - first))


def _log_signal(level: Level) -> float:
    """log(1 + alpha / sigma); h is how much it rises."""
    return math.log1p(max(level.alpha, 0.0) / level.sigma) if level.sigma > 0 else math.inf


def _previous(x: Tensor, state: AutoState | None, here: Level) -> Tensor | None:
    """The noise prediction, had the picture not turned."""
    return None if state is None else torch.sub(x, state.denoised, alpha=here.alpha).div_(here.sigma)
