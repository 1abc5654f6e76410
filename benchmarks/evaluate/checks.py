"""What is wrong with a suite, as far as that can be known without a ComfyUI: sentences that name the field."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .suite import Suite

FILLED = ("steps", "cfg", "seed", "batch", "sigmas")
"""What a suite can have filled in besides the columns of its prompts and the axes of its grid."""


def wrong_values(suite: "Suite") -> Iterator[str]:
    """Fields that mean nothing."""
    names = [sampler.name for sampler in suite.samplers]
    for name in names:
        if names.count(name) > 1:
            yield f"two samplers have the name {name!r}; each cell needs one of its own."
    for axis, values in suite.grid.items():
        if not values or len(set(map(str, values))) < len(values):
            yield f"grid.{axis} is {list(values)}; it needs values, each once."
    if "clip_score" in suite.metrics and (suite.prompts is None or "prompt" not in suite.prompts.columns):
        yield "metrics has clip_score, which needs prompts with a column 'prompt'."
    if "steps" not in suite.grid:
        yield "grid lacks steps."
    if suite.baseline and suite.baseline not in names:
        yield f"baseline is {suite.baseline!r}, which is no sampler of the suite."
    if suite.pictures % suite.batch:
        yield f"pictures is {suite.pictures}; it must be a multiple of batch, {suite.batch}, which has one noise."
    for sampler in suite.samplers:
        if sampler.spacing and suite.betas is None:
            yield f"{sampler.name} has spacing {sampler.spacing!r}; it needs [betas]."
        if bool(sampler.spacing) != ("sigmas" in suite.inputs):
            yield f"{sampler.name}: spacing and inputs.sigmas need each other."
        if sampler.spacing and suite.kind == "equal":
            yield f"{sampler.name} has a spacing of its own, so the table cannot be of the kind 'equal'."


def wrong_places(suite: "Suite") -> Iterator[str]:
    """What does not fit the workflow."""
    try:
        template = suite.template
    except FileNotFoundError:
        yield f"workflow is {suite.workflow!r}, which is not there."
        return
    except json.JSONDecodeError as error:
        yield f"workflow {suite.workflow!r} is not JSON: {error}."
        return
    if not all(isinstance(node, dict) and "class_type" in node for node in template.values()):
        yield f"workflow {suite.workflow!r} is not in API form: in ComfyUI choose File, Export (API)."
        return
    columns = suite.prompts.columns if suite.prompts else ()
    for name in suite.inputs:
        if name not in (*FILLED, *columns, *suite.grid):
            yield f"inputs has {name!r}, which nothing fills in; known are {', '.join((*FILLED, *columns))}."
    for name in ("seed", *columns, *suite.grid):
        if name not in suite.inputs and not (name == "steps" and "sigmas" in suite.inputs):
            yield f"inputs lacks {name!r}: the workflow would not hear it."
    for place in (*suite.inputs.values(), *suite.set, suite.nodes.model):
        node, _, name = place.partition(".")
        if name not in template.get(node, {"inputs": {}})["inputs"]:
            yield f"the workflow {suite.workflow!r} has no input {place!r}."
    for node in (suite.nodes.pictures, suite.nodes.sampler):
        if node not in template:
            yield f"the workflow {suite.workflow!r} has no node {node!r}."
