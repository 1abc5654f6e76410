"""What a schedule says about a step: how far to extrapolate the noise prediction, and how to redo the step before.

Between two model calls the noise prediction is taken to change as it does on data of unit variance, which latents
have: eps(phi) = e0 + e1 sin(phi), phi = atan2(sigma, alpha) the angle of the noise level (pi/2: pure noise, 0: clean).
For such data everything below is exact. In VE scale (x / alpha, of which the noise prediction is the derivative by
tan(phi)), p, s and t being the angles before, here and next:

    gain        (sin s - mean of sin over [t, s]) / (sin p - sin s)     weight of eps_s - eps_p in the mean of the step
    outlook     (sin s - sin t) / (sin p - sin s)                       weight of eps_s - eps_p in eps at t
    hindsight   integral over [s, p] of (sin p - sin) / (sin p - sin s) d tan     what x at s is off, per error of eps
    share       1 / (1 + hindsight * d eps / d x)                       part of that error that is not a wrong x

The share asks how strongly eps answers to x, which is d eps / d x = tan / (tan^2 + w^2) for structure of width w. What
surprises without guidance is structure that the noise has just uncovered, so it is taken to be wider than the noise,
w^2 = 1 + tan^2: a scene is decided by coherent changes of many elements. But it is not wider than the mean of the
picture, so tan counts up to that. Guidance answers more strongly: w = 1.

The mean over the n positions of a picture spreads more widely than its details: as one coordinate it would have a
width w of sqrt(n) if all positions were one, and is taken to have a third of that. Pure noise tells nothing of it, so
the first step of a flow model decides it. There, at p = pi / 2, the mean is redone with that width, in its path and in
its answer: as above with tan / w for tan.

A step to the clean picture goes on, below the smallest level that the model knows, with what eps is there (`rest`).

With the call before p, at the angle q, the next term of the same series (Newton's, in sin):

    bend        mean of (sin s - sin) (sin p - sin) over [t, s] / ((sin p - sin s) (sin q - sin s))
    outlook     (sin s - sin t) (sin p - sin t) / ((sin p - sin s) (sin q - sin s))

are the weights of what eps at s is off from the line through its two predecessors.

Written with half angles, so that neighbouring angles do not cancel and pure noise is no special case.
"""

import math
from typing import NamedTuple

from .parametrization import Level

MEAN_SPREAD = 1 / 3
"""How far the mean of a picture spreads, in units of its single elements: a ninth of the variance is common to all."""


class ScheduleGain(NamedTuple):
    """Coefficients of one step, see the head of this module."""

    gain: float
    outlook: float


class Hindsight(NamedTuple):
    """How the step before is redone, see the head of this module."""

    hindsight: float
    """In the scale of the state x."""
    share: float


class BendGain(NamedTuple):
    """Coefficients of the next term, see the head of this module."""

    bend: float
    outlook: float


def angle(level: Level) -> float:
    """phi = atan2(sigma, alpha); above pure noise there is nothing more to lose."""
    return math.atan2(level.sigma, max(level.alpha, 0.0))


def schedule_gain(before: Level, here: Level, target: Level, rest: float = 0.0) -> ScheduleGain:
    """The coefficients of the step from `here` to `target` with the call before at `before`; `here.alpha` > 0.

    `rest` is the share of the step below `target`, on which the prediction is as at `target`.
    """
    p, s, t = angle(before), angle(here), angle(target)
    change = _rise(s, p)
    mean, outlook = math.cos(s) * math.tan((s - t) / 2) / change, _rise(t, s) / change
    return ScheduleGain(mean + rest * (outlook - mean), outlook)


def hindsight_gain(before: Level, here: Level, wider: float = 0.0) -> Hindsight:
    """How the step from `before` to `here` is redone; `here.alpha` > 0.

    What surprises is taken to have the width w^2 = 1 + min(tan, wider)^2.
    """
    p, s = angle(before), angle(here)
    sine, tilt = math.sin(s), math.sin((p - s) / 2) / math.cos((p + s) / 2)
    share = 1 / (1 + sine * tilt / (1 + min(sine, wider * math.cos(s)) ** 2))
    return Hindsight(math.hypot(here.sigma, here.alpha) * tilt, share)


def mean_width(positions: int) -> float:
    """The width of the mean over so many positions, never narrower than its details."""
    return max(1.0, MEAN_SPREAD * math.sqrt(positions))


def mean_hindsight(before: Level, here: Level, positions: int) -> Hindsight:
    """The same for the mean over so many positions."""
    width = mean_width(positions)
    # In units of its width the mean is data of unit variance, whose answer is that of w = 1.
    return hindsight_gain(Level(before.sigma, width * before.alpha), Level(here.sigma, width * here.alpha))


def bend_gain(earlier: Level, before: Level, here: Level, target: Level, rest: float = 0.0) -> BendGain:
    """The coefficients of the next term for the step from `here` to `target`; `earlier` is the call before `before`.

    `rest` as for `schedule_gain`.
    """
    q, p, s, t = angle(earlier), angle(before), angle(here), angle(target)
    step, cosine, sine = s - t, math.cos(s), math.sin(s)
    ahead, last, both = _rise(t, s), _rise(s, p), _rise(s, q)
    mean = cosine * math.tan(step / 2)  # of sin(s) - sin over [t, s]
    square = cosine * (cosine * _third(step) + sine * _twelfth(step))  # of its square
    bend, outlook = (square + last * mean) / (last * both), ahead * (last + ahead) / (last * both)
    return BendGain(bend + rest * (outlook - bend), outlook)


def _rise(low: float, high: float) -> float:
    """sin(high) - sin(low)."""
    return 2 * math.cos((high + low) / 2) * math.sin((high - low) / 2)


def _third(x: float) -> float:
    """1 - x cot(x) = x^2 / 3 + x^4 / 45 + ..."""
    return x**2 / 3 + x**4 / 45 if x < 1e-3 else 1 - x / math.tan(x)


def _twelfth(x: float) -> float:
    """2 tan(x / 2) - x = x^3 / 12 + x^5 / 120 + ..."""
    return x**3 / 12 + x**5 / 120 if x < 1e-2 else 2 * math.tan(x / 2) - x
