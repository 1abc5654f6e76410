"""How strongly one step is damped: the policies behind `LMLSettings.damping_mode`."""

from torch import Tensor

from .correction import MOST, Damping
from .settings import LMLSettings

TURN_SENSITIVITY = 10.0
"""How much a turn of the path adds to the damping in the adaptive mode, in units of lambda tan^2.

The path turns little without guidance, strongly in the first steps with it and on every last step (sigma to 0), where
extrapolating it does harm: there the correction all but ends.
"""

DOUBT_SENSITIVITY = 1000.0
"""How much a sampler that looks ahead itself adds to the damping around it. A multistep sampler adds half of the last
change of the prediction to it, which is a doubt of 1/4: the correction all but ends."""

LOOKING_AHEAD = DOUBT_SENSITIVITY / 4
"""How often lambda counts in a scheme of order 2 or 3, which adds half of the last change itself."""

MOST_DAMPING = 1e30
"""Above it the correction is 0 even in float64, and float32 soon has no number for it."""


def relative_damping(settings: LMLSettings) -> tuple[float, float]:
    """The damping of one step in units of |u|^2, and what each unit of tan^2 adds to it.

    relative   lambda + 1                    the same meaning at every size and for every model
    adaptive   lambda (1 + c tan^2) + 1      damped more where the path bends

    A scheme of order 2 or 3 looks ahead itself: lambda counts 250 times.

    The 1 bounds the gain: kappa / (lambda + 1) for small turns, as long as u is not shorter than p, so lambda = 0 takes
    the whole last turn once more, and no further.
    """
    damping = min(settings.damping * (LOOKING_AHEAD if settings.order > 1 else 1.0), MOST_DAMPING)
    return damping + 1, 0.0 if settings.damping_mode == "relative" else damping * TURN_SENSITIVITY


def rotates_little(settings: LMLSettings) -> bool:
    """Whether the slope of the rotation stays bounded all through a run: its turns may be measured by products."""
    return settings.damping_mode != "absolute"


def any_damping(settings: LMLSettings, energy: Tensor) -> Damping:
    """The same for every mode; `energy` is |u|^2, not 0, `[B, 1, ...]`.

    absolute   lambda / |u|^2                the paper's lambda; |u|^2 grows with the size of the latent
    """
    if settings.damping_mode == "absolute":
        return settings.damping / energy, 0.0
    return relative_damping(settings)


def doubted(damping: Damping, settings: LMLSettings, doubt: Tensor) -> Damping:
    """The damping around a sampler that may look ahead itself; `doubt` 0 or more, `[B, 1, ...]`."""
    relative, sensitivity = damping
    most = min(settings.damping * DOUBT_SENSITIVITY, MOST)
    return (doubt * most).clamp_(max=MOST) + relative, sensitivity
