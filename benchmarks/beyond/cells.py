"""The cells on which LML beyond rank one is measured, and one run on one of them.

To be imported after `load_pack`.
"""

import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from comfy.samplers import KSAMPLER
from quality import work
from quality.entries import Entry, entries
from quality.grid import Condition
from quality.probing import sigmas, steps_within
from quality.store import Record
from quality.summary import FLOOR, geometric_mean

CONDITIONS = (
    Condition("digits", "ve", None, 1.0, "normal"),
    Condition("digits", "ve", None, 4.0, "simple"),
    Condition("digits", "ve", None, 7.0, "normal"),
    Condition("digits", "flow", 3.0, 1.0, "simple"),
    Condition("digits", "flow", 3.0, 7.0, "karras"),
    Condition("patches", "ve", None, 1.0, "beta"),
    Condition("patches", "ve", None, 7.0, "normal"),
    Condition("patches", "flow", 1.15, 4.0, "simple"),
)
CALLS = (5, 8, 12, 20)

Cell = tuple[Condition, int]
Figures = Mapping[Cell, Record]

CELLS: tuple[Cell, ...] = tuple(itertools.product(CONDITIONS, CALLS))


def run(cell: Cell, sampler: Callable[..., Any]) -> Record:
    """The measures of a sampler of the k-diffusion kind that makes one call a step."""
    condition, calls = cell
    return _measure(condition, KSAMPLER(sampler), entries()["euler"], calls)


def run_entry(cell: Cell, name: str) -> Record:
    """The measures of a sampler of the quality benchmark, with the steps that its calls allow."""
    condition, calls = cell
    entry, steps = entries()[name], steps_within(name, calls)
    if steps is None:
        raise ValueError(f"{name} needs more than {calls} calls")
    problem = work.problem_of(condition)
    return _measure(condition, entry.build(problem.model_patcher, condition.path == "flow", steps), entry, steps)


def _measure(condition: Condition, sampler: Any, entry: Entry, steps: int) -> Record:
    problem = work.problem_of(condition)
    samples = problem.run(sampler, sigmas(problem.model_patcher, entry, condition.scheduler, steps))
    return work.measure(samples, condition)


def mean(figures: Figures, measure: str, cells: Iterable[Cell]) -> float:
    """The geometric mean of a measure over cells."""
    return geometric_mean(max(figures[cell][measure], FLOOR) for cell in cells)
