"""What a schedule says about a step: how far to extrapolate the noise prediction, and how to redo the step before.

Between two model calls the noise prediction is taken to change as it does on data of unit variance, which latents
have: eps(phi) = e0 + e1 sin(phi), phi = atan2(sigma, alpha) the angle of the noise level (pi/2: pure noise, 0: clean).
For such data everything below is exact. In VE scale (x / alpha, of which the noise prediction is the derivative by
tan(phi)), p, s and t being the angles before, here and next:

    gain        (sin s - mean of sin over [t, s]) / (sin p - sin s)     weight of eps_s - eps_p in the mean of the step
    outlook     (sin s - sin t) / (sin p - sin s)                       weight of eps_s - eps_p in eps at t
    hindsight   integral over [s, p] of (sin p - sin) / (sin p - sin s) d tan     what x at s is off, per error of eps
    share       1 / (1 + hindsight / tan(s) * d eps / d x)              part of that error that is not a wrong x

Written with half angles, so that neighbouring angles do not cancel and pure noise is no special case.
"""

import math
from typing import NamedTuple

from .parametrization import Level


class ScheduleGain(NamedTuple):
    """Coefficients of one step, see the head of this module."""

    gain: float
    outlook: float
    hindsight: float
    """In the scale of the state x."""
    share: float


def angle(level: Level) -> float:
    """phi = atan2(sigma, alpha)."""
    return math.atan2(level.sigma, level.alpha)


def schedule_gain(before: Level, here: Level, target: Level) -> ScheduleGain:
    """The coefficients of the step from `here` to `target` with the call before at `before`; `here.alpha` > 0."""
    p, s, t = angle(before), angle(here), angle(target)
    last, step = (p - s) / 2, s - t
    middle = math.cos((p + s) / 2)
    change = 2 * middle * math.sin(last)  # sin(p) - sin(s)
    tilt = math.sin(last) / middle
    return ScheduleGain(
        gain=math.cos(s) * math.tan(step / 2) / change,
        outlook=(math.sin(s) - math.sin(t)) / change,
        hindsight=math.hypot(here.sigma, here.alpha) * tilt,
        share=1 / (1 + math.sin(s) * tilt),
    )
