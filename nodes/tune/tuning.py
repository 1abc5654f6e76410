"""The search for the best setting: a coarse scan, then Brent's method around its best point."""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from scipy.optimize import minimize_scalar

from ...lml_sampler import LMLSettings

NO_DAMPING = 1e-6
"""Up to here λ damps nothing: the search for it goes around 1, as it does from 0."""

WORST = 1e30
"""Stands for an error that is not finite: a sampler that broke up."""


@dataclass(frozen=True)
class Parameter:
    """The number that is searched for.

    Attributes:
        name: as people see it.
        field: of `LMLSettings`.
        log: whether the search goes by the logarithm.
        digits: decimals (significant digits if `log`) that are told apart.
    """

    name: str
    field: str
    low: float
    high: float
    log: bool
    digits: int

    def value(self, place: float) -> float:
        """The value at a place between 0 and 1, rounded."""
        if self.log:
            return float(f"{self.low * (self.high / self.low) ** place:.{self.digits}g}")
        return round(self.low + (self.high - self.low) * place, self.digits)

    def place(self, value: float) -> float:
        """The inverse of `value`."""
        if self.log:
            if value <= self.low:
                return 0.0
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def of(self, settings: LMLSettings) -> float:
        """The value that settings have."""
        return getattr(settings, self.field)

    def put(self, settings: LMLSettings, value: float) -> LMLSettings:
        """Settings with another value."""
        return replace(settings, **{self.field: value})


def parameter(name: str, base: LMLSettings) -> Parameter:
    """The parameter of a name with the range that suits the settings to start from.

    Raises:
        ValueError: an unknown name.
    """
    if name == "κ":
        return Parameter(name, "kappa", 0.0, 1.0, False, 3)
    if name == "λ":
        middle = base.damping if base.damping > NO_DAMPING else 1.0
        return Parameter(name, "damping", middle / 100, middle * 100, True, 2)
    raise ValueError(f"parameter is {name!r}; choose one of λ, κ.")


class Trial(NamedTuple):
    """One setting and its error."""

    candidate: str
    value: float
    error: float

    def rank(self) -> float:
        """The error, or what stands for it."""
        return self.error if math.isfinite(self.error) else WORST


def scan_places(candidates: int, start: float) -> list[float]:
    """Where each candidate is tried first, between 0 and 1: the ends and the start; for one candidate also between."""
    ends = [0.0, 1.0] if candidates > 1 else [0.0, 0.25, 0.5, 0.75, 1.0]
    return sorted({start, *ends})


def check_budget(budget: int, candidates: int, start: float) -> None:
    """Raise ValueError unless a budget is enough for the scan and two more; 8 are always enough for one candidate."""
    least = candidates * len(scan_places(candidates, start)) + 2
    if budget < least:
        raise ValueError(
            f"evaluations is {budget}; it must be {least} or more for {candidates} scheme(s). Raise it, or try fewer."
        )


def search(
    candidates: Sequence[str],
    axis: Parameter,
    start: float,
    evaluate: Callable[[str, float], float],
    budget: int,
) -> list[Trial]:
    """Look for the candidate and the value with the least error.

    Every candidate is tried at a few places; around the best of these the rest of the budget goes into Brent's
    bounded minimisation (golden section with parabolic steps; R. Brent, 1973), which finds the minimum of a function
    with one valley and improves on the scan in any case. Deterministic: the same errors give the same trials.

    `start` is the value now, of the first candidate. `evaluate` gives the error of a candidate at a value, from 0 up,
    not finite if it broke up. Returns every trial, in order, each setting once; the first is the start.

    Raises:
        ValueError: the budget is too small.
    """
    first = axis.place(start)
    check_budget(budget, len(candidates), first)
    trials: dict[tuple[str, float], Trial] = {}

    def rank(candidate: str, value: float) -> float:
        if (candidate, value) not in trials:
            trials[candidate, value] = Trial(candidate, value, evaluate(candidate, value))
        return trials[candidate, value].rank()

    rank(candidates[0], start)
    places = scan_places(len(candidates), first)
    for candidate, place in itertools.product(candidates, places):
        rank(candidate, start if place == first else axis.value(place))
    best = min(trials.values(), key=Trial.rank)
    minimize_scalar(
        lambda place: rank(best.candidate, axis.value(float(place))),
        bounds=(
            max((place for place in places if axis.value(place) < best.value), default=0.0),
            min((place for place in places if axis.value(place) > best.value), default=1.0),
        ),
        method="bounded",
        options={"maxiter": budget - len(trials), "xatol": 0.004},
    )
    return list(trials.values())


def best_of(trials: Sequence[Trial]) -> Trial:
    """The trial with the least error.

    Raises:
        RuntimeError: none is finite.
    """
    best = min(trials, key=Trial.rank)
    if not math.isfinite(best.error):
        raise RuntimeError(
            f"None of {len(trials)} settings gave a finite picture. Use more steps, less guidance or another scheduler."
        )
    return best
