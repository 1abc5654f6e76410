"""The sampling of ComfyUI's own workflow templates, read from their files: what people start from.

Needs neither ComfyUI nor torch.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import comfyui_workflow_templates_json

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
    """A node, the values of its widgets, and which of its outputs is used."""

    type: str
    values: tuple[Any, ...]
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
    """A node inside its graph, the node that stands for that graph in the one around it, and an output."""

    node: dict[str, Any]
    graph: "Graph"
    around: "Place | None"
    output: int = 0


class Graph:
    """The nodes of a workflow, or of a subgraph, and their links."""

    def __init__(self, content: dict[str, Any], subgraphs: dict[str, Any]) -> None:
        self.nodes = {node["id"]: node for node in content["nodes"]}
        self.subgraphs = subgraphs
        self.links: dict[Any, tuple[Any, int, Any, int]] = {}
        for link in content.get("links", []):
            if isinstance(link, dict):
                link = [link[key] for key in ("id", "origin_id", "origin_slot", "target_id", "target_slot")]
            self.links[link[0]] = (link[1], link[2], link[3], link[4])

    def places(self, around: Place | None = None) -> Iterator[Place]:
        """All nodes, those of subgraphs included, but not those that are switched off."""
        for node in self.nodes.values():
            place = Place(node, self, around)
            if not _is_on(node):
                continue
            yield place
            if node["type"] in self.subgraphs:
                yield from Graph(self.subgraphs[node["type"]], self.subgraphs).places(place)


def folder() -> Path:
    """The folder of the templates that came with this environment."""
    return Path(comfyui_workflow_templates_json.__file__).parent / "templates"


def read(path: Path) -> list[Combination]:
    """What the sampler nodes of a workflow file do; none if it is no workflow, or samples nothing."""
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict) or "nodes" not in content:
        return []
    subgraphs = {graph["id"]: graph for graph in content.get("definitions", {}).get("subgraphs", [])}
    return [_combination(place) for place in Graph(content, subgraphs).places() if place.node["type"] in SAMPLERS]


def collect(folder: Path) -> tuple[int, dict[Combination, list[str]]]:
    """How many files there are in a folder, and the files of each combination in them."""
    found: dict[Combination, list[str]] = {}
    paths = sorted(folder.glob("*.json"))
    for path in paths:
        for combination in read(path):
            found.setdefault(combination, []).append(path.name)
    return len(paths), found


def origin(place: Place, name: str) -> Place | None:
    """The node that an input comes from, across the borders of subgraphs."""
    entry = next((entry for entry in place.node.get("inputs") or () if entry["name"] == name), None)
    if entry is None or entry.get("link") not in place.graph.links:
        return None
    source, slot, *_ = place.graph.links[entry["link"]]
    if source in place.graph.nodes:
        return _inside(Place(place.graph.nodes[source], place.graph, place.around, slot))
    if place.around is None or slot >= len(place.around.node.get("inputs") or ()):
        return None
    definition = place.graph.subgraphs[place.around.node["type"]]
    return origin(place.around, definition["inputs"][slot]["name"]) if slot < len(definition["inputs"]) else None


def _inside(place: Place) -> Place | None:
    """The node itself; of one that stands for a subgraph the node inside that its output comes from."""
    if place.node["type"] not in place.graph.subgraphs:
        return place
    graph = Graph(place.graph.subgraphs[place.node["type"]], place.graph.subgraphs)
    for source, source_slot, target, target_slot in graph.links.values():
        if target not in graph.nodes and target_slot == place.output and source in graph.nodes:
            return _inside(Place(graph.nodes[source], graph, place, source_slot))
    return None


def _upstream(place: Place, *names: str) -> Iterator[Place]:
    """The nodes on the way of inputs of these names, the nearest first; of a node that has none, of all its inputs."""
    queue, seen = [place], set()
    while queue:
        here = queue.pop(0)
        if id(here.node) in seen:
            continue
        seen.add(id(here.node))
        if here is not place:
            yield here
        inputs = [entry["name"] for entry in here.node.get("inputs") or ()]
        wanted = [name for name in inputs if name in names] or ([] if here is place else inputs)
        queue += [found for found in (origin(here, name) for name in wanted) if found is not None]


def _node(place: Place) -> Node:
    values = place.node.get("widgets_values") or ()
    values = tuple(values.values()) if isinstance(values, dict) else tuple(values)
    inputs = [entry for entry in place.node.get("inputs") or () if entry.get("widget")]
    for entry in inputs:  # a number that another node gives
        source = origin(place, entry["name"])
        given = (source.node.get("widgets_values") or ()) if source is not None else ()
        if source is not None and source.node["type"].startswith("Primitive") and isinstance(given, list) and given:
            values = _replaced(place.node["type"], values, entry["name"], given[0])
    return Node(place.node["type"], values, place.output)


POSITIONS = {
    "KSampler": ("seed", "", "steps", "cfg", "sampler_name", "scheduler", "denoise"),
    "KSamplerAdvanced": (
        "add_noise",
        "noise_seed",
        "",
        "steps",
        "cfg",
        "sampler_name",
        "scheduler",
        "start_at_step",
        "end_at_step",
        "return_with_leftover_noise",
    ),
    "SamplerCustom": ("add_noise", "noise_seed", "", "cfg"),
    "SamplerCustomAdvanced": (),
    "BasicScheduler": ("scheduler", "steps", "denoise"),
    "Flux2Scheduler": ("steps", "width", "height"),
    "CFGGuider": ("cfg",),
}
"""The names of the widget values of a node that are looked at by name; "" is what a seed does after a run."""


def _replaced(kind: str, values: tuple[Any, ...], name: str, value: Any) -> tuple[Any, ...]:
    names = POSITIONS.get(kind, ())
    return tuple(value if known == name else old for known, old in zip(names, values, strict=False)) or values


def _combination(place: Place) -> Combination:
    sampler = _node(place)
    named = dict(zip(POSITIONS[sampler.type], sampler.values, strict=False))
    kept = tuple(named[name] for name in named if name not in ("seed", "noise_seed", "sampler_name", ""))
    guider = origin(place, "guider")
    models = list(_upstream(guider or place, "model"))
    files = " ".join(str((at.node.get("widgets_values") or [""])[0]) for at in models if "Loader" in at.node["type"])
    kind, settings = next((kind, own) for name, kind, own in KINDS if re.search(name, files.lower()))
    latents = [at.node["type"] for at in _upstream(place, "latent_image", "samples", "av_latent")]
    nearest = origin(place, "latent_image")
    return Combination(
        Node(sampler.type, kept),
        kind,
        settings,
        tuple(_node(at) for at in reversed(models) if at.node["type"].startswith(MODEL_PATCHES) and _is_on(at.node)),
        "LTXVConcatAVLatent" in latents,
        None if guider is None else _node(guider),
        tuple(map(_node, reversed(list(_sigmas(place))))),
        None if nearest is None or nearest.node["type"] not in SAMPLERS else _combination(nearest),
    )


def _sigmas(place: Place) -> Iterator[Place]:
    """The nodes that the sigmas of a node have come through, the last one first."""
    ways = (entry["name"] for entry in place.node.get("inputs") or () if entry["type"] in ("SIGMAS", "*"))
    before = next(filter(None, (origin(place, name) for name in ways)), None)
    if before is not None:
        if "Sigma" in before.node["type"] or "Scheduler" in before.node["type"]:
            yield before
        yield from _sigmas(before)


def _is_on(node: dict[str, Any]) -> bool:
    return node.get("mode", 0) in (0, 1)
