"""The scheme `auto`: one damped Levenberg-Marquardt step, trusted as far as the last forecast was right.

Glossary (per sample; s: this level, p: the call before, t: the next level)
    x, D        the state at s and the denoised prediction there
    e           the noise prediction (x - alpha D) / sigma
    P           the denoised prediction that was forecast for s when the step from p was taken
    r           D - P, what the forecast missed
    h           the length of a step in log(1 + alpha / sigma): as in half_log_snr, but pure noise is not infinitely far

A model of the path asks for a change v of the prediction, the plain scheme for none. The damped problem lies between:

    argmin_u |u - v|^2 + mu |u|^2  =  tau v,     tau = 1 / (1 + mu),     mu = 16 lambda |alpha r / sigma|^2 / |e|^2

so v is followed as far as the last forecast missed little beside the noise prediction. lambda = 0 trusts the model;
a large lambda leaves the plain step. kappa is the share of the result that is followed.

    hindsight   Had r been known, the step from p would have ended at

                    x + kappa tau / 2 (alpha_s - alpha_p sigma_s / sigma_p) r

                (the rule of the trapezoid). No call of the model is needed.

    foresight   The picture goes on changing as it changed, at most once more, and some of what was missed is missed
                again. With d = D - D before + 0.4 r, without its part along e,

                    D_t = D + tau reach d,     reach = min(1, h / h before) kept
                    kept = 1 - <D before - D, D before> / max(|D|^2, |D before|^2),  from 0 to 1

                and on average over the step kappa / 2 of that change. What shrank goes on shrinking by the same factor,
                not by the same amount: at pure noise guidance asks for far too much, and comes back so.

    length      |e| goes on as for data of width w: two calls tell it, and it counts as far as it was the same before.
                This change, too, is followed by kappa tau.

A step to sigma 0 ends at the smallest level that the model knows. After fresh noise r only damps.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ..correction import inner, nonzero
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
    forecast: Tensor
    """The next D as it was forecast, `[B, ...]`."""
    squared: Tensor
    """|sigma e|^2, `[B, 1, ...]`, not 0."""
    size: Tensor
    """|D|^2, `[B, 1, ...]`."""
    width: Tensor | None = None
    """w^2 in units of the size of the latent, `[B, 1, ...]`; None after a plain step."""


class Weights(NamedTuple):
    """The next state and the next D by how much they hold of sigma e and of d, each `[B, 1, ...]`, beside D itself."""

    own: Tensor
    other: Tensor
    own_ahead: Tensor
    other_ahead: Tensor


class Length(NamedTuple):
    """How |e| goes on, each `[B, 1, ...]`."""

    mean: Tensor
    """By how much it changes on average over the step, in units of the present one."""
    end: Tensor
    """The same at its end."""
    width: Tensor
    """For `AutoState`."""


class AutoSolver:
    """See the head of this module."""

    def init(self, x: Tensor) -> AutoState | None:
        return None

    def step(
        self, x: Tensor, denoised: Tensor, step: Step, state: AutoState | None
    ) -> tuple[Tensor, AutoState, Figures | None]:
        here, target, weight, settings = step.here, step.target, step.weight, step.settings
        noise = torch.sub(x, denoised, alpha=here.alpha)  # sigma e
        size = inner(denoised, denoised, weight)
        if state is None or not step.corrected:
            figures = Figures(noise / here.sigma, _previous(x, state, here)) if step.recorded else None
            squared = nonzero(inner(noise, noise, weight))
            return plain_step(x, denoised, here, target), AutoState(here, denoised, denoised, squared, size), figures

        missed = denoised - state.forecast
        trust = _trust(inner(missed, missed, weight), step, state)
        change = denoised - state.denoised
        if not settings.stochastic:  # fresh noise is nothing that a better step would have foreseen
            noise.addcmul_(_within(trust, weight), missed, value=settings.kappa * _hindsight(state.level, here))
            change.add_(missed, alpha=MISSED_AGAIN)
        left = inner(denoised, state.denoised, weight, missed)  # in the memory of what was missed
        del missed
        reach = _reach(left, size, state.size, _repetition(state.level, here, step.end))
        squared = nonzero(inner(noise, noise, weight))
        length = _forecast_length(squared, step, state)
        weights = _weigh(length, inner(change, noise, weight).div_(squared), trust, reach, step)
        ratio = target.sigma / here.sigma
        moved = denoised if target.alpha == 1 else denoised * target.alpha
        moved = torch.addcmul(moved, _within(weights.own, weight) + ratio, noise)
        moved.addcmul_(_within(weights.other, weight), change)
        forecast = denoised
        if target.sigma > 0:
            forecast = torch.addcmul(denoised, _within(weights.own_ahead, weight), noise)
            forecast.addcmul_(_within(weights.other_ahead, weight), change)
        figures = _figures(x, noise, moved, trust, step, state) if step.recorded else None
        return moved, AutoState(here, denoised, forecast, squared, size, length.width), figures


def _trust(missed: Tensor, step: Step, state: AutoState) -> Tensor:
    """tau, from |r|^2; |e| is the one of the step before."""
    settings, here, before = step.settings, step.here, state.level
    sensitivity = SENSITIVITY * settings.damping * (here.alpha * before.sigma / here.sigma) ** 2
    return state.squared / torch.add(state.squared, missed, alpha=min(sensitivity, MOST_DAMPING))


def _hindsight(before: Level, here: Level) -> float:
    """How far the state moves for what was missed."""
    return (here.alpha - before.alpha * here.sigma / before.sigma) / 2


def _weigh(length: Length, along: Tensor, trust: Tensor, reach: Tensor, step: Step) -> Weights:
    """What the step does; `along` is <d, sigma e> / |sigma e|^2."""
    here, target, kappa = step.here, step.target, step.settings.kappa
    ratio = target.sigma / here.sigma
    span = ratio - target.alpha / here.alpha
    followed = trust * reach
    own = torch.addcmul(length.mean, along, reach, value=here.alpha / 2).mul_(trust).mul_(kappa * span)
    other = followed * (-kappa * span * here.alpha / 2)
    own_ahead = (length.mean * (span / target.alpha)).sub_(length.end, alpha=ratio / target.alpha)
    own_ahead.addcmul_(along, reach, value=-1).mul_(trust)
    return Weights(own, other, own_ahead, followed)


def _forecast_length(squared: Tensor, step: Step, state: AutoState) -> Length:
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
    # w^2 t^2 / (t^2 + w^2), and w^2 itself in units of |e|^2, which is the size of the latent far above the data.
    shrunk = torch.sub(state.squared, squared, alpha=(before.sigma / here.sigma) ** 2).clamp_min_(0).div_(state.squared)
    width = (shrunk / squared).mul_((here.sigma * start) ** 2 / (1 - passed))
    if state.width is None:
        return Length(torch.zeros_like(width), torch.zeros_like(width), width)
    root = shrunk.mul_(_agreement(width, state.width)).mul_((start**2 - stop**2) / (1 - passed))
    root.add_(max(stop**2, torch.finfo(root.dtype).tiny)).sqrt_()
    change = stop - root
    mean = change / (root + start)
    last = change.div_(root)
    return Length(torch.lerp(mean, last, step.rest) if step.rest > 0 else mean, last, width)


def _agreement(first: Tensor, second: Tensor) -> Tensor:
    """1 where two widths are the same, less the more they differ."""
    return torch.minimum(first, second) / nonzero(torch.maximum(first, second))


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


def _reach(left: Tensor, size: Tensor, before: Tensor, repetition: float) -> Tensor:
    """`repetition` times how much of D before is left in D, from 0 to 1; `left` is <D, D before>.

    Where D before is too small beside D to tell, all of it is.
    """
    lost = torch.sub(before, left).div_(nonzero(torch.maximum(size, before))).clamp_(0, 1)
    return lost.mul_(-repetition).add_(repetition)


def _repetition(before: Level, here: Level, end: Level) -> float:
    """How often the last change is repeated by the end of the step, by their lengths."""
    return min(1.0, _step_length(here, end) / _step_length(before, here))


def _step_length(high: Level, low: Level) -> float:
    """h."""
    return _log_signal(low) - _log_signal(high)


def _log_signal(level: Level) -> float:
    return math.log1p(max(level.alpha, 0.0) / level.sigma) if level.sigma > 0 else math.inf


def _previous(x: Tensor, state: AutoState | None, here: Level) -> Tensor | None:
    """The noise prediction, had the picture not turned."""
    return None if state is None else torch.sub(x, state.denoised, alpha=here.alpha).div_(here.sigma)
