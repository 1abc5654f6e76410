"""The sampling of ComfyUI's own workflow templates, read from their files: what people start from."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import comfyui_workflow_templates_json
from comfy_cli.workflow_to_api import convert_ui_to_api

from .prompts import WIDGETS, Info, Prompt, inputs_of

SAMPLERS = ("KSampler", "KSamplerAdvanced", "SamplerCustom", "SamplerCustomAdvanced")
MODEL_PATCHES = ("ModelSampling", "RescaleCFG", "CFGNorm", "CFGZeroStar")
"""How the names begin of the nodes on the way of a model that change its sigmas or its guidance."""

KINDS: tuple[tuple[str, str, tuple[tuple[str, float], ...]], ...] = (
    ("svd", "V_PREDICTION_EDM", (("sigma_max", 700.0), ("sigma_min", 0.002))),
    ("stable-audio-open", "V_PREDICTION_CONTINUOUS", (("sigma_max", 500.0), ("sigma_min", 0.03))),
    ("void", "V_PREDICTION", ()),
    ("lotus|v1-5|sd_xl|dreamshaper", "EPS", ()),
    ("flux1|flux.1", "FLUX", (("shift", 1.15),)),
    ("flux-?2", "FLUX", (("shift", 2.02),)),
    ("qwen", "FLUX", (("shift", 1.15),)),
    ("ltx", "FLUX", (("shift", 2.37),)),
    ("hunyuan.?3d", "FLUX", (("shift", 1.0),)),
    ("hunyuan", "FLOW", (("shift", 7.0),)),
    ("wan|humo", "FLOW", (("shift", 8.0),)),
    ("", "FLOW", (("shift", 3.0),)),
)
"""By what is in a model's file name: the kind of the model and ComfyUI's sampling settings of its family."""


class Node(NamedTuple):
    """A node, the values of its widgets by name, and which of its outputs is used."""

    type: str
    values: tuple[tuple[str, Any], ...]
    output: int = 0


class Combination(NamedTuple):
    """What decides how one sampler node of a workflow samples."""

    sampler: Node
    """Without its seed and the name of its sampler."""
    kind: str
    """A name of ComfyUI's `ModelType`."""
    settings: tuple[tuple[str, float], ...]
    """Sampling settings of the model's family."""
    patches: tuple[Node, ...]
    """Of the model, in their order."""
    packed: bool
    """Whether a video and its sound are one latent."""
    guider: Node | None
    sigmas: tuple[Node, ...]
    """The scheduler, then what changes its sigmas."""
    before: "Combination | None"
    """The sampler whose latent goes straight into this one (the first of two experts)."""


class Place(NamedTuple):
    """A node of a workflow by its id, and one of its outputs."""

    key: str
    output: int = 0


class Collected(NamedTuple):
    """From the workflow files of a folder."""

    files: int
    found: dict[Combination, list[str]]
    """The files of each combination."""
    unread: list[str]
    """The files that sample with a node that this ComfyUI does not know."""


class UnknownNode(Exception):
    """A node decides how a workflow samples, and this ComfyUI does not know it."""


def folder() -> Path:
    """The folder of the templates that came with this environment."""
    return Path(comfyui_workflow_templates_json.__file__).parent / "templates"


def read(path: Path, info: Info) -> list[Combination]:
    """What the sampler nodes of a workflow file do; none if it is no workflow, or samples nothing.

    Raises:
        UnknownNode: it needs another ComfyUI.
    """
    text = path.read_text(encoding="utf-8")
    if not any(f'"{name}"' in text for name in SAMPLERS):
        return []
    return Workflow(convert_ui_to_api(json.loads(text), info), info).combinations()


