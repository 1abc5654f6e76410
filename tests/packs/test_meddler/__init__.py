"""A pack for the tests that does to ComfyUI's samplers what other packs do: reload, wrap, insert, replace lists."""

import functools
import importlib

import comfy.k_diffusion.sampling
import comfy.sample
import comfy.samplers
import latent_preview
import torch


def wrapped(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


importlib.reload(comfy.k_diffusion.sampling)
comfy.k_diffusion.sampling.sample_test_meddler = functools.partial(comfy.k_diffusion.sampling.sample_euler)
comfy.samplers.SAMPLER_NAMES.insert(comfy.samplers.SAMPLER_NAMES.index("heun"), "test_meddler")
comfy.samplers.KSampler.SAMPLERS = list(comfy.samplers.SAMPLER_NAMES)
comfy.samplers.KSAMPLER.sample = wrapped(comfy.samplers.KSAMPLER.sample)
comfy.samplers.CFGGuider.predict_noise = wrapped(comfy.samplers.CFGGuider.predict_noise)
comfy.samplers.sampling_function = wrapped(comfy.samplers.sampling_function)
comfy.samplers.sampler_object = wrapped(comfy.samplers.sampler_object)
comfy.sample.prepare_noise = wrapped(comfy.sample.prepare_noise)
comfy.sample.sample_custom = wrapped(comfy.sample.sample_custom)
latent_preview.prepare_callback = wrapped(latent_preview.prepare_callback)
torch.manual_seed(4)

NODE_CLASS_MAPPINGS: dict[str, type] = {}
