"""How strongly one step is damped: the policies behind `LMLSettings.damping_mode`."""

from torch import Tensor

from .correction import nonzero
from .settings import LMLSettings

TURN_SENSITIVITY = 10.0
"""How much a turn of the path adds to the damping in the adaptive mode, in units of tan^2.

The path turns little without guidance, strongly in the first steps with it and on every last step (sigma to 0), where
extrapolating it does harm: there the correction all but ends.
"""

AUTO_SENSITIVITY = 25.0
"""The same for the scheme `auto`, whose gain is already right for each step of the schedule.

On exact denoisers the gain that was best in hindsight, in units of the one that the schedule asks for, depended on the
turn that the step would make with it: all of it for small turns, half of it near tan^2 = 0.02, hardly any above 0.3.
A line misses the more the further it reaches: on that turn the factor is 25 (1 + gain)^2, 56 for equal steps.
"""

MOST_DAMPING = 1e30
"""Above it the correction is nothing in float64 even, and float32 has no number for it soon."""


def relative_damping(settings: LMLSettings) -> tuple[float, float]:
    """The damping of one step in units of |u|^2, and what each unit of tan^2 adds to it.

    relative   lambda                        the same meaning at every size and for every model
    adaptive   lambda (1 + c tan^2)          damped more where the path bends: |u|^2 + c |w|^2 for |u|^2

    with lambda = damping / strength.
    """
    damping = min(settings.damping / settings.strength, MOST_DAMPING)
    if settings.damping_mode == "relative":
        return damping, 0.0
    return damping, damping * (AUTO_SENSITIVITY if settings.scheme == "auto" else TURN_SENSITIVITY)


def rotates_little(settings: LMLSettings) -> bool:
    """Whether the slope of the rotation stays below 10 all through a run: its turns may be measured by products."""
    strength = settings.strength * max((factor for _, factor in settings.strength_curve), default=1.0)
    return settings.damping_mode != "absolute" and settings.kappa * strength <= 5 * settings.damping


def any_damping(settings: LMLSettings, energy: Tensor) -> tuple[float | Tensor, float]:
    """The same for every mode; `energy` is |u|^2, `[B, 1, ...]`.

    absolute   lambda / |u|^2                the paper's lambda; |u|^2 grows with the size of the latent
    """
    damping, sensitivity = relative_damping(settings)
    return (damping / nonzero(energy), 0.0) if settings.damping_mode == "absolute" else (damping, sensitivity)
