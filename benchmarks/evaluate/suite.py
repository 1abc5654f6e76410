"""A suite: what is compared, as data. A TOML file beside a workflow in API form and, for most, a list of prompts.

Every field is read here and every mistake is named before anything runs.
"""

import dataclasses
import itertools
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from . import checks
from .errors import EvaluationError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HERE = Path(__file__).parent / "suites"


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
    """The node that makes the SAMPLER, in API form: see `units.sampler_node`. Widgets left out have their defaults."""
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
    """The real pictures that FID and the like compare with: see `features.reference`."""
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
        suite = _build(Suite, _parts(data), "the suite", path=path)
    except EvaluationError as error:
        raise EvaluationError(f"{path}: {error}") from None
    for problem in itertools.chain(checks.wrong_values(suite), checks.wrong_places(suite)):
        raise EvaluationError(f"{path}: {problem}")
    return suite


def _parts(data: dict[str, Any]) -> dict[str, Any]:
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
