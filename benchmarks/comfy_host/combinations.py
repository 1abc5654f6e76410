"""Samples as a workflow template does, on a small exact model of the kind.

Import this only after `inprocess.load_pack`: it needs ComfyUI.
"""

import importlib
import inspect
from typing import Any

import comfy.sample
import comfy.samplers
import nodes
import torch
from comfy.nested_tensor import NestedTensor
from torch import Tensor

from . import toy
from .templates import Combination, Node

MODULES = ("custom_sampler", "lt", "flux", "ideogram4", "model_advanced", "cfg")
"""Of ComfyUI's extra nodes, those with schedulers, guiders and patches of models."""

SEED = 5
POSITIVE, OTHER, NEGATIVE = toy.prompt(1, 2), toy.prompt(3), toy.prompt()


class Unknown(Exception):
    """This ComfyUI has no such node."""


def run(combination: Combination, name: str) -> Tensor:
    """The latent that the sampler of a name gives, `[1, 4, 4, 4]`; of video and sound both in one row.

    Raises:
        Unknown: see there.
    """
    result = _latent(combination, name)
    return torch.cat([part.flatten(1) for part in result.unbind()], 1) if result.is_nested else result


def _latent(combination: Combination, name: str, seed: int = 0) -> Any:
    before = combination.before
    if before is not None:
        latent = _latent(before, name, seed + 1)
    elif combination.packed:
        latent = NestedTensor([torch.zeros(1, 4, 2, 4, 4), torch.zeros(1, 4, 8)])
    else:
        latent = torch.zeros(1, 4, 4, 4)
    model = toy.toy(combination.kind, combination.packed, seed=seed, **dict(combination.settings))
    for patch in combination.patches:
        model = _call(patch, model)[0]
    values = dict(combination.sampler.values)
    if combination.sampler.type.startswith("KSampler"):
        values |= {"noise_seed" if "add_noise" in values else "seed": SEED, "sampler_name": name}
        values |= {"positive": POSITIVE, "negative": NEGATIVE, "latent_image": {"samples": latent}}
        return nodes.NODE_CLASS_MAPPINGS[combination.sampler.type]().sample(model, **values)[0]["samples"]
    guider = combination.guider or Node("CFGGuider", (("cfg", values.get("cfg")),))
    sigmas = torch.empty(0)
    for node in combination.sigmas:
        given = () if node is combination.sigmas[0] else (sigmas,)
        sigmas = _call(node, model, *given)[node.output]
    sampler = comfy.samplers.sampler_object(name)
    noise = comfy.sample.prepare_noise(latent, SEED)
    return _guider(guider, model).sample(noise, latent, sampler, sigmas, disable_pbar=True, seed=SEED)


def _guider(guider: Node, model: Any) -> Any:
    prompts = {
        "BasicGuider": (POSITIVE,),
        "CFGGuider": (POSITIVE, NEGATIVE),
        "DualCFGGuider": (POSITIVE, OTHER, NEGATIVE),
    }
    if guider.type == "DualModelGuider":
        both = (("model_negative", model), ("negative", NEGATIVE))
        return _call(guider._replace(values=guider.values + both), model, POSITIVE)[0]
    return _call(guider, model, *prompts.get(guider.type, (POSITIVE, NEGATIVE)))[0]


def _call(node: Node, model: Any, *given: Any) -> Any:
    """The outputs of a node of ComfyUI; `given` are its other connected inputs."""
    modules = [importlib.import_module(f"comfy_extras.nodes_{name}") for name in MODULES]
    found = next((getattr(module, node.type) for module in modules if hasattr(module, node.type)), None)
    if found is None:
        raise Unknown(f"this ComfyUI has no node {node.type}")
    function = found.execute if hasattr(found, "execute") else getattr(found(), found.FUNCTION)
    connected = (model, *given) if "model" in inspect.signature(function).parameters else given
    result = function(*connected, **dict(node.values))
    return getattr(result, "result", result)
