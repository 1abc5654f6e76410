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
"""How much a solver that looks ahead itself adds to the damping, in units of lambda doubt."""

HALF_A_CHANGE = 0.25
"""The doubt where half of the last change of the prediction is added to it, as in a multistep scheme of order 2 or 3:
the correction all but ends."""

MOST_DAMPING = 1e30
"""Above it the correction is 0 even in float64, and float32 soon has no number for it."""


def relative_damping(settings: LMLSettings, doubt: float | Tensor = 0.0) -> Damping:
    """The damping of one step in units of |u|^2, and what each unit of tan^2 adds to it.

    relative   lambda (1 + 1000 doubt) + 1               the same meaning at every size and for every model
    adaptive   lambda (1 + 1000 doubt + 10 tan^2) + 1    damped more where the path bends

    The 1 bounds the gain: kappa / (lambda + 1) for small turns, as long as u is not shorter than p, so lambda = 0 takes
    the whole last turn once more, and no further.

    Args:
        settings: a scheme of order 2 or 3 looks ahead itself and has a doubt of 1/4.
        doubt: of the solver around which the correction is put: the square of what it adds to the last prediction, in
            units of the square of the last change. 0 or more, a number or `[B, 1, ...]`.
    """
    damping = min(settings.damping, MOST_DAMPING)
    sensitivity = 0.0 if settings.damping_mode == "relative" else damping * TURN_SENSITIVITY
    return damping + 1 + _doubted(settings, HALF_A_CHANGE if settings.order > 1 else doubt), sensitivity


def any_damping(settings: LMLSettings, energy: Tensor, doubt: float | Tensor = 0.0) -> Damping:
    """The same for every mode; `energy` is |u|^2, not 0, `[B, 1, ...]`.

    absolute   lambda (1 / |u|^2 + 1000 doubt)           the paper's lambda; |u|^2 grows with the size of the latent
    """
    if settings.damping_mode == "absolute":
        return settings.damping / energy + _doubted(settings, doubt), 0.0
    return relative_damping(settings, doubt)


def rotates_little(settings: LMLSettings) -> bool:
    """Whether the slope of the rotation stays bounded all through a run: its turns may be measured by products."""
    return settings.damping_mode != "absolute"


def _doubted(settings: LMLSettings, doubt: float | Tensor) -> float | Tensor:
    """lambda 1000 doubt."""
    added = doubt * min(settings.damping * DOUBT_SENSITIVITY, MOST)
    return added.clamp_(max=MOST) if isinstance(added, Tensor) else added