def collect(folder: Path, info: Info) -> Collected:
    """What the workflow files of a folder do."""
    found: dict[Combination, list[str]] = {}
    unread: list[str] = []
    paths = sorted(folder.glob("*.json"))
    for path in paths:
        try:
            combinations = read(path, info)
        except UnknownNode as error:
            unread.append(f"{path.name}: {error}")
            continue
        for combination in combinations:
            found.setdefault(combination, []).append(path.name)
    return Collected(len(paths), found, unread)


class Workflow:
    """A workflow in API form, and the definitions of its nodes."""

    def __init__(self, prompt: Prompt, info: Info) -> None:
        self.prompt, self.info = prompt, info

    def combinations(self) -> list[Combination]:
        """Of all sampler nodes."""
        return [self._combination(Place(key)) for key in self.prompt if self._type(Place(key)) in SAMPLERS]

    def _type(self, place: Place) -> str:
        return self.prompt[place.key]["class_type"]

    def _known(self, place: Place) -> str:
        """The type of a node whose definition is needed.

        Raises:
            UnknownNode: there is none.
        """
        name = self._type(place)
        if name not in self.info:
            raise UnknownNode(f"{name} is not in this ComfyUI")
        return name

    def _links(self, place: Place) -> dict[str, Place]:
        """Where the connected inputs of a node come from."""
        values = self.prompt[place.key]["inputs"].items()
        return {name: Place(*value) for name, value in values if isinstance(value, list) and value[0] in self.prompt}

    def _upstream(self, place: Place, *names: str) -> Iterator[Place]:
        """The nodes on the way of inputs of these names, the nearest first; of a node without them, of all inputs."""
        queue, seen = [place], set()
        while queue:
            here = queue.pop(0)
            if here.key in seen:
                continue
            seen.add(here.key)
            if here is not place:
                yield here
            links = self._links(here)
            wanted = [links[name] for name in links if name in names]
            queue += wanted or ([] if here is place else links.values())

    def _sigmas(self, place: Place) -> Iterator[Place]:
        """The nodes that the sigmas of a node have come through, the last one first."""
        for before in self._links(place).values():
            if self.info[self._known(before)]["output"][before.output] == "SIGMAS":
                yield before
                yield from self._sigmas(before)
                return

    def _node(self, place: Place, *without: str) -> Node:
        given, values, node = self.prompt[place.key]["inputs"], {}, self._known(place)
        for name, (kind, options, _) in inputs_of(self.info, node).items():
            if kind in WIDGETS and name in given and name not in without:
                values[name] = self._value(given[name], options.get("default"))
        return Node(node, tuple(values.items()), place.output)

    def _value(self, value: Any, default: Any) -> Any:
        """Of a widget: its own, or that of a primitive node behind switches; the default if it is computed."""
        while isinstance(value, list):
            inputs = self.prompt.get(value[0], {"inputs": {}})["inputs"]
            chosen = "on_true" if self._value(inputs.get("switch"), False) else "on_false"
            value = inputs.get(chosen if "switch" in inputs else "value", default)
        return value

    def _combination(self, place: Place) -> Combination:
        links = self._links(place)
        guider, before = links.get("guider"), links.get("latent_image")
        models = list(self._upstream(guider or place, "model"))
        loaders = [at for at in models if "Loader" in self._type(at)]
        files = " ".join(str(next(iter(self.prompt[at.key]["inputs"].values()), "")) for at in loaders)
        kind, settings = next((kind, own) for name, kind, own in KINDS if re.search(name, files.lower()))
        latents = self._upstream(place, "latent_image", "samples", "av_latent")
        patches = [at for at in reversed(models) if self._type(at).startswith(MODEL_PATCHES)]
        return Combination(
            self._node(place, "seed", "noise_seed", "sampler_name"),
            kind,
            settings,
            tuple(map(self._node, patches)),
            any(self._type(at) == "LTXVConcatAVLatent" for at in latents),
            None if guider is None else self._node(guider),
            tuple(map(self._node, reversed(list(self._sigmas(place))))),
            None if before is None or self._type(before) not in SAMPLERS else self._combination(before),
        )
