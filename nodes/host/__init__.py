"""The only package that knows ComfyUI's internals: its samplers, its schedules, its model classes."""

import copy
import dataclasses
import inspect
import math
from pathlib import Path
from typing import Any

import comfy.k_diffusion.sampling as k_diffusion_sampling
import comfy.model_sampling
import comfy.sample
import comfy.samplers
import comfy.utils
import latent_preview
import nodes
from torch import Tensor

from ... import lml_sampler as core
from ...lml_sampler.sampler import DEFAULT_SETTINGS
from . import diffusers as diffusers
from . import families
from . import fingerprint as fingerprint
from . import guided as guided
from . import pixels as pixels
from . import running as running
from .conditional import Conditional as Conditional
from .packed import part_sizes
from .scheduling import add_to_scheduler_list as add_to_scheduler_list
from .scheduling import own_schedule as own_schedule
from .scheduling import schedule as schedule
from .scheduling import scheduler_names as scheduler_names


def sample_lml(
    model: Any,
    x: Tensor,
    sigmas: Tensor,
    extra_args: dict[str, Any] | None = None,
    callback: Any = None,
    disable: bool | None = None,
    settings: core.LMLSettings = DEFAULT_SETTINGS,
    noise_sampler: Any = None,
    recorder: core.Recorder | None = None,
) -> Tensor:
    """`lml_sampler.sample_lml` as ComfyUI calls its samplers: the parametrization is read from the model."""
    model_sampling = model.inner_model.model_patcher.get_model_object("model_sampling")
    if settings.scheme in ("dpmsolver", "dpmsolver++"):
        sigmas = families.below_pure_noise(sigmas, model_sampling)
    if settings.stochastic:
        noise_scale = getattr(model_sampling, "noise_scale", 1.0)
        settings = dataclasses.replace(settings, s_noise=settings.s_noise * noise_scale)
    heard = None if recorder is None else Conditional(extra_args)
    return core.sample_lml(
        model,
        x,
        sigmas,
        extra_args=extra_args if heard is None else heard.extra_args,
        callback=callback,
        disable=disable,
        settings=settings,
        parametrization=families.parametrization(model_sampling),
        noise_sampler=noise_sampler,
        recorder=recorder,
        cond_denoised=None if heard is None else heard.take,
        sigma_min=families.smallest_sigma(model_sampling),
        parts=part_sizes(model, x),
    )


def sampler(settings: core.LMLSettings) -> comfy.samplers.KSAMPLER:
    """A SAMPLER with these settings."""
    return comfy.samplers.KSAMPLER(sample_lml, {"settings": settings})


def folder_of_node(node_id: str) -> Path | None:
    """The folder of the pack from which ComfyUI has loaded a node, if it has."""
    node = nodes.NODE_CLASS_MAPPINGS.get(node_id)
    return Path(inspect.getfile(node)).resolve().parents[1] if node is not None else None


def recorded(sampler: Any, recorder: core.Recorder) -> comfy.samplers.KSAMPLER:
    """The same SAMPLER, its run recorded.

    Raises:
        ValueError: it is not one of this pack.
    """
    function = getattr(sampler, "sampler_function", None)
    if function is not sample_lml:
        name = getattr(function, "__name__", type(sampler).__name__)
        raise ValueError(
            f"sampler is {name}, of which nothing can be reported. Connect LML Sampler, LML Preset or LML Tune."
        )
    return comfy.samplers.KSAMPLER(function, sampler.extra_options | {"recorder": recorder}, sampler.inpaint_options)


def built_in_sampler(name: str) -> comfy.samplers.KSAMPLER:
    """A sampler of ComfyUI's list."""
    return comfy.samplers.sampler_object(name)


def sampler_names() -> list[str]:
    """The live list of samplers, so that those of other packs appear too."""
    return comfy.samplers.SAMPLER_NAMES


def wrapped_sampler(inner: Any, settings: core.LMLSettings) -> comfy.samplers.KSAMPLER:
    """A SAMPLER like `inner`, every model call of which is corrected; `inner` stays as it is.

    Raises:
        ValueError: `inner` brings its own way to call the model.
    """
    if not isinstance(inner, comfy.samplers.KSAMPLER):
        raise ValueError(
            f"sampler is a {type(inner).__name__}, which calls the model in a way of its own. LML wraps every sampler "
            "of KSamplerSelect and of the nodes in model/sampling/samplers that make one of the same kind: use one."
        )
    function = inner.sampler_function
    name = core.wrap_sampler(function, settings).__name__  # now, so that what is wrong with the settings is said now

    def sample(model: Any, x: Tensor, sigmas: Tensor, *args: Any, **options: Any) -> Tensor:
        model_sampling = model.inner_model.model_patcher.get_model_object("model_sampling")
        chosen = core.wrap_sampler(function, settings, families.parametrization(model_sampling), part_sizes(model, x))
        return chosen(model, x, sigmas, *args, **options)

    sample.__name__ = name
    wrapped = copy.copy(inner)
    wrapped.sampler_function = sample
    return wrapped


def add_to_sampler_list(name: str) -> bool:
    """Append a sampler to ComfyUI's list; False, and nothing changed, if another has the name."""
    function = f"sample_{name}"
    taken = getattr(k_diffusion_sampling, function, None)
    if getattr(taken, "__module__", None) == __name__:  # ComfyUI loads the pack once more
        return True
    if name in comfy.samplers.SAMPLER_NAMES or taken is not None:
        return False
    setattr(k_diffusion_sampling, function, sample_lml)
    # One list, unless another pack has put a new one in the place of the first.
    for names in (comfy.samplers.SAMPLER_NAMES, comfy.samplers.KSampler.SAMPLERS):
        if name not in names:
            names.append(name)
    return True


def discrete_sigmas() -> Tensor:
    """The sigmas of SD's 1000 timesteps."""
    return comfy.model_sampling.ModelSamplingDiscrete().sigmas


def sample(
    model: Any,
    sampler: comfy.samplers.KSAMPLER,
    sigmas: Tensor,
    seed: int,
    cfg: float,
    positive: Any,
    negative: Any,
    latent: dict[str, Any],
    add_noise: bool = True,
    callback: Any = None,
) -> dict[str, Any]:
    """Sample a LATENT as KSampler does: noise, mask, batch index, progress bar and preview included.

    `callback(step, denoised, x, steps)` takes the place of the progress bar and preview of this one run.

    Raises:
        ValueError: `cfg` is no number.
    """
    if math.isnan(cfg):  # which ComfyUI's check of the range lets through
        raise ValueError("cfg is nan; it must be a number from 0 to 100. 1 switches the guidance off.")
    result, samples, noise = guided.prepare(model, latent, seed)
    result["samples"] = comfy.sample.sample_custom(
        model,
        noise if add_noise else noise * 0,
        cfg,
        sampler,
        sigmas,
        positive,
        negative,
        samples,
        noise_mask=latent.get("noise_mask"),
        callback=callback or latent_preview.prepare_callback(model, max(len(sigmas) - 1, 1)),
        disable_pbar=not comfy.utils.PROGRESS_BAR_ENABLED,
        seed=seed,
    )
    return result
