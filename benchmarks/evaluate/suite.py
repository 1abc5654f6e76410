"""A suite: what is compared, as data. A TOML file beside a workflow in API form and, for most, a list of prompts.

Every field is read here and every mistake is named before anything runs.
"""

import dataclasses
import hashlib
import itertools
import json
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from .errors import EvaluationError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HERE = Path(__file__).parent / "suites"
FILLED = ("steps", "cfg", "seed", "batch", "sigmas")
"""What a suite can have filled in besides the columns of its prompts and the axes of its grid."""
METRICS = ("fid", "kid", "prc", "clip_score", "cmmd", "seconds")
SPACINGS = ("leading", "linspace", "trailing")


@dataclass(frozen=True)
class Prompts:
    """The texts of a suite, one line a run; without a file there is one run without a text after the other."""

    file: str
    columns: tuple[str, ...] = ("prompt",)
    format: Literal["lines", "tsv", "coco"] = "lines"
    take: int = 0
    """The first so many; 0 all."""
    source: str = ""
    sha256: str = ""


@dataclass(frozen=True)
class Sampler:
    """One row of the table."""

    name: str
    node: dict[str, Any]
    """The node of the workflow that makes the SAMPLER, in API form; widgets left out have their defaults."""
    spacing: str = ""
    """Its own timesteps, by diffusers' name of the rule (tables as published)."""
    offset: int = 0
    """Added to each timestep of the rule `leading`."""


@dataclass(frozen=True)
class ModelFile:
    """A file that the workflow needs."""

    path: str
    """Kind and name, as in ComfyUI's folder of models."""
    source: str
    sha256: str = ""
    """Where it is known; else the first one seen is recorded, and held to."""


@dataclass(frozen=True)
class Nodes:
    """Places in the workflow."""

    model: str
    """The input `node.input` through which the sampler gets its model."""
    pictures: str
    """The node whose first output is the pictures."""
    sampler: str
    """The node that makes the SAMPLER."""


@dataclass(frozen=True)
class Betas:
    """The noise schedule of the model, to turn timesteps into sigmas."""

    schedule: Literal["linear", "scaled_linear"]
    start: float
    end: float
    timesteps: int = 1000


@dataclass(frozen=True)
class Suite:
    """A table to be."""

    title: str
    kind: Literal["equal", "as published"]
    workflow: str
    pictures: int
    """Of each cell."""
    metrics: tuple[str, ...]
    nodes: Nodes
    inputs: dict[str, str]
    """By what is filled in: the input `node.input` that it goes to."""
    samplers: tuple[Sampler, ...]
    grid: dict[str, tuple[Any, ...]]
    """The columns of the table: steps, and what else varies."""
    batch: int = 1
    """Pictures of one run, made from one noise."""
    runs: int = 16
    """Runs of one unit of work."""
    seed: int = 0
    same_seed: bool = False
    """Whether every run has the same seed."""
    repeats: int = 1
    """How often everything is made, with other seeds."""
    baseline: str = ""
    set: dict[str, Any] = field(default_factory=dict)
    """Values by `node.input` in place of the workflow's."""
    prompts: Prompts | None = None
    files: tuple[ModelFile, ...] = ()
    betas: Betas | None = None
    extractor: str = "inception-v3-compat"
    reference: str = ""
    """What FID and the like compare with; "bring" names what a person has to bring."""
    unknown: tuple[str, ...] = ()
    """What of the published protocol cannot be known or done here, said under the table."""
    path: Path = HERE

    @property
    def template(self) -> dict[str, Any]:
        """The workflow in API form."""
        return json.loads((self.path.parent / self.workflow).read_text("utf-8"))


PARTS = {"prompts": Prompts, "nodes": Nodes, "betas": Betas}
LISTS = {"samplers": Sampler, "files": ModelFile}


