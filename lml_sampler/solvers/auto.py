"""The scheme `auto`: one damped Levenberg-Marquardt step in foresight, and one in hindsight.

Glossary (per sample; half_log_snr = log(alpha / sigma); s: this level, p: the call before, t: the next level)
    x, D        the state at s and the denoised prediction there
    e           the noise prediction (x - alpha D) / sigma
    d           D minus the one before, without its part along e: how the picture turned
    P           the denoised prediction that was forecast for s when the step from p was taken
    h           the length of a step in half_log_snr, at most 3 (pure noise is infinitely far)

Both steps solve the same problem. A model of the path asks for a change v of the prediction, the plain scheme for none:

    argmin_u |u - v|^2 + mu |u|^2  =  v / (1 + mu),      mu = lambda (25 |alpha v / sigma|^2 / |e|^2 + doubt)

so a change is followed as far as it is small beside the noise prediction: where the path turns more, a line through
two points says less. lambda = 0 trusts the model; a large lambda leaves the plain step.

    hindsight   r = D - P is what the forecast missed. Had it been known, the step from p would have ended at

                    x + kappa b (alpha_s - alpha_p sigma_s / sigma_p) r / (1 + mu(r)),   b = 1 / (1 - exp(-h)) - 1 / h

                (D linear in half_log_snr on that step). D follows x as for data of unit width,
                dD/dx = alpha / (alpha^2 + sigma^2). No model call is needed; UniPC and SA-Solver correct so as well.
                doubt = 0.

    foresight   the picture goes on turning as it turned, at most once more:

                    D_t = D + kappa d reach / (1 + mu(d)),     reach = min(1, h / h before)

                and half of it on average over the step. doubt = |r|^2 / (4 |D - D before|^2): how much of the last
                change no forecast knew.

    length      |e| goes on as for data of one width w: 1 / |e|^2 is linear in 1 / sigma^2, and two calls tell w.
                It is followed as far as the two above are, and less where it missed the last length of e.

A step to sigma 0 ends at the smallest level that the model knows. kappa is the share of all that is followed.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ..correction import nonzero
from ..damping import MOST_DAMPING
from ..parametrization import Level
from ..settings import LMLSettings
from ..step import Figures, Step, plain_step

SENSITIVITY = 25.0
"""How much a change is damped at lambda 1. Of the exact next change of a path half was right where |alpha v / sigma|^2
was near 0.02 |e|^2, hardly any above 0.3 |e|^2, with guidance and without; from 12 to 50 little changes."""

UNKNOWN = 0.25
"""How much the turn is damped at lambda 1 where nothing of the last change was forecast. Far above the width of the
data |e|^2 does not show that a network is wrong; this does."""

LENGTH_SENSITIVITY = 100.0
"""How much the length is damped at lambda 1, in units of the squared error of its last forecast."""

LONGEST_STEP = 3.0
"""In half_log_snr. A longer step counts as this long; from 1 to 6 little changes."""


class AutoState(NamedTuple):
    """What one step hands to the next."""

    level: Level
    denoised: Tensor
    """D in hindsight, `[B, ...]`."""
    forecast: Tensor
    """The next D as it was forecast, `[B, ...]`."""
    energy: Tensor
    """|e|^2, `[B, 1, ...]`, not 0."""
    length: Tensor | None = None
    """The next |e| as it was forecast, in units of this one, `[B, 1, ...]`; None after a plain step."""


class Hindsight(NamedTuple):
    """The step before, done again."""

    x: Tensor
    denoised: Tensor
    trust: Tensor
    """1 / (1 + mu), `[B, 1, ...]`."""
    missed: Tensor
    """|r|^2, `[B, 1, ...]`."""


class AutoSolver:
    """See the head of this module."""

    def init(self, x: Tensor) -> AutoState | None:
        return None

    def step(
        self, x: Tensor, denoised: Tensor, step: Step, state: AutoState | None
    ) -> tuple[Tensor, AutoState, Figures | None]:
        here, target, weight, settings = step.here, step.target, step.weight, step.settings
        if state is None or not step.corrected:
            noise = torch.sub(x, denoised, alpha=here.alpha)
            energy = nonzero(dot(noise, noise, weight) / here.sigma**2)
            figures = Figures(noise / here.sigma, _previous(x, state, here)) if step.recorded else None
            return plain_step(x, denoised, here, target), AutoState(here, denoised, denoised, energy), figures

        start, followed, missed = x, None, None
        if not settings.stochastic:  # fresh noise is nothing that a better step would have foreseen
            x, denoised, followed, missed = _hindsight(x, denoised, step, state)
        noise = torch.sub(x, denoised, alpha=here.alpha)  # sigma e
        del x
        change = denoised - state.denoised
        seen = _measure(noise, change, missed, step, state)
        kept = _forecast_length(seen, followed, step, state)

        kappa, ratio = settings.kappa, target.sigma / here.sigma
        turn = seen.trust * _reach(state.level, here, step.end)
        half = turn * (kappa / 2 * (target.alpha - here.alpha * ratio))
        span = ratio - target.alpha / here.alpha
        along = kept.mean * (kappa * span) - half * seen.along
        if weight is not None:
            half, along, turn, kept = half * weight, along * weight, turn * weight, kept.times(weight)
        moved = denoised if target.alpha == 1 else denoised * target.alpha
        moved = torch.addcmul(moved, along + ratio, noise).addcmul_(half, change)
        forecast = denoised
        if target.sigma > 0:
            lost = (kept.mean * span - kept.end * ratio) / target.alpha
            forecast = torch.addcmul(denoised, turn, change).addcmul_(lost - turn * seen.along, noise)
        figures = None
        if step.recorded:
            notes = ("no hindsight: the step before added noise",) if settings.stochastic else ()
            corrected = (moved - start * (target.alpha / here.alpha)) / (span * here.sigma)
            damping = (0.0, SENSITIVITY * settings.damping)
            figures = Figures(noise / here.sigma, _previous(start, state, here), corrected, damping, followed, notes)
        return moved, AutoState(here, denoised, forecast, seen.energy, kept.length), figures


class Seen(NamedTuple):
    """How the prediction changed; each `[B, 1, ...]`."""

    energy: Tensor
    """|e|^2, not 0."""
    along: Tensor
    """<D - D before, sigma e> / |sigma e|^2."""
    trust: Tensor
    """1 / (1 + mu(d))."""


class Length(NamedTuple):
    """How the length of e goes on; each `[B, 1, ...]`."""

    mean: Tensor
    """By how much it changes on average over the step, in units of the present one, damped."""
    end: Tensor
    """The same at the end of the step."""
    length: Tensor
    """The length at the end, not damped."""

    def times(self, weight: Tensor) -> "Length":
        return Length(self.mean * weight, self.end * weight, self.length)


def _hindsight(x: Tensor, denoised: Tensor, step: Step, state: AutoState) -> Hindsight:
    """The state and the prediction, had the step here known the prediction at its end."""
    here, before, settings = step.here, state.level, step.settings
    h = _step_length(before, here)
    mean = -1 / math.expm1(-h) - 1 / h
    surprise = denoised - state.forecast
    if step.weight is not None:
        surprise.mul_(step.weight)
    missed = dot(surprise, surprise)
    trust = _trust(settings, SENSITIVITY * (here.alpha / here.sigma) ** 2, missed, state.energy)
    shift = mean * (here.alpha - before.alpha * here.sigma / before.sigma)
    answer = here.alpha / (here.alpha**2 + here.sigma**2)
    followed = trust * settings.kappa
    x = torch.addcmul(x, followed, surprise, value=shift)
    return Hindsight(x, torch.addcmul(denoised, followed, surprise, value=shift * answer), trust, missed)


def _measure(noise: Tensor, change: Tensor, missed: Tensor | None, step: Step, state: AutoState) -> Seen:
    """How the prediction changed, and how far that is followed; `noise` is sigma e."""
    here, settings = step.here, step.settings
    squared = nonzero(dot(noise, noise, step.weight))
    along = dot(change, noise, step.weight) / squared
    length = dot(change, change, step.weight)
    turned = (length - along * along * squared).clamp_min_(0)
    trust = _trust(settings, SENSITIVITY * here.alpha**2, turned, squared)
    if missed is not None:
        # 1 / (1 / a + 1 / b - 1): the two dampings add up.
        trust = 1 / (1 / nonzero(trust) + 1 / nonzero(_trust(settings, UNKNOWN, missed, nonzero(length))) - 1)
    return Seen(nonzero(squared / here.sigma**2), along, trust)


def _forecast_length(seen: Seen, followed: Tensor | None, step: Step, state: AutoState) -> Length:
    """How |e| goes on, as far as that is followed.

        |e|^2 = tau^2 / (tau^2 + w^2),  tau = sigma / alpha

    is exact for Gaussian data of any width w. A prediction that did not shrink is taken to keep its length, and so is
    one below the smallest level that the model knows.
    """
    here, end, before = step.here, step.end, state.level
    start, stop = here.sigma / here.alpha, end.sigma / end.alpha
    passed = (start * max(before.alpha, 0.0) / before.sigma) ** 2
    shrunk = seen.energy / state.energy
    squared_width = (1 - shrunk).clamp_min_(0).mul_(start**2 / (1 - passed))
    root = squared_width.mul_(1 - (stop / start) ** 2).add_(stop**2).sqrt_()
    mean, last = (start + stop) / (start + root), stop / nonzero(root)
    trust = seen.trust if followed is None else seen.trust * followed
    if state.length is not None:
        error = (shrunk.sqrt_() - state.length).square_()
        trust = trust * _trust(step.settings, LENGTH_SENSITIVITY, error, torch.ones_like(error))
    return Length((mean - 1 + step.rest * (last - mean)) * trust, (last - 1) * trust, last)


def _trust(settings: LMLSettings, sensitivity: float, change: Tensor, energy: Tensor) -> Tensor:
    """1 / (1 + lambda sensitivity change / energy): the share of a change that is followed; all squared lengths."""
    return energy / torch.add(energy, change, alpha=min(sensitivity * settings.damping, MOST_DAMPING))


def dot(first: Tensor, second: Tensor, weight: Tensor | None = None) -> Tensor:
    """<first, second> per sample, `[B, 1, ...]`, in one pass over the latent."""
    if weight is not None:
        first = first * weight
    products = torch.linalg.vecdot(first.flatten(1), second.flatten(1))
    return products.view(-1, *[1] * (first.ndim - 1))


def _reach(before: Level, here: Level, end: Level) -> float:
    """How often the last change is repeated by the end of the step."""
    return min(1.0, _step_length(here, end) / _step_length(before, here))


def _step_length(high: Level, low: Level) -> float:
    """h, from 0 to the longest."""
    return min(max(low.half_log_snr - high.half_log_snr, 0.0), LONGEST_STEP) if low != high else 0.0


def _previous(x: Tensor, state: AutoState | None, here: Level) -> Tensor | None:
    """The noise prediction, had the picture not turned."""
    return None if state is None else torch.sub(x, state.denoised, alpha=here.alpha).div_(here.sigma)
