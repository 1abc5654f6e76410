"""Making cells: run a sampler on a problem and measure what it gives.

To be imported after `load_pack`; runs in the worker processes.
"""

import time
from collections.abc import Callable
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from comfy_host.inprocess import other_packs
from comfy_host.install import ROOT
from comfyui_version import __version__ as comfyui_version
from numpy.typing import NDArray
from torch import Tensor
from zoo.problems import weights_file

from . import exact, network, zoo_problem
from .entries import Entry, entries
from .grid import SEED, Condition, Task
from .measures import Frechet, median, rms, rms_interval
from .probing import sigmas, steps_within
from .store import Record, hash_of, kept_array, key_of

FOLDER = ROOT / ".quality"
HERE = Path(__file__).parent
CONVERGED = "dpmpp_2m"
CONVERGED_STEPS = {True: 600, False: 150}
"""By `Condition.exact`. On the exact problems Heun's method with 799 calls ends within 2e-4 (RMS)."""


class Distances(NamedTuple):
    """Fréchet distances, and what they are taken of."""

    features: Callable[[Tensor], NDArray[np.float64]]
    """The pixels, or a classifier's features."""
    to_converged: Frechet
    to_data: Frechet


class Yardstick(NamedTuple):
    """What samples of one solution are measured against."""

    converged: NDArray[np.float64]
    """`[B, D]`."""
    frechet: Distances | None
    """None: too few samples for one."""


def build_problem(condition: Condition, dtype: torch.dtype = torch.float32) -> Any:
    """The problem of a condition; networks are always float32."""
    _, path, shift, cfg, _ = condition
    samples = condition.samples
    if condition.family == "zoo":
        return zoo_problem.ZooProblem(condition.problem, shift, cfg, samples, SEED)
    if condition.family == "demo":
        return network.NetworkProblem(path, cfg, samples, SEED)
    data = exact.digits() if condition.problem == "digits" else exact.patches()
    return exact.ExactProblem(data, path, shift, cfg, samples, SEED, dtype)


problem_of = lru_cache(maxsize=2)(build_problem)


@cache
def versions() -> Record:
    """What decides all figures: the packages and the code that measures."""
    names = ("bare", "exact", "network", "zoo_problem", "published", "measures", "probing", "work")
    measured = [HERE / f"{name}.py" for name in names]
    measured += [HERE.parent / name for name in ("shapes.py", "stones.py")]
    measured += (ROOT / "nodes" / "demo" / "weights").glob("*.safetensors")
    packs = {folder.name: hash_of(folder.rglob("*.py")) for folder in other_packs()}
    own = {"comfyui": comfyui_version, "torch": torch.__version__, "benchmark": hash_of(measured)}
    return {**own, "packs": packs} if packs else own


@cache
def zoo_version(problem: str) -> Record:
    """What decides the figures on a network of the zoo."""
    code = [HERE.parent / "zoo" / f"{name}.py" for name in ("denoiser", "nets", "reference")]
    return {"weights": hash_of([weights_file(problem), *code])}


def versions_of(condition: Condition) -> Record:
    """What besides the samplers decides the figures under a condition."""
    return versions() | (zoo_version(condition.problem) if condition.family == "zoo" else {})


@cache
def lml_version() -> str:
    """Of all that an LML entry runs through."""
    return hash_of([*(ROOT / "lml_sampler").rglob("*.py"), *(ROOT / "nodes" / "host").glob("*.py")])


def identity(condition: Condition, entry: Entry, calls: int) -> Record:
    """All that defines a cell."""
    result: Record = {"condition": condition._asdict(), "calls": calls, "entry": entry.name, "seed": SEED}
    result |= {"samples": condition.samples, **versions_of(condition)}
    if entry.settings is not None:
        result |= {"settings": repr(entry.settings(condition.path == "flow", calls)), "lml": lml_version()}
    return result


def cell_key(condition: Condition, name: str, calls: int) -> str:
    """Under which a cell is kept."""
    return key_of(identity(condition, entries()[name], calls))


def converged(solution: Condition) -> NDArray[np.float64]:
    """The converged solution, `[B, D]`, computed once and kept."""
    about = {"solution": solution._asdict(), "seed": SEED, "samples": solution.samples, **versions_of(solution)}

    def make() -> NDArray[np.float64]:
        problem = build_problem(solution, torch.float64)
        if solution.family == "zoo":
            return problem.converged().numpy()
        entry, steps = entries()[CONVERGED], CONVERGED_STEPS[solution.exact]
        sampler = entry.build(problem.model_patcher, solution.path == "flow", steps)
        return problem.run(sampler, sigmas(problem.model_patcher, entry, "normal", steps)).double().numpy()

    return kept_array(FOLDER / "converged" / f"{key_of(about)}.npy", make)


@lru_cache(maxsize=2)
def yardstick(solution: Condition) -> Yardstick:
    """What the samples of a condition are measured against."""
    target = converged(solution)
    if solution.exact:
        features, data = _pixels, build_problem(solution).data.points
    elif solution.family == "zoo":
        return Yardstick(target, None)
    else:
        features, data = network.features(SEED), build_problem(solution).data()
    return Yardstick(target, Distances(features, Frechet(features(torch.from_numpy(target))), Frechet(features(data))))


def _pixels(samples: Tensor) -> NDArray[np.float64]:
    return samples.double().numpy()


def run_task(task: Task) -> list[Record]:
    """Make the cells of one sampler under one condition."""
    return [make_cell(task.condition, entries()[task.entry], calls) for calls in task.calls]


def make_cell(condition: Condition, entry: Entry, calls: int) -> Record:
    """One cell. `note` says why it has no figures: too many calls for the budget, or a result that is not finite."""
    about = identity(condition, entry, calls)
    empty = dict.fromkeys(("rms", "rms_low", "rms_high", "median", "frechet_converged", "frechet_data"))
    record: Record = {"key": key_of(about), **about, "kind": entry.kind, "note": None, **empty}
    record["steps"] = steps = steps_within(entry.name, calls)
    if steps is None:
        return record | {"note": "needs more calls"}
    problem = problem_of(condition)
    sampler = entry.build(problem.model_patcher, condition.path == "flow", steps)
    start = time.process_time()
    samples = problem.run(sampler, sigmas(problem.model_patcher, entry, condition.scheduler, steps))
    record |= {"calls_made": problem.calls, "seconds": round(time.process_time() - start, 3)}
    if problem.calls > calls:
        return record | {"note": "needs more calls"}
    if not samples.isfinite().all():
        return record | {"note": "not finite"}
    return record | measure(samples, condition)


def measure(samples: Tensor, condition: Condition) -> Record:
    """The figures of one cell."""
    yard = yardstick(condition.solution)
    squares = ((samples.double().numpy() - yard.converged) ** 2).mean(1)
    low, high = rms_interval(squares, SEED)
    figures: Record = {"rms": rms(squares), "rms_low": low, "rms_high": high, "median": median(squares)}
    if yard.frechet is None:
        return figures
    of, to_converged, to_data = yard.frechet
    features = of(samples)
    return figures | {"frechet_converged": to_converged(features), "frechet_data": to_data(features)}
