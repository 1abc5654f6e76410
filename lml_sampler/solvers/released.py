"""The published formula, written out as the released code evaluates it, in float32: to see what that does.

Its difference of two nearly equal vectors is below the rounding error for the published settings, so the result is
mostly noise of full length; see `correction` for the exact form. Nothing else uses this module.
"""

from torch import Tensor

from ..step import Step
from .multistep import Corrected, Memory, MultistepSolver


class ReleasedSolver(MultistepSolver):
    """Every scheme, corrected as the released code does it; it knows no masks."""

    def _correct(self, vector: Tensor, state: Memory, step: Step) -> Corrected:
        if state.previous is None or not step.corrected:
            return Corrected(None)
        settings = step.settings
        return Corrected(correct_released(vector, state.previous, settings.damping, settings.kappa))


def correct_released(step: Tensor, previous: Tensor, damping: float, kappa: float) -> Tensor:
    """v = (u - q <q, u> / (damping + <q, q>)) scaled to |u|, q = (1 - kappa) u + kappa p, all in float32.

    NaN where the difference underflows, and not the identity for `kappa = 0`: both as released.

    Args:
        step: u, `[B, ...]`.
        previous: p, `[B, ...]`.
        damping: lambda, absolute.
        kappa: kappa.

    Returns:
        `[B, ...]` in the dtype of `step`.

    Source: arXiv 2505.24222, Algorithm 1.
    """
    u, p = step.float().flatten(1), previous.float().flatten(1)
    q = (1 - kappa) * u + kappa * p
    v = u - q * (q * u).sum(1, keepdim=True) / (damping + (q * q).sum(1, keepdim=True))
    v = v / v.norm(dim=1, keepdim=True) * u.norm(dim=1, keepdim=True)
    return v.reshape(step.shape).to(step.dtype)
