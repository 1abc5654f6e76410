"""What is found out about the samplers by running them: model calls, noise; and the sigmas they get.

To be imported after `load_pack`.
"""

from functools import cache
from typing import Any

import comfy.samplers
import torch
from torch import Tensor

from .entries import GAINS, PAPER, Entry, entries
from .exact import Data, ExactProblem
from .grid import AUTO, SEED, Names

CALLS_FEWER = {"PFDiff 1": 2}
"""Samplers that call the model less than once a step: steps a call, at the most."""


def sigmas(model_patcher: Any, entry: Entry, scheduler: str, steps: int) -> Tensor:
    """The sigmas that KSampler would use with the sampler, `[steps + 1]` or fewer."""
    device = torch.device("cpu")
    return comfy.samplers.KSampler(model_patcher, steps, device, entry.scheduled_as, scheduler).sigmas


@cache
def names() -> Names:
    """What the choice of cells needs to know of the samplers."""
    everything = entries()
    peers = tuple(name for name, entry in everything.items() if entry.kind == "peer" and _runs(name))
    quick = frozenset({AUTO, PAPER, *(f"LML ddim, g {gain}" for gain in GAINS)})
    return Names(
        peers=peers,
        lml=tuple(name for name, entry in everything.items() if entry.kind != "peer"),
        stochastic=frozenset(name for name in peers if adds_noise(name)),
        quick_lml=quick,
    )


@cache
def calls_of(name: str, steps: int) -> int:
    """Model calls that a sampler makes in so many steps, counted."""
    problem = _probe(SEED)
    _run(entries()[name], problem, steps)
    return problem.calls


@cache
def steps_within(name: str, calls: int) -> int | None:
    """The largest number of steps that needs no more than `calls` model calls; None if there is none.

    Zero calls do not count: `dpm_adaptive` makes none where the schedule has one step.
    """
    most = CALLS_FEWER.get(name, 1) * calls
    return next((steps for steps in range(most, 0, -1) if 0 < calls_of(name, steps) <= calls), None)


def _runs(name: str) -> bool:
    """Whether a sampler runs here at all: those of other packs may need a whole model, or a GPU."""
    try:
        calls_of(name, 6)
    except Exception as error:  # whatever another pack raises
        print(f"{name} is left out: {error}")
        return False
    return True


def adds_noise(name: str) -> bool:
    """Whether the seed of the run changes the result."""
    return not torch.equal(*(_run(entries()[name], _probe(seed), 6) for seed in (SEED, SEED + 1)))


def _probe(run_seed: int) -> ExactProblem:
    """A problem so small that a run costs nothing; only the seed of the run differs."""
    points = torch.tensor([[1.0, -1.0], [-0.5, 0.5], [0.2, 0.9]])
    data = Data(points, torch.tensor([0, 1, 1]), (2, 1, 1))
    problem = ExactProblem(data, "ve", None, 4.0, samples=3, seed=SEED, dtype=torch.float32)
    problem.seed = run_seed
    return problem


def _run(entry: Entry, problem: ExactProblem, steps: int) -> Tensor:
    sampler = entry.build(problem.model_patcher, flow=False, steps=steps)
    return problem.run(sampler, sigmas(problem.model_patcher, entry, "normal", steps))
