"""A suite: what is compared, as data. A TOML file beside a workflow in API form and, for most, a list of prompts.

Every field is read here and every mistake is named before anything runs. With `like = "NAME"` a suite has the fields
that it does not name from the one of that name beside it.
"""

import itertools
import json
import sys
from dataclasses import asdict, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, PositiveInt, ValidationError
from pydantic.dataclasses import dataclass

from . import checks
from .errors import EvaluationError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

STRICT = ConfigDict(extra="forbid")
HERE = Path(__file__).parent / "suites"


@dataclass(frozen=True, config=STRICT)
class Prompts:
    """The texts of a suite, one line a run; without a file there is one run without a text after the other."""

    file: str
    columns: tuple[str, ...] = ("prompt",)
    format: Literal["lines", "tsv", "coco"] = "lines"
    take: int = 0
    """The first so many; 0 all."""
    source: str = ""


@dataclass(frozen=True, config=STRICT)
class Node:
    """A node in API form. Widgets left out have their defaults."""

    class_type: str
    inputs: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, config=STRICT)
class Sampler:
    """One row of the table."""

    name: str
    node: Node | None = None
    """What makes the SAMPLER: see `units.sampler_node`."""
    spacing: Literal["", "leading", "linspace"] = ""
    """Its own timesteps, by diffusers' name of the rule (tables as published)."""


@dataclass(frozen=True, config=STRICT)
class ModelFile:
    """A file that the workflow needs."""

    path: str
    """Kind and name, as in ComfyUI's folder of models."""
    source: str
    sha256: Annotated[str, Field(pattern="^([0-9a-f]{64})?$")] = ""
    """Where it is known; else the first one seen is recorded, and held to."""


@dataclass(frozen=True, config=STRICT)
class Nodes:
    """Places in the workflow; left out, those of the workflows that ship."""

    model: str = "guider.model"
    """The input `node.input` through which the sampler gets its model."""
    pictures: str = "decode"
    """The node whose first output is the pictures."""
    sampler: str = "sampler"
    """The node that makes the SAMPLER."""


@dataclass(frozen=True, config=STRICT)
class Betas:
    """The noise schedule of the model, to turn timesteps into sigmas."""

    schedule: Literal["linear", "scaled_linear"]
    start: float
    end: float


@dataclass(frozen=True, config=STRICT)
class Suite:
    """A table to be."""

    title: str
    kind: Literal["equal", "as published"]
    workflow: str
    pictures: PositiveInt
    """Of each cell."""
    metrics: tuple[Literal["fid", "kid", "prc", "clip_score", "cmmd", "seconds"], ...]
    inputs: dict[str, str]
    """By what is filled in: the input `node.input` that it goes to."""
    samplers: tuple[Sampler, ...]
    grid: dict[str, tuple[Any, ...]]
    """The columns of the table: steps, and what else varies."""
    nodes: Nodes = Nodes()
    batch: PositiveInt = 1
    """Pictures of one run, made from one noise."""
    runs: PositiveInt = 16
    """Runs of one unit of work."""
    seed: int = 0
    same_seed: bool = False
    """Whether every run has the same seed."""
    repeats: PositiveInt = 1
    """How often everything is made, with other seeds."""
    baseline: str = ""
    replace: dict[str, Node] = field(default_factory=dict)
    """Nodes by id, in place of the workflow's or beside them."""
    set: dict[str, Any] = field(default_factory=dict)
    """Values and links by `node.input` in place of the workflow's."""
    prompts: Prompts | None = None
    files: tuple[ModelFile, ...] = ()
    betas: Betas | None = None
    family: str = "SD 1.5"
    """Of the model: which published settings the row "LML as published" takes."""
    extractor: str = "inception-v3-compat"
    reference: str = ""
    """The real pictures that FID and the like compare with: see `features.reference`."""
    unknown: tuple[str, ...] = ()
    """What of the published protocol cannot be known or done here, said under the table."""
    path: Path = HERE

    @property
    def template(self) -> dict[str, Any]:
        """The workflow in API form, with the nodes of `replace`."""
        workflow = json.loads((self.path.parent / self.workflow).read_text("utf-8"))
        return workflow | {key: asdict(node) for key, node in self.replace.items()}


def load(name: str) -> Suite:
    """A suite that ships, by its name, or of a file.

    Raises:
        EvaluationError: it cannot be used; the message names the field.
    """
    path = Path(name) if name.endswith(".toml") else HERE / f"{name}.toml"
    data = _read(path)
    if "like" in data:
        data = _read(path.with_name(f"{data.pop('like')}.toml")) | data
    try:
        suite = Suite(**data | {"path": path})
    except ValidationError as error:
        raise EvaluationError(f"{path}: {_said(error.errors()[0])}") from None
    for problem in itertools.chain(checks.wrong_values(suite), checks.wrong_places(suite)):
        raise EvaluationError(f"{path}: {problem}")
    return suite


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        shipped = ", ".join(sorted(each.stem for each in HERE.glob("*.toml")))
        raise EvaluationError(f"There is no suite {path}; those that ship are {shipped}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise EvaluationError(f"{path} is not TOML: {error}.") from error


def _said(error: Any) -> str:
    """What pydantic has found first, in a sentence."""
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error["loc"]).strip(".")
    if error["type"] == "unexpected_keyword_argument":
        return f"{where} is an unknown field."
    return f"{where}: {error['msg']}."
