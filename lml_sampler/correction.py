"""The Levenberg-Marquardt correction of one sampling direction, in a form that does not cancel.

Glossary (per sample; inner products over every axis but the first):
    u   the step: the vector that the solver is about to follow
    p   the same vector one step earlier, before its own correction
    share   <p, u> / <u, u>: how much of u is in p
    w   p - share u: the part of p orthogonal to u, the way the direction came from
    tan^2   <w, w> / <u, u>: square of the tangent of the angle between p and u, where p is as long along u as u is

The paper (arXiv 2505.24222, Algorithm 1) preconditions u with a damped rank-one Hessian,

    v ~ (damping I + q q^T)^-1 u,    q = (1 - kappa) u + kappa p,    |v| = |u|,

and evaluates it with Sherman-Morrison as a difference of two nearly equal vectors. Inside span(u, w) the same
vector is a rotation of u away from w by the angle theta with

    tan(theta) = kappa (1 - kappa + kappa share) sqrt(tan^2) / (damping / <u, u> + kappa^2 tan^2),

which needs no such difference.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

MOST = 1e18
"""What is larger than this counts as infinite, what is smaller than its reciprocal as 0, even in float64; its square
still fits into float32."""

Damping = tuple[float | Tensor, float]
"""lambda in units of <u, u>, a number or `[B, 1, ...]`, and what each unit of tan^2 adds to it."""


class Turn(NamedTuple):
    """How a direction turned since the step before, per sample. w = vector - overlap * u."""

    energy: Tensor
    """<u, u>, not 0, `[B, 1, ...]`."""
    along: Tensor
    """<p, u>, `[B, 1, ...]`."""
    across: Tensor
    """<w, w>, `[B, 1, ...]`; exactly 0 where `turned` is not."""
    vector: Tensor
    """w up to rounding, or p itself, `[B, ...]`."""
    overlap: Tensor
    """<vector, u> / <u, u>, `[B, 1, ...]`."""
    turned: Tensor | None = None
    """Where there is a turn, and a step, `[B, 1, ...]`; elsewhere `vector` is rounding. None: everywhere."""

    @property
    def tangent_squared(self) -> Tensor:
        """tan^2, `[B, 1, ...]`."""
        return self.across / self.energy


class Shares(NamedTuple):
    """The corrected vector as own * u - other * vector (of the `Turn`), each `[B, 1, ...]`."""

    own: Tensor
    other: Tensor


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
            A tensor below 0 counts as 0: to look at its numbers would be to wait for the device.
        kappa: kappa in [0, 1], the share of `previous` in the Hessian.
        weight: broadcastable to `step`, in [0, 1]: how much each element counts in the norms and is corrected.
            Elements of weight 0 are returned as they are.

    Returns:
        `[B, ...]` in the dtype of `step`, of the same (weighted) length per sample.

    Raises:
        ValueError: a shape is wrong, or a number is out of range.

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
    elif damping.shape != step.shape[:1]:
        raise ValueError(
            f"damping (λ) has shape {tuple(damping.shape)}; it must be a number, or as many as there are samples, "
            f"{len(step)}."
        )
    if kappa == 0:
        return step
    wide = widened(step)
    turn = measure_turn(wide, previous.to(wide.dtype), weight)
    if isinstance(damping, Tensor):
        damping = damping.to(turn.energy).reshape(turn.energy.shape)
    return turn_away(wide, turn, (damping / turn.energy, 0.0), kappa, weight).to(step.dtype)


def measure_turn(
    step: Tensor, previous: Tensor, weight: Tensor | None = None, previous_energy: Tensor | None = None
) -> Turn:
    """Split `previous` into its parts along and across `step`. Shapes as in `correct`, float32 or wider.

    w is formed before its norm is taken: the shorter `<p, p> - <p, u>^2 / <u, u>` loses all digits of a small turn
    between vectors of unequal length. What rounding leaves of u in it is measured and taken into account, so that the
    length of the result does not depend on it.

    With `previous_energy`, the known <p, p>, it is the shorter form, at half the cost. A turn below 1e-3 loses digits
    then, which does not matter as long as the damping is not below |u|^2.
    """
    product = torch.empty_like(step)
    energy = nonzero(inner(step, step, weight, product))
    along = inner(previous, step, weight, product)
    share = along / energy
    if previous_energy is not None:
        across = torch.addcmul(previous_energy, along, share, value=-1).clamp_min_(0)
        return Turn(energy, along, across, previous, share)
    vector = torch.addcmul(previous, share, step, value=-1)
    overlap = inner(vector, step, weight, product) / energy
    across = inner(vector, vector, weight, product).addcmul_(overlap**2, energy, value=-1)
    # Below this, `vector` is the rounding of its own subtraction: previous is parallel to step.
    kind = torch.finfo(step.dtype)
    rounding = 4 * kind.eps * share
    turned = (energy > kind.tiny) & (across > rounding**2 * energy)
    return Turn(energy, along, torch.where(turned, across, 0), vector, overlap, turned)


def turn_away(step: Tensor, turn: Turn, damping: Damping, kappa: float, weight: Tensor | None = None) -> Tensor:
    """Rotate `step` away from p. Shapes as in `measure_turn`, `kappa` > 0."""
    own, other = rotation(turn, damping, kappa)
    corrected = (own * step).addcmul_(other, turn.vector, value=-1)
    return corrected if weight is None else torch.lerp(step, corrected, weight.to(step.dtype))


def rotation(turn: Turn, damping: Damping, kappa: float) -> Shares:
    """What of u and of `turn.vector` makes the corrected vector; `kappa` > 0.

    All is multiplied by <u, u>, which takes the fewest operations: on a small latent they are what a step costs.

        slope = tan(theta) / tan = ((1 - kappa) <u, u> + kappa <p, u>)
                                   / (relative / kappa <u, u> + (sensitivity / kappa + kappa) <w, w>)

    Nothing may leave the range of float32, whatever lambda and kappa are.
    """
    energy, along, across, _, overlap, turned = turn
    divisor = max(kappa, 1e-30)  # below it float32 would soon divide by 0
    relative, sensitivity = damping
    relative = relative.clamp_min(1 / MOST) if isinstance(relative, Tensor) else min(relative, MOST * divisor)
    run = (energy * (relative / divisor)).add_(across, alpha=min(sensitivity / divisor, MOST) + kappa)
    slope = torch.lerp(energy, along, kappa).div_(run)
    if turned is not None:
        slope = torch.where(turned, slope.clamp_(-MOST, MOST), 0)
    length = torch.addcmul(energy, slope * slope, across)
    own = torch.div(energy, length).sqrt_()
    other = slope.mul_(own)
    return Shares(own.addcmul_(other, overlap), other)


def widened(vector: Tensor) -> Tensor:
    """In float32, or as it is where that is wider."""
    return vector.to(torch.promote_types(vector.dtype, torch.float32))


def inner(first: Tensor, second: Tensor, weight: Tensor | None = None, product: Tensor | None = None) -> Tensor:
    """<first, second> per sample over all axes but the first, `[B, 1, ...]`; `product` is memory to use."""
    product = torch.mul(first, second, out=product)
    if weight is not None:
        product *= weight
    return product.sum(tuple(range(1, product.ndim)), keepdim=True)


def squared_length(vector: Tensor, weight: Tensor | None = None, product: Tensor | None = None) -> Tensor:
    """<vector, vector> as `inner` has it, in one pass over the vector where there is no weight.

    On a processor it is less exact: 6e-5 off at two million elements in float32, `inner` 1e-7. `measure_turn`, in which
    lengths nearly cancel, needs the other.
    """
    if weight is not None:
        return inner(vector, vector, weight, product)
    length = torch.linalg.vector_norm(vector, dim=tuple(range(1, vector.ndim)), keepdim=True)
    return length.mul_(length)


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
