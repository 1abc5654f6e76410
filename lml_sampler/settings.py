"""The settings of one run, checked when they are made."""

import itertools
import math
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from .correction import check_damping, check_kappa

Scheme = Literal["auto", "ddim", "dpmsolver", "dpmsolver++"]
MULTISTEP: tuple[Scheme, ...] = ("dpmsolver", "dpmsolver++")
"""Those that combine up to three model outputs; the others are of order 1."""

SolverType = Literal["midpoint", "heun"]
Target = Literal["score", "velocity", "increment", "direction"]
DampingMode = Literal["adaptive", "relative", "absolute"]
Arithmetic = Literal["exact", "released_float32"]


@dataclass(frozen=True)
class LMLSettings:
    """What `sample_lml` does at each step. Immutable; every field is checked on construction.

    Attributes:
        scheme: the denoising scheme: `auto` (damped foresight and hindsight on the denoised prediction, see
            `solvers.auto`), `ddim` (first order, `euler` in ComfyUI), `dpmsolver` (exponential multistep on
            the noise prediction, arXiv 2206.00927) or `dpmsolver++` (on the denoised prediction, arXiv 2211.01095).
        order: 1, 2 or 3: how many model outputs a step combines; `auto` and `ddim` are of order 1. The published
            third-order form converges with order 2 and a smaller constant. The first steps and the step to sigma 0 use
            what order they can.
        solver_type: second-order form, `midpoint` or `heun`.
        target: what the correction is applied to: the noise prediction (`score`, the paper's Algorithm 1), the flow
            `velocity`, the `increment` that the scheme adds to its linear term (the released DPM-Solver), or only
            the `direction` of ddim: the noise put back at the next level, not the one taken out (the released DDIM).
        damping_mode: the unit of `damping`: `relative` (of |u|^2), `adaptive` (relative, and more where the path
            turns) or `absolute` (the paper's). The scheme `auto` takes `adaptive` alone.
        damping: lambda, finite and >= 0. 0 trusts the model, large values fall back to the plain scheme.
        kappa: kappa in [0, 1], how much of the correction is followed: 1 all of it, 0 is the plain scheme, bit for bit.
        start_percent: share of the steps of this run after which the correction starts (the released `freeze`).
        end_percent: share of the steps after which it ends.
        lower_order_final: fall to order 2 on the last but one step and 1 on the last, as the released DPM-Solver does
            below 15 steps, even if the run ends above sigma 0.
        arithmetic: `exact`, or `released_float32`: the published formula as the released code evaluates it, rounding
            noise included; it knows no masks.
        eta: ancestral noise as in k-diffusion, 0 (none) to 1.
        renoise: take every step down to sigma 0 and add fresh noise of the next level (the released stochastic flow
            sampling); in place of `eta`.
        s_noise: factor on that noise.
        kappa_curve: points (share of the run, factor in [0, 1] on kappa), by rising shares from 0 at the first step
            to 1 at the last; linear between them, constant outside; where it is 0 the plain scheme steps. None: 1
            throughout.

    Raises:
        ValueError: names the field, its value, the range and the remedy.

    The defaults differ from the published settings on purpose: see `damping_mode`. The published ones are
    `damping_mode="absolute"` with the paper's lambda (arXiv 2505.24222, appendix), kappa close to 0.
    """

    scheme: Scheme = "auto"
    order: int = 1
    solver_type: SolverType = "midpoint"
    target: Target = "score"
    damping_mode: DampingMode = "adaptive"
    damping: float = 1.0
    kappa: float = 1.0
    start_percent: float = 0.0
    end_percent: float = 1.0
    lower_order_final: bool = False
    arithmetic: Arithmetic = "exact"
    eta: float = 0.0
    renoise: bool = False
    s_noise: float = 1.0
    kappa_curve: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        _check_choice("scheme", self.scheme, Scheme)
        _check_choice("solver_type", self.solver_type, SolverType)
        _check_choice("target", self.target, Target)
        _check_choice("damping_mode", self.damping_mode, DampingMode)
        _check_choice("arithmetic", self.arithmetic, Arithmetic)
        check_damping(self.damping)
        check_kappa(self.kappa)
        self._check_scheme()
        if not 0 <= self.start_percent <= self.end_percent <= 1:
            raise ValueError(
                f"start_percent is {self.start_percent} and end_percent {self.end_percent}; they must satisfy "
                "0 <= start_percent <= end_percent <= 1. 0 and 1 correct the whole run."
            )
        if not 0 <= self.eta <= 1:
            raise ValueError(f"eta is {self.eta}; it must be within [0, 1]. 0 adds no noise.")
        if self.renoise and self.eta > 0:
            raise ValueError(f"eta is {self.eta} and renoise is on; set eta to 0: renoising leaves no noise to add to.")
        if not (math.isfinite(self.s_noise) and self.s_noise >= 0):
            raise ValueError(f"s_noise is {self.s_noise}; it must be a finite number from 0 up. 1 is neutral.")
        _check_curve(self.kappa_curve)

    def _check_scheme(self) -> None:
        """Whether order, target, damping and arithmetic go with the scheme."""
        if self.order not in (1, 2, 3):
            raise ValueError(f"order is {self.order}; it must be 1, 2 or 3. 1 is the robust choice with guidance.")
        if self.scheme not in MULTISTEP and self.order != 1:
            raise ValueError(
                f"order is {self.order}, but the scheme {self.scheme} is of order 1. "
                "Set order to 1, or scheme to dpmsolver++."
            )
        if self.scheme == "auto" and (self.target != "score" or self.arithmetic != "exact"):
            raise ValueError(
                f"target is {self.target!r} and arithmetic {self.arithmetic!r}, but the scheme auto corrects the "
                "score, exactly. Set target to score and arithmetic to exact, or scheme to ddim."
            )
        if self.scheme != "ddim" and self.target == "direction":
            raise ValueError(
                f"target is 'direction', which only the scheme ddim has, but scheme is {self.scheme!r}. "
                "Choose target score or increment."
            )
        if self.scheme == "auto" and self.damping_mode != "adaptive":
            raise ValueError(
                f"damping_mode is {self.damping_mode!r}, but the scheme auto has a damping of its own. "
                "Set damping_mode to adaptive, or scheme to ddim, dpmsolver or dpmsolver++."
            )
        if self.arithmetic != "exact" and self.damping_mode != "absolute":
            raise ValueError(
                f"damping_mode is {self.damping_mode!r}, but the released arithmetic knows absolute damping only. "
                "Set damping_mode to absolute, or arithmetic to exact."
            )

    @property
    def stochastic(self) -> bool:
        """Whether the run draws noise."""
        return self.renoise or self.eta > 0

    @property
    def neutral(self) -> bool:
        """Whether nothing is ever corrected. The released arithmetic is not neutral even for kappa 0."""
        return self.kappa == 0 and self.arithmetic == "exact"

    def corrects(self, step: int, steps: int) -> bool:
        """Whether step number `step` (from 0) of `steps` is corrected."""
        inside = self.start_percent <= step / steps < self.end_percent
        return inside and not self.neutral and self.kappa_factor(step, steps) > 0

    def kappa_factor(self, step: int, steps: int) -> float:
        """The value of the kappa curve at step number `step` (from 0) of `steps`."""
        share, points = step / max(steps - 1, 1), self.kappa_curve
        if not points or share <= points[0][0]:
            return points[0][1] if points else 1.0
        for (left, low), (right, high) in itertools.pairwise(points):
            if share <= right:
                return low + (high - low) * (share - left) / (right - left)
        return points[-1][1]

    def at(self, step: int, steps: int) -> "LMLSettings":
        """The settings of one step: the curve is in kappa. A step of factor 0 is not corrected."""
        factor = self.kappa_factor(step, steps)
        return self if factor in (0, 1) else replace(self, kappa=self.kappa * factor)


def _check_curve(points: Any) -> None:
    remedy = "Give pairs (share of the steps, factor), or nothing for a constant kappa."
    try:
        shares, factors = [share for share, _ in points], [factor for _, factor in points]
    except (TypeError, ValueError) as error:
        raise ValueError(f"kappa_curve is {points!r}, which is no list of points. {remedy}") from error
    for value in (*shares, *factors):
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise ValueError(f"kappa_curve has {value!r}, which is no number. {remedy}")
    if any(not 0 <= share <= 1 for share in shares) or any(a >= b for a, b in itertools.pairwise(shares)):
        raise ValueError(f"kappa_curve has the shares {shares}; they must rise within [0, 1]. {remedy}")
    for factor in factors:
        if not 0 <= factor <= 1:
            raise ValueError(f"kappa_curve has the factor {factor}; it must be within [0, 1]. {remedy}")


def _check_choice(name: str, value: object, choices: Any) -> None:
    allowed = get_args(choices)
    if value not in allowed:
        raise ValueError(f"{name} is {value!r}; choose one of {', '.join(allowed)}.")
