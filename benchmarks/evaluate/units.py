"""The units of work of a suite: some runs of one cell, and the workflow of each run."""

import copy
import hashlib
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .prompts import rows
from .suite import Betas, Node, Sampler, Suite

COUNT, KEEP = "lml_count", "lml_keep"
TIMESTEPS = 1000
"""That models are trained on."""
REPEAT_SEEDS = 1_000_000
"""Between the first seeds of two repeats."""

Workflow = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """One run of the workflow."""

    first: int
    """Number of its first picture in the cell."""
    seed: int
    values: dict[str, str]
    """Columns of the prompts."""


@dataclass(frozen=True)
class Unit:
    """What a worker makes in one go, and what is made again if the worker dies."""

    key: str
    """Hash of all that decides its pictures but for the versions of the worker."""
    cell: str
    workflow: Workflow
    """The workflow of the cell, its runs not filled in."""
    inputs: dict[str, str]
    runs: tuple[Run, ...]
    pictures: int

    def workflows(self) -> Iterator[Workflow]:
        """The workflow of each run."""
        for run in self.runs:
            yield filled(self.workflow, self.inputs, {"seed": run.seed, **run.values})


@dataclass(frozen=True)
class Cell:
    """One sampler at one point of the grid, in one repeat."""

    sampler: Sampler
    point: dict[str, Any]
    repeat: int

    @property
    def name(self) -> str:
        """As it is reported."""
        point = ", ".join(f"{axis} {value}" for axis, value in self.point.items())
        return f"{self.sampler.name}, {point}" + (f", repeat {self.repeat + 1}" if self.repeat else "")


def cells(suite: Suite) -> list[Cell]:
    """All cells of a suite."""
    points = [dict(zip(suite.grid, values, strict=True)) for values in itertools.product(*suite.grid.values())]
    repeats = range(suite.repeats)
    return [Cell(each, point, repeat) for repeat in repeats for each in suite.samplers for point in points]


def units(suite: Suite) -> list[Unit]:
    """All units of a suite: for every cell the same seeds and prompts in the same order."""
    prompts, template = rows(suite), suite.template
    count = suite.pictures // suite.batch
    result = []
    for cell in cells(suite):
        workflow = cell_workflow(suite, cell, template)
        for start in range(0, count, suite.runs):
            runs = tuple(_run(suite, cell, number, prompts) for number in range(start, min(start + suite.runs, count)))
            about = [workflow, suite.inputs, [[run.seed, run.values] for run in runs]]
            key = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
            result.append(Unit(key, cell.name, workflow, suite.inputs, runs, len(runs) * suite.batch))
    return result


def _run(suite: Suite, cell: Cell, number: int, prompts: list[dict[str, str]]) -> Run:
    seed = suite.seed + cell.repeat * REPEAT_SEEDS + (0 if suite.same_seed else number)
    return Run(number * suite.batch, seed, prompts[number % len(prompts)])


def cell_workflow(suite: Suite, cell: Cell, template: Workflow) -> Workflow:
    """The workflow with the sampler and the point of a cell, its model counted and its pictures kept."""
    workflow = template | {suite.nodes.sampler: sampler_node(suite, cell)}
    workflow = filled(workflow, {place: place for place in suite.set}, suite.set)
    values = cell.point | {"batch": suite.batch}
    if cell.sampler.spacing and suite.betas:
        sigmas = sigmas_of(suite.betas, cell.sampler.spacing, cell.point["steps"])
        values["sigmas"] = ", ".join(f"{sigma:.9f}" for sigma in sigmas)
    workflow = filled(workflow, suite.inputs, {name: value for name, value in values.items() if name in suite.inputs})
    node, name = suite.nodes.model.split(".", 1)
    workflow[COUNT] = {"class_type": "SamplerEvaluationCount", "inputs": {"model": workflow[node]["inputs"][name]}}
    workflow[node]["inputs"][name] = [COUNT, 0]
    pictures = {"images": [suite.nodes.pictures, 0], "model": [COUNT, 0]}
    workflow[KEEP] = {"class_type": "SamplerEvaluationKeep", "inputs": pictures}
    return workflow


def sampler_node(suite: Suite, cell: Cell) -> dict[str, Any]:
    """The node of a cell's sampler; without one, the sampler of its name in ComfyUI's list.

    A value "{steps}" stands for its number of steps, and so for what else varies; "{family}" for the suite's.
    """
    node = cell.sampler.node or Node("KSamplerSelect", {"sampler_name": cell.sampler.name})
    values = {f"{{{name}}}": value for name, value in {**cell.point, "family": suite.family}.items()}
    return {
        "class_type": node.class_type,
        "inputs": {name: values.get(str(value), value) for name, value in node.inputs.items()},
    }


def filled(workflow: Workflow, inputs: dict[str, str], values: dict[str, Any]) -> Workflow:
    """A workflow with values in the inputs that the suite names."""
    result = copy.deepcopy(workflow)
    for key, value in values.items():
        node, name = inputs[key].split(".", 1)  # an input that a choice shows has a dot in its name
        result[node]["inputs"][name] = value
    return result


def timesteps_of(spacing: str, steps: int) -> list[int]:
    """Timesteps of a run, largest first, by the rules that diffusers names."""
    if spacing == "leading":
        return [place * (TIMESTEPS // steps) for place in reversed(range(steps))]
    return [round(TIMESTEPS - 1 - place * (TIMESTEPS - 1) / steps) for place in range(steps)]


def sigmas_of(betas: Betas, spacing: str, steps: int) -> list[float]:
    """The sigmas of a run as ComfyUI counts them, and 0 at the end."""
    power = 0.5 if betas.schedule == "scaled_linear" else 1.0
    kept = np.cumprod(1 - np.linspace(betas.start**power, betas.end**power, TIMESTEPS) ** (1 / power))
    sigmas = np.sqrt((1 - kept) / kept)
    return [*sigmas[timesteps_of(spacing, steps)].tolist(), 0.0]


def calls(suite: Suite) -> int:
    """Calls of the model of a suite if every step is one call: of one picture each."""
    return sum(cell.point["steps"] * suite.pictures for cell in cells(suite))
