"""LML to first order, whatever the scheme, in as few passes over the latent as a plain solver of second order takes.

All first-order schemes are one, and the corrected direction is a combination of the last two predictions; so the next
state is one of three tensors, and neither the direction nor another form of the prediction is ever written to memory.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from ..correction import Damping, inner, measure_turn, rotation
from ..damping import relative_damping, rotates_little
from ..settings import LMLSettings
from ..step import Figures, Step, plain_step


class FirstOrderMemory(NamedTuple):
    """What one step hands to the next."""

    previous: Tensor
    """The last prediction times its sigma, not corrected, `[B, ...]`."""
    energy: Tensor
    """Its squared length, `[B, 1, ...]`."""
    sigma: float


def suits_first_order(settings: LMLSettings, weight: Tensor | None) -> bool:
    """Whether `FirstOrderSolver` can take the steps of a run; `MultistepSolver` knows the general form of all."""
    plain_target = settings.target in ("score", "velocity")
    return settings.order == 1 and plain_target and weight is None and rotates_little(settings)


class FirstOrderSolver:
    """All first-order schemes in one form.

    x_t = ratio x + gain v    v the corrected noise prediction (ratio = alpha_t / alpha_s) or velocity (ratio = 1),
                              both times sigma_s, which spares a division of the whole latent
    """

    def init(self, x: Tensor) -> FirstOrderMemory | None:
        return None

    def step(
        self, x: Tensor, denoised: Tensor, step: Step, state: FirstOrderMemory | None
    ) -> tuple[Tensor, FirstOrderMemory, Figures | None]:
        here, target, settings = step.here, step.target, step.settings
        of_noise = settings.target == "score"
        vector = torch.sub(x, denoised, alpha=here.alpha if of_noise else 1.0)
        if state is None or not step.corrected:
            figures = None
            if step.recorded:
                figures = Figures(vector / here.sigma, None if state is None else state.previous / state.sigma)
            memory = FirstOrderMemory(vector, inner(vector, vector), here.sigma)
            return plain_step(x, denoised, here, target), memory, figures
        turn = measure_turn(vector, state.previous, previous_energy=state.energy)
        damping = relative_damping(settings)
        own, other = rotation(turn, *_rescaled(*damping, settings.kappa, here.sigma / state.sigma))
        figures = None
        if step.recorded:
            corrected = (own * vector - other * state.previous) / here.sigma
            figures = Figures(vector / here.sigma, state.previous / state.sigma, corrected, damping)
        ratio = target.alpha / here.alpha if of_noise else 1.0
        gain = target.sigma / here.sigma - ratio
        moved = torch.addcmul(x if ratio == 1 else x * ratio, own, vector, value=gain)
        moved.addcmul_(other, state.previous, value=-gain)
        return moved, FirstOrderMemory(vector, turn.energy, here.sigma), figures


def _rescaled(relative: float | Tensor, sensitivity: float, kappa: float, ratio: float) -> tuple[Damping, float]:
    """What `rotation` takes for p = ratio p', where the turn is that of p': damping and kappa.

    q = (1 - kappa) u + kappa ratio p' = mixed ((1 - k) u + k p'),   mixed = 1 - kappa + kappa ratio
    """
    mixed = 1 - kappa + kappa * ratio
    return (relative / mixed**2, sensitivity * (ratio / mixed) ** 2), kappa * ratio / mixed
