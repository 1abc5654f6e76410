"""Denoising schemes as linear combinations of the last model outputs.

Every scheme here reads

    x_next = linear * x + sum_j weights[j] * outputs[j]          outputs[0] the newest

with scalar coefficients that depend on the noise levels alone, so one step is one linear combination of tensors. A
scheme knows nothing of the correction. Notation: s the level of the newest output, t the next level,
h = half_log_snr(t) - half_log_snr(s); phi_k as in exponential integrators.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from .parametrization import Level, Quantity
from .settings import Scheme, SolverType

INTEGRATES: dict[Scheme, Quantity] = {
    "auto": "velocity",
    "ddim": "velocity",
    "dpmsolver": "noise",
    "dpmsolver++": "denoised",
}
"""The quantity that each scheme takes as its model output; `auto` without a correction is ddim."""


SERIES = tuple(1 / math.factorial(n + 3) for n in reversed(range(18)))
"""Coefficients of phi_3, the highest power first."""


class Combination(NamedTuple):
    """Coefficients of one step."""

    linear: float
    weights: tuple[float, ...]


def ddim(levels: Sequence[Level], target: Level) -> Combination:
    """x + (sigma_t - sigma_s) * velocity: DDIM (arXiv 2010.02502) in VE scale, Euler for flow models."""
    return Combination(1.0, (target.sigma - levels[0].sigma,))


def dpmsolver(levels: Sequence[Level], target: Level, solver_type: SolverType) -> Combination:
    """DPM-Solver, multistep on the noise prediction (arXiv 2206.00927, as diffusers' `algorithm_type="dpmsolver"`).

    Needs alpha > 0 at s, see `scheme_at`.
    """
    here = levels[0]
    first = target.sigma - target.alpha * here.sigma / here.alpha
    return _multistep(target.alpha / here.alpha, first, -target.sigma, 1.0, levels, target, solver_type)


def dpmsolver_pp(levels: Sequence[Level], target: Level, solver_type: SolverType) -> Combination:
    """DPM-Solver++, multistep on the denoised prediction (arXiv 2211.01095)."""
    here = levels[0]
    ratio = target.sigma / here.sigma
    return _multistep(ratio, target.alpha - here.alpha * ratio, target.alpha, -1.0, levels, target, solver_type)


def scheme_at(scheme: Scheme, level: Level) -> Scheme:
    """The scheme to use from a level: where alpha is 0 (or below) the noise prediction does not determine the state.

    To first order, all that is possible there, DPM-Solver and DPM-Solver++ are the same.
    """
    return "dpmsolver++" if scheme == "dpmsolver" and level.alpha <= 0 else scheme


def combination(scheme: Scheme, solver_type: SolverType, levels: Sequence[Level], target: Level) -> Combination:
    """The coefficients of one step of a scheme, of the order of `levels` (newest first)."""
    if scheme in ("auto", "ddim"):
        return ddim(levels, target)
    solver = dpmsolver if scheme == "dpmsolver" else dpmsolver_pp
    return solver(levels, target, solver_type)


def usable_order(order: int, levels: Sequence[Level], target: Level) -> int:
    """The order that the history allows: finite steps in half_log_snr only, so 1 on the step to sigma 0."""
    if target.sigma == 0:
        return 1
    return max(1, min(order, sum(level.alpha > 0 for level in levels)))


def _multistep(
    linear: float,
    first: float,
    scale: float,
    sign: float,
    levels: Sequence[Level],
    target: Level,
    solver_type: SolverType,
) -> Combination:
    """The shared form: first * m0 + scale * h * (phi_2(sign h) * D1 + phi_3(sign h) * D2).

    D1 and D2 are divided differences of the outputs over half_log_snr in units of h (order = len(levels)); `first`,
    the first-order weight, is given in a form that holds at sigma = 0 and alpha = 0 as well.

    D2 is the divided difference itself, half of the second derivative, as in the published solvers and all their
    implementations. Order 3 therefore converges with order 2 and a smaller constant.
    """
    order = len(levels)
    if order == 1:
        return Combination(linear, (first,))
    h = target.half_log_snr - levels[0].half_log_snr
    r0 = (levels[0].half_log_snr - levels[1].half_log_snr) / h
    if order == 2:
        first_phi, second_phi, _ = phi(sign * h)
        slope = 0.5 * first_phi if solver_type == "midpoint" else second_phi
        difference = scale * h * slope / r0
        return Combination(linear, (first + difference, -difference))
    r1 = (levels[1].half_log_snr - levels[2].half_log_snr) / h
    slope, curvature = (scale * h * value for value in phi(sign * h)[1:])
    share = r0 / (r0 + r1)
    newer = (slope * (1 + share) + curvature / (r0 + r1)) / r0
    older = (slope * share + curvature / (r0 + r1)) / r1
    return Combination(linear, (first + newer, -newer - older, older))


def phi(z: float) -> tuple[float, float, float]:
    """phi_1, phi_2 and phi_3 of z: phi_k(z) = sum_n z^n / (n + k)!, so phi_1 = (e^z - 1) / z.

    They follow from each other by phi_k = z phi_{k+1} + 1 / k!, upwards for small |z|, where the series of phi_3 is
    summed, and downwards, as a division, for large |z|.
    """
    if abs(z) < 1:
        third = 0.0
        for coefficient in SERIES:
            third = third * z + coefficient
        second = third * z + 0.5
        return second * z + 1, second, third
    first = math.expm1(z) / z
    second = (first - 1) / z
    return first, second, (second - 0.5) / z