def load(name: str) -> Suite:
    """A suite that ships, by its name, or of a file.

    Raises:
        EvaluationError: it cannot be used; the message names the field.
    """
    path = Path(name) if name.endswith(".toml") else HERE / f"{name}.toml"
    try:
        data = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        shipped = ", ".join(sorted(each.stem for each in HERE.glob("*.toml")))
        raise EvaluationError(f"There is no suite {path}; those that ship are {shipped}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise EvaluationError(f"{path} is not TOML: {error}.") from error
    try:
        suite = _build(Suite, _part(data, path), "the suite", path=path)
    except EvaluationError as error:
        raise EvaluationError(f"{path}: {error}") from None
    _check(suite)
    return suite


def _part(data: dict[str, Any], path: Path) -> dict[str, Any]:
    result = dict(data)
    for key, kind in PARTS.items():
        if key in result:
            result[key] = _build(kind, result[key], f"[{key}]")
    for key, kind in LISTS.items():
        if key in result:
            result[key] = tuple(_build(kind, entry, f"[[{key}]]") for entry in result[key])
    for key in ("metrics", "unknown"):
        if key in result:
            result[key] = tuple(result[key])
    if "grid" in result:
        result["grid"] = {name: tuple(values) for name, values in result["grid"].items()}
    return result


def _build(kind: Any, values: Any, where: str, **more: Any) -> Any:
    """A dataclass of a table of TOML."""
    if not isinstance(values, dict):
        raise EvaluationError(f"{where} must be a table.")
    known = {each.name: each for each in dataclasses.fields(kind)}
    for name in values:
        if name not in known or name in more:
            raise EvaluationError(f"{where} has an unknown field {name!r}; known are {', '.join(known)}.")
    required = (dataclasses.MISSING, dataclasses.MISSING)
    missing = [n for n, each in known.items() if (each.default, each.default_factory) == required and n not in values]
    if missing:
        raise EvaluationError(f"{where} lacks the field {missing[0]!r}.")
    values = {name: tuple(value) if name == "columns" else value for name, value in values.items()}
    return kind(**values, **more)


def _check(suite: Suite) -> None:
    """Everything that can be known without a ComfyUI."""
    for problem in itertools.chain(_wrong_values(suite), _wrong_places(suite)):
        raise EvaluationError(f"{suite.path}: {problem}")


def _wrong_values(suite: Suite) -> Any:
    names = [sampler.name for sampler in suite.samplers]
    for name in names:
        if names.count(name) > 1:
            yield f"two samplers have the name {name!r}; each cell needs one of its own."
    for axis, values in suite.grid.items():
        if not values or len(set(map(str, values))) < len(values):
            yield f"grid.{axis} is {list(values)}; it needs values, each once."
    if suite.kind not in ("equal", "as published"):
        yield f"kind is {suite.kind!r}; it must be 'equal' or 'as published'."
    for metric in suite.metrics:
        if metric not in METRICS:
            yield f"metrics has {metric!r}; known are {', '.join(METRICS)}."
    if "clip_score" in suite.metrics and (suite.prompts is None or "prompt" not in suite.prompts.columns):
        yield "metrics has clip_score, which needs prompts with a column 'prompt'."
    if "steps" not in suite.grid:
        yield "grid lacks steps."
    if suite.baseline and suite.baseline not in names:
        yield f"baseline is {suite.baseline!r}, which is no sampler of the suite."
    for name in ("pictures", "batch", "runs", "repeats"):
        if not isinstance(getattr(suite, name), int) or getattr(suite, name) < 1:
            yield f"{name} is {getattr(suite, name)!r}; it must be a whole number, 1 or more."
    if suite.pictures % suite.batch:
        yield f"pictures is {suite.pictures}; it must be a multiple of batch, {suite.batch}, which has one noise."
    for sampler in suite.samplers:
        if sampler.spacing and (sampler.spacing not in SPACINGS or suite.betas is None):
            yield f"{sampler.name} has spacing {sampler.spacing!r}; it needs [betas] and one of {', '.join(SPACINGS)}."
        if bool(sampler.spacing) != ("sigmas" in suite.inputs):
            yield f"{sampler.name}: spacing and inputs.sigmas need each other."
        if sampler.spacing and suite.kind == "equal":
            yield f"{sampler.name} has a spacing of its own, so the table cannot be of the kind 'equal'."
    for file in suite.files:
        if file.sha256 and not re.fullmatch(r"[0-9a-f]{64}", file.sha256):
            yield f"the sha256 of {file.path} is no SHA-256."


def _wrong_places(suite: Suite) -> Any:
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


def rows(suite: Suite) -> list[dict[str, str]]:
    """The prompts by the names of their columns.

    Raises:
        EvaluationError: the file is not there, or another one than the suite names.
    """
    if suite.prompts is None:
        return [{}]
    prompts, path = suite.prompts, suite.path.parent / suite.prompts.file
    if not path.is_file():
        raise EvaluationError(f"{path} is missing: get it from {prompts.source or 'its authors'}.")
    content = path.read_bytes()
    if prompts.sha256 and hashlib.sha256(content).hexdigest() != prompts.sha256:
        raise EvaluationError(f"{path} is not the file that the suite names (its SHA-256 differs).")
    found = _captions(content) if prompts.format == "coco" else content.decode("utf-8").splitlines()
    lines = [line for line in found if line.strip()]
    if prompts.take:
        if len(lines) < prompts.take:
            raise EvaluationError(f"{path} has {len(lines)} prompts; the suite takes {prompts.take}.")
        lines = lines[: prompts.take]
    result = []
    for number, line in enumerate(lines, 1):
        values = line.split("\t") if prompts.format == "tsv" else [line.strip()]
        if len(values) != len(prompts.columns):
            raise EvaluationError(
                f"{path}, line {number} has {len(values)} columns; the suite names {prompts.columns}."
            )
        result.append(dict(zip(prompts.columns, values, strict=True)))
    return result


def _captions(content: bytes) -> list[str]:
    """The first caption of every picture of MS-COCO, in the order of the pictures' ids."""
    first: dict[int, str] = {}
    for entry in sorted(json.loads(content)["annotations"], key=lambda entry: entry["id"]):
        first.setdefault(entry["image_id"], " ".join(entry["caption"].split()))
    return [first[image] for image in sorted(first)]
