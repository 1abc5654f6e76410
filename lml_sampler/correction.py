"""The Levenberg-Marquardt correction of one sampling direction, in a form that does not cancel.

Glossary (per sample; inner products over every axis but the first):
    u   the step: the vector that the solver is about to follow
    p   the same vector one step earlier, before its own correction
    a   <p - u, u> / <u, u>: how much longer p is along u
    w   p - (1 + a) u: the part of p orthogonal to u, the way the direction came from
    tan^2   <w, w> / <u, u>: square of the tangent of the angle between p and u

The paper (arXiv 2505.24222, Algorithm 1) preconditions u with a damped rank-one Hessian,

    v ~ (damping I + q q^T)^-1 u,    q = (1 - kappa) u + kappa p,    |v| = |u|,

and evaluates it with Sherman-Morrison as a difference of two nearly equal vectors. Inside span(u, w) the same
vector is a rotation of u away from w by the angle theta with

    tan(theta) = kappa (1 + kappa a) sqrt(tan^2) / (damping / <u, u> + kappa^2 tan^2),

which needs no such difference.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

MOST_RUN = 1e18
"""A rotation by less than 1 / MOST_RUN is none, even in float64; the square of this is still a float32."""


class Turn(NamedTuple):
    """How a direction turned since the step before, per sample."""

    energy: Tensor
    """<u, u>, `[B, 1, ...]`."""
    along: Tensor
    """a, `[B, 1, ...]`."""
    across: Tensor
    """w up to rounding, `[B, ...]`."""
    overlap: Tensor
    """<across, u> / <u, u>, `[B, 1, ...]`: the rounding in `across`; w is across - overlap * u."""
    tangent_squared: Tensor
    """tan^2, `[B, 1, ...]`; exactly 0 where there is no turn, or no step."""


class Shares(NamedTuple):
    """The corrected vector as own * u - gain * other * (across or p)."""

    own: Tensor
    """`[B, 1, ...]`."""
    other: Tensor
    """`[B, 1, ...]`."""
    gain: float = 1.0


class Products(NamedTuple):
    """The inner products of two directions, per sample, each `[B, 1, ...]`."""

    energy: Tensor
    """<u, u>, not 0."""
    along: Tensor
    """<p, u>."""
    share: Tensor
    """<p, u> / <u, u>."""
    across: Tensor
    """<w, w>."""


def correct(
    step: Tensor, previous: Tensor, damping: float | Tensor, kappa: float, weight: Tensor | None = None
) -> Tensor:
    """Precondition a sampling direction with the damped rank-one Hessian of LML, keeping its length.

        v = |u| n / |n|,   n = (damping I + q q^T)^-1 u,   q = (1 - kappa) u + kappa p

    `kappa = 0` returns `step` itself; `damping -> inf` tends to `step`; a zero step stays zero. The arithmetic is
    float32 at least, whatever the dtype of the operands. The direction is as well conditioned as the angle between
    the operands: where `previous` is parallel to `step` up to a relative difference r, the rounding of the inputs
    alone moves the result by up to `eps / r`.

    Args:
        step: `[B, ...]`, the vector u to correct, any rank from 2.
        previous: `[B, ...]`, the vector p of the step before, not corrected.
        damping: lambda >= 0 in the units of `|u|^2`, a number or one per sample as `[B]`. 0 is the limit from above.
        kappa: kappa in [0, 1], the share of `previous` in the Hessian.
        weight: broadcastable to `step`, in [0, 1]: how much each element counts in the norms and is corrected.
            Elements of weight 0 are returned as they are.

    Returns:
        `[B, ...]` in the dtype of `step`, of the same (weighted) length per sample.

    Raises:
        ValueError: a shape, `damping` or `kappa` is out of range.

    Source: arXiv 2505.24222, Algorithm 1; closed form as in the head of this module.
    """
    if step.ndim < 2:
        raise ValueError(f"step has shape {tuple(step.shape)}; it needs a batch axis first: [B, ...] of rank 2 or more")
    if step.shape != previous.shape:
        raise ValueError(
            f"previous has shape {tuple(previous.shape)} and step {tuple(step.shape)}; pass two vectors of one run"
        )
    check_kappa(kappa)
    if not isinstance(damping, Tensor):
        check_damping(damping)
    if kappa == 0:
        return step
    turn = measure_turn(step, previous, weight)
    if isinstance(damping, Tensor):
        damping = damping.to(turn.energy).reshape(turn.energy.shape)
    return turn_away(step, turn, damping / nonzero(turn.energy), kappa, weight)


def measure_turn(step: Tensor, previous: Tensor, weight: Tensor | None = None) -> Turn:
    """Split `previous` into its parts along and across `step`. Shapes as in `correct`.

    `across` is formed before its norm is taken: the shorter `<p, p> - <p, u>^2 / <u, u>` loses all digits of a
    small turn between vectors of unequal length. What rounding leaves of u in it is measured and taken into account,
    so that the length of the result does not depend on it.
    """
    dtype = torch.promote_types(step.dtype, torch.float32)
    step = step.to(dtype)
    energy = inner(step, step, weight)
    scale = nonzero(energy)
    previous = previous.to(dtype)
    share = inner(previous, step, weight) / scale
    across = torch.addcmul(previous, share, step, value=-1)
    overlap = inner(across, step, weight) / scale
    tangent_squared = inner(across, across, weight) / scale - overlap**2
    # Below this, `across` is the rounding of its own subtraction: previous is parallel to step.
    rounding = 4 * torch.finfo(dtype).eps * share
    turned = (energy > 0) & (tangent_squared > rounding**2)
    return Turn(energy, share - 1, across, overlap, torch.where(turned, tangent_squared, 0))


def measure_products(step: Tensor, previous: Tensor, previous_energy: Tensor, weight: Tensor | None = None) -> Products:
    """What `small_rotation` needs, from two products and the known <p, p>, without forming w. Shapes as in `correct`.

    Half the cost of `measure_turn`, and as accurate as long as the rotation is not amplified, that is for a slope of
    at most 10: a turn below 1e-3 loses digits, but then it does not matter.
    """
    product = torch.empty_like(step)
    energy = nonzero(inner(step, step, weight, product))
    along = inner(previous, step, weight, product)
    share = along / energy
    return Products(energy, along, share, torch.addcmul(previous_energy, along, share, value=-1).clamp_min_(0))


def small_rotation(
    products: Products, damping: float, kappa: float, sensitivity: float = 0.0, ratio: float = 1.0
) -> Shares:
    """`rotation` from products. `damping` > 0 and `sensitivity` as there; p is `ratio` times the measured vector.

    The same formula, multiplied out by <u, u>. On a small latent these few operations are what a step costs, so every
    number is folded into one of them.
    """
    energy, along, share, across = products
    mixed = 1 - kappa + kappa * ratio
    gain = mixed * kappa / damping
    lever = torch.lerp(energy, along, kappa * ratio / mixed)
    slope = lever.div_(torch.add(energy, across, alpha=(sensitivity + kappa**2) * ratio**2 / damping))
    length = torch.addcmul(energy, slope * slope, across, value=(gain * ratio) ** 2)
    own = torch.div(energy, length).sqrt_()
    other = slope.mul_(own)
    return Shares(own.addcmul_(other, share, value=gain * ratio), other, gain * ratio)


def turn_away(
    step: Tensor,
    turn: Turn,
    damping: float | Tensor,
    kappa: float,
    weight: Tensor | None = None,
    sensitivity: float = 0.0,
) -> Tensor:
    """Rotate `step` away from `turn.across`. Shapes as in `correct`, `damping` and `sensitivity` as in `rotation`."""
    return combine(step, turn.across, rotation(turn, damping, kappa, sensitivity), weight)


def combine(step: Tensor, across: Tensor, shares: Shares, weight: Tensor | None = None) -> Tensor:
    """The corrected vector where `weight` lets it in, `[B, ...]` like `step`."""
    step_wide = step.to(across.dtype)
    corrected = (shares.own * step_wide).addcmul_(shares.other, across, value=-shares.gain)
    if weight is not None:
        corrected = torch.lerp(step_wide, corrected, weight.to(corrected.dtype))
    return corrected.to(step.dtype)


def rotation(turn: Turn, damping: float | Tensor, kappa: float, sensitivity: float = 0.0) -> Shares:
    """What of u and of `turn.across` makes the corrected vector.

    `damping` is relative here, lambda / <u, u>, and grows by `sensitivity` tan^2. `kappa` > 0.

        rise / run = (1 + kappa a) tan / (damping / kappa + (sensitivity / kappa + kappa) tan^2)

    Neither may leave the range of float32, whatever lambda and kappa are.
    """
    tangent_squared = turn.tangent_squared
    rise = (turn.along * kappa).add_(1).mul_(tangent_squared.sign())  # without a turn `across` is rounding
    divisor = max(kappa, 1e-30)  # below it float32 would soon divide by 0
    run = (tangent_squared * (min(sensitivity / divisor, MOST_RUN) + kappa)).add_(_least(damping / divisor))
    run.clamp_(1 / MOST_RUN, MOST_RUN)
    scale = (rise * rise).mul_(tangent_squared).addcmul_(run, run).rsqrt_()
    cosine, other = run.mul_(scale), rise.mul_(scale)
    return Shares(torch.addcmul(cosine, other, turn.overlap), other)


def _least(run: float | Tensor) -> float | Tensor:
    return run.clamp_max(MOST_RUN) if isinstance(run, Tensor) else min(run, MOST_RUN)


def inner(first: Tensor, second: Tensor, weight: Tensor | None = None, product: Tensor | None = None) -> Tensor:
    """<first, second> per sample over all axes but the first, `[B, 1, ...]`; `product` is memory to use."""
    product = torch.mul(first, second, out=product)
    if weight is not None:
        product *= weight
    return product.sum(tuple(range(1, product.ndim)), keepdim=True)


def nonzero(energy: Tensor) -> Tensor:
    """`energy`, a sum of squares, with the smallest number in place of 0: a zero step divides to zero, not to NaN."""
    return energy.clamp_min(torch.finfo(energy.dtype).tiny)


def check_damping(damping: float) -> None:
    """Raise ValueError unless lambda is a finite number from 0 up."""
    if not (math.isfinite(damping) and damping >= 0):
        raise ValueError(
            f"damping (λ) is {damping}; it must be a finite number from 0 up. "
            "Raise it to weaken the correction; set kappa (κ) to 0 to switch the correction off."
        )


def check_kappa(kappa: float) -> None:
    """Raise ValueError unless kappa is in [0, 1]."""
    if not 0 <= kappa <= 1:
        raise ValueError(
            f"kappa (κ) is {kappa}; it must be within [0, 1]. 0 switches the correction off, 1 follows all of it."
        )
