"""Workflows around one node, made from its definition: every socket fed, every output looked at."""

import copy
from typing import Any

Prompt = dict[str, Any]
Info = dict[str, Any]
Inputs = dict[str, tuple[str, dict[str, Any], bool]]

FEEDS = {
    "MODEL": ("LMLDemoModel", 0),
    "CONDITIONING": ("LMLDemoModel", 1),
    "LATENT": ("LMLDemoModel", 3),
    "VAE": ("LMLDemoModel", 4),
    "IMAGE": ("EmptyImage", 0),
    "MASK": ("SolidMask", 0),
    "SAMPLER": ("KSamplerSelect", 0),
    "SIGMAS": ("BasicScheduler", 0),
    "NOISE": ("RandomNoise", 0),
    "GUIDER": ("CFGGuider", 0),
}
"""By type of a socket: the node and the output that feed it. The node that makes a type of the pack's own feeds it."""

SMALL = {
    "EmptyImage": {"width": 32, "height": 32},
    "SolidMask": {"width": 32, "height": 32},
    "LMLDemoModel": {"batch_size": 1},
}
WIDGETS = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")

OWN_SAMPLER = ("LMLReportCustom",)
"""Nodes that take samplers of this pack only."""

SUBJECT = "subject"


def inputs_of(info: Info, node: str) -> Inputs:
    """By name of an input: its type, its options, whether it is optional. Old-style lists of choices become COMBO."""
    return _read(info[node]["input"])


def all_inputs_of(info: Info, node: str) -> Inputs:
    """The same with the inputs that a choice shows, as `choice.input` after it; the choice itself becomes a COMBO.

    Those of every option are there, the first option's where two have the same name.
    """
    result: Inputs = {}
    for name, (kind, options, optional) in inputs_of(info, node).items():
        shown: Inputs = {}
        if kind == "COMFY_DYNAMICCOMBO_V3":
            for choice in reversed(options["options"]):
                shown |= {f"{name}.{key}": entry for key, entry in _read(choice["inputs"]).items()}
            kind, options = "COMBO", options | {"options": [choice["key"] for choice in options["options"]]}
        result |= {name: (kind, options, optional)} | shown
    return result


def _read(groups: dict[str, Any]) -> Inputs:
    result = {}
    for group in ("required", "optional"):
        for name, (kind, *rest) in groups.get(group, {}).items():
            options = rest[0] if rest else {}
            if isinstance(kind, list):
                kind, options = "COMBO", {"options": kind} | options
            result[name] = (kind, options, group == "optional")
    return result


def around(info: Info, node: str, values: dict[str, Any] | None = None, **nodes: dict[str, Any]) -> Prompt:
    """A workflow in API form with `node` under the id "subject", its latents saved and its images previewed.

    Args:
        info: the node definitions of the server.
        node: its type.
        values: values or links for its inputs; the others get their default or a feed.
        nodes: further nodes by id, for `values` to link to.

    Raises:
        LookupError: nothing feeds a socket that it requires.
    """
    prompt: Prompt = dict(nodes)
    _add(prompt, info, SUBJECT, node, values or {})
    for place, kind in enumerate(info[node]["output"]):
        _look_at(prompt, info, [SUBJECT, place], kind, f"{SUBJECT}_{place}")
    return prompt


def _add(prompt: Prompt, info: Info, key: str, node: str, values: dict[str, Any]) -> None:
    prompt[key] = {"class_type": node, "inputs": dict(values)}
    for name, (kind, options, optional) in all_inputs_of(info, node).items():
        if name in values:
            continue
        if (kind in WIDGETS or "default" in options) and not options.get("forceInput"):
            prompt[key]["inputs"][name] = default(options)
        elif not optional:
            prompt[key]["inputs"][name] = _feed(prompt, info, node, name, kind)


def default(options: dict[str, Any]) -> Any:
    """What a widget holds when its node is added."""
    return options["default"] if "default" in options else next(iter(options.get("options", [""])))


def with_defaults(prompt: Prompt, info: Info) -> Prompt:
    """A workflow with the defaults of all widgets that it leaves out; of unknown nodes ComfyUI itself says it."""
    result = copy.deepcopy(prompt)
    for node in result.values():
        inputs = all_inputs_of(info, node["class_type"]) if node["class_type"] in info else {}
        for key, (kind, options, optional) in inputs.items():
            if key not in node["inputs"] and not optional and (kind in WIDGETS or "default" in options):
                node["inputs"][key] = default(options)
    return result


def _feed(prompt: Prompt, info: Info, fed: str, name: str, kind: str) -> list[Any]:
    own = kind == "SAMPLER" and fed in OWN_SAMPLER
    node, place = (not own and FEEDS.get(kind)) or _own_feed(info, kind)
    if name == "negative":
        place += 1
    if node not in prompt:
        _add(prompt, info, node, node, SMALL.get(node, {}))
    return [node, place]


def _own_feed(info: Info, kind: str) -> tuple[str, int]:
    for node, definition in info.items():
        if node.startswith("LML") and kind in definition["output"]:
            return node, definition["output"].index(kind)
    raise LookupError(f"nothing feeds a socket of type {kind}")


def _look_at(prompt: Prompt, info: Info, link: list[Any], kind: str, key: str) -> None:
    if kind == "LATENT":
        prompt[key] = {"class_type": "SaveLatent", "inputs": {"samples": link, "filename_prefix": "latents/subject"}}
    elif kind == "IMAGE":
        prompt[key] = {"class_type": "PreviewImage", "inputs": {"images": link}}
    elif kind in ("SAMPLER", "SIGMAS"):
        _add(prompt, info, key, "SamplerCustom", {"cfg": 4.0, kind.lower(): link})
        _look_at(prompt, info, [key, 0], "LATENT", f"{key}_latent")
    else:
        prompt[key] = {"class_type": "PreviewAny", "inputs": {"source": link}}
