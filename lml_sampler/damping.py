"""How strongly one step is damped: the policies behind `LMLSettings.damping_mode`."""

from torch import Tensor

from .correction import Turn, nonzero
from .settings import LMLSettings

TURN_SENSITIVITY = 10.0
"""How much a turn of the path adds to the damping in the adaptive mode, in units of tan^2.

The path turns little without guidance, strongly in the first steps with it and on every last step (sigma to 0), where
extrapolating it does harm: there the correction all but ends.
"""


def relative_damping(settings: LMLSettings, turn: Turn) -> float | Tensor:
    """The damping of one step in units of |u|^2, a number or `[B, 1, ...]`.

    absolute   lambda / |u|^2                the paper's lambda; |u|^2 grows with the size of the latent
    relative   lambda                        the same meaning at every size and for every model
    adaptive   lambda (1 + 10 tan^2)         damped more where the path bends: |u|^2 + 10 |w|^2 for |u|^2

    with lambda = damping / strength.
    """
    damping = settings.damping / settings.strength
    if settings.damping_mode == "absolute":
        return damping / nonzero(turn.energy)
    if settings.damping_mode == "relative":
        return damping
    return damping * (1 + TURN_SENSITIVITY * turn.tangent_squared)
