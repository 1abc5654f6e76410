"""What takes the steps of a run; which one is chosen once, before the first."""

from torch import Tensor

from ..settings import LMLSettings
from ..step import Solver
from .auto import AutoSolver
from .first_order import FirstOrderSolver, suits_first_order
from .multistep import MultistepSolver
from .released import ReleasedSolver


def choose_solver(settings: LMLSettings, weight: Tensor | None) -> Solver:
    """The solver of a run with these settings; `weight` as in `Step`."""
    if settings.neutral:
        return MultistepSolver(settings)
    if settings.scheme == "auto":
        return AutoSolver()
    if settings.arithmetic != "exact":
        return ReleasedSolver(settings)
    return FirstOrderSolver() if suits_first_order(settings, weight) else MultistepSolver(settings)
