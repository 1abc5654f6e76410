"""LML as a SAMPLER: as it is, around another sampler, and recorded."""

import copy
import dataclasses
import functools
from typing import Any

import comfy.samplers
from torch import Tensor

from ... import lml_sampler as core
from ...lml_sampler.sampler import DEFAULT_SETTINGS
from ...lml_sampler.settings import MULTISTEP
from . import families
from .conditional import Conditional
from .packed import part_sizes


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
    model_sampling = _sampling_of(model)
    if settings.scheme in MULTISTEP:
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


def _sampling_of(model: Any) -> Any:
    """The model_sampling behind what ComfyUI calls a sampler with.

    Raises:
        ValueError: a node that wraps the sampler has put something of its own in the place of it.
    """
    try:
        return model.inner_model.model_patcher.get_model_object("model_sampling")
    except AttributeError as error:
        raise ValueError(
            f"the model that LML gets is a {type(model).__name__} of another node, which hides what kind of model it "
            "is. Connect LML's sampler without the node around it, or take euler there."
        ) from error


def sampler(settings: core.LMLSettings) -> comfy.samplers.KSAMPLER:
    """A SAMPLER with these settings."""
    return comfy.samplers.KSAMPLER(sample_lml, {"settings": settings})


def wrapped_sampler(inner: Any, settings: core.LMLSettings) -> comfy.samplers.KSAMPLER:
    """A SAMPLER like `inner`, every model call of which is corrected; `inner` stays as it is.

    Raises:
        ValueError: `inner` brings its own way to call the model, or is LML itself.
    """
    if not isinstance(inner, comfy.samplers.KSAMPLER):
        raise ValueError(
            f"sampler is a {type(inner).__name__}, which calls the model in a way of its own. LML wraps every sampler "
            "of KSamplerSelect and of the nodes in model/sampling/samplers that make one of the same kind: use one."
        )
    function = inner.sampler_function
    if function is sample_lml:
        raise ValueError("sampler is lml, which has the correction already. Use it as it is, or connect another one.")
    like = core.wrap_sampler(function, settings)  # now, so that what is wrong with the settings is said now

    @functools.wraps(like)  # its name, and its signature: nodes that give a sampler noise or options look at that
    def sample(model: Any, x: Tensor, sigmas: Tensor, *args: Any, **options: Any) -> Tensor:
        model_sampling = _sampling_of(model)
        chosen = core.wrap_sampler(function, settings, families.parametrization(model_sampling), part_sizes(model, x))
        return chosen(model, x, sigmas, *args, **options)

    wrapped = copy.copy(inner)
    wrapped.sampler_function = sample
    return wrapped


def recorded(sampler: Any, recorder: core.Recorder) -> comfy.samplers.KSAMPLER:
    """The same SAMPLER, its run recorded.

    Raises:
        ValueError: it is not one of this pack.
    """
    function = getattr(sampler, "sampler_function", None)
    if function is not sample_lml:
        name = getattr(function, "__name__", type(sampler).__name__)
        raise ValueError(
            f"sampler is {name}, of which nothing can be reported. Connect LML Sampler, LML Preset, LML κ Curve, LML "
            "Tune, or lml of KSamplerSelect."
        )
    return comfy.samplers.KSAMPLER(function, sampler.extra_options | {"recorder": recorder}, sampler.inpaint_options)
