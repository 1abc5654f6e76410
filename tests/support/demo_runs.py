"""Run nodes in this process on the demo model, with the defaults of their widgets.

Without gradients, as ComfyUI runs them: in older ones the weights ask for them.
"""

import re
from functools import cache
from pathlib import Path
from runpy import run_path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

Linked = dict[str, Any]
"""What is connected to a sampler node: model, positive, negative, latent_image and perhaps vae."""
NAMES = ("model", "positive", "negative", "latent_image", "vae")
QUICK: dict[str, Any] = {"seed": 1, "steps": 5, "cfg": 4.0}
"""Options of a run that is as good as any other."""
SAMPLER_WARNINGS = ("ignore:To copy construct from a tensor", "ignore:Should have tb<=t1", "ignore:__array_wrap__")
"""Of ComfyUI's own samplers: dpm_fast, the SDE samplers, ipndm_v and deis."""


def demo_inputs(pack: ModuleType, variant: str = "eps", batch: int = 1) -> Linked:
    """The outputs of the demo model, by the names of the inputs that they go to."""
    return dict(zip(NAMES, pack.nodes.demo.LMLDemoModel.execute(variant, "star", "blue", batch).result, strict=True))


def tiny_inputs(variant: str = "eps", batch: int = 1) -> Linked:
    """The same of the model in `packs/`, where it matters what is run and not what it draws: it takes no time."""
    return dict(zip(NAMES, tiny_model().TestTinyModel().make(variant, batch), strict=True))


@cache
def tiny_model() -> SimpleNamespace:
    """The pack `packs/test_tiny_model`, as ComfyUI has it too."""
    return SimpleNamespace(**run_path(str(Path(__file__).parents[1] / "packs" / "test_tiny_model" / "__init__.py")))


def latent(samples: Tensor, **rest: Any) -> Linked:
    """To be sampled in place of the empty latent."""
    return {"latent_image": {"samples": samples, **rest}}


def around_the_model(linked: Linked, wrapper: Any) -> Linked:
    """The same with another model, each of whose calls goes through `wrapper`."""
    model = linked["model"].clone()
    model.set_model_unet_function_wrapper(wrapper)
    return linked | {"model": model}


def never_called(linked: Linked) -> Linked:
    """The same with a model for what ends before the first step."""
    return around_the_model(linked, lambda *_: pytest.fail("the model was called"))


def widget_values(node: Any) -> dict[str, Any]:
    """The defaults of a node's widgets; of a choice that shows inputs, the first one with the defaults of these."""
    values = {}
    for entry in node.define_schema().inputs:
        if hasattr(entry, "default"):
            values[entry.id] = entry.default
        elif entry.get_io_type() == "COMFY_DYNAMICCOMBO_V3":
            first = entry.options[0]
            values[entry.id] = {entry.id: first.key} | {shown.id: shown.default for shown in first.inputs}
    return values


@torch.no_grad()
def run(node: Any, linked: Linked, **options: Any) -> tuple[Any, ...]:
    """The outputs of a node; inputs not given have their defaults."""
    known = {entry.id for entry in node.define_schema().inputs}
    inputs = {key: value for key, value in linked.items() if key in known}
    return node.execute(**(widget_values(node) | inputs | options)).result


def lml(pack: ModuleType, linked: Linked, **options: Any) -> Tensor:
    """Latents of LMLKSampler."""
    return run(pack.nodes.samplers.LMLKSampler, linked, **options)[0]["samples"]


def decoded(pack: ModuleType, linked: Linked, samples: Tensor) -> Tensor:
    """The pictures of latents."""
    return pack.nodes.host.running.decode(linked["vae"], {"samples": samples})


@torch.no_grad()
def built_in(
    linked: Linked,
    sampler: str,
    seed: int,
    steps: int,
    cfg: float,
    scheduler: str = "lml",
    denoise: float = 1.0,
) -> Tensor:
    """Latents of ComfyUI's own KSampler."""
    import nodes

    model, *rest = (linked[key] for key in ("model", "positive", "negative", "latent_image"))
    (result,) = nodes.KSampler().sample(model, seed, steps, cfg, sampler, scheduler, *rest, denoise=denoise)
    return result["samples"]


@torch.no_grad()
def custom(linked: Linked, sampler: Any, sigmas: Tensor, seed: int = 1, cfg: float = 4.0) -> Tensor:
    """Latents of ComfyUI's SamplerCustom."""
    from comfy_extras.nodes_custom_sampler import SamplerCustom

    model, positive, negative, latent = (linked[key] for key in ("model", "positive", "negative", "latent_image"))
    node = SamplerCustom.execute(model, True, seed, cfg, positive, negative, sampler, sigmas, latent)
    return node.result[0]["samples"]


def diffusers_inputs(pack: ModuleType, name: str, batch: int = 2) -> dict[str, Any]:
    """The outputs of LML Load Diffusers Model, by the names of the inputs that they go to."""
    outputs = pack.nodes.diffusers.LMLLoadDiffusersModel.execute(name, batch).result
    linked = dict(zip(("model", "positive", "latent_image", "vae"), outputs, strict=True))
    return linked | {"negative": linked["positive"]}


def model_calls(report: str) -> int:
    """How many model calls LML Tune says that it made."""
    return int(re.findall(r"(\d+) model calls", report)[0])
