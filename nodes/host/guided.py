"""Sampling with a GUIDER, and what all sampling starts with."""

import inspect
from typing import Any

import comfy.model_management
import comfy.sample
import comfy.utils
import latent_preview
from torch import Tensor


def prepare(model: Any, latent: dict[str, Any], seed: int) -> tuple[dict[str, Any], Tensor, Tensor]:
    """The LATENT to give back, the samples as the model takes them, and the noise of a seed."""
    ratios = {
        name: latent.get(name)
        for name in ("downscale_ratio_spacial", "downscale_ratio_temporal")
        if name in inspect.signature(comfy.sample.fix_empty_latent_channels).parameters
    }
    samples = comfy.sample.fix_empty_latent_channels(model, latent["samples"], **ratios)
    noise = comfy.sample.prepare_noise(samples, seed, latent.get("batch_index"))
    return {key: value for key, value in latent.items() if not key.startswith("downscale_ratio_")}, samples, noise


def sample(guider: Any, sampler: Any, sigmas: Tensor, noise: Any, latent: dict[str, Any]) -> dict[str, Any]:
    """Sample a LATENT as SamplerCustomAdvanced does."""
    result, samples, _ = prepare(guider.model_patcher, latent, noise.seed)
    samples = guider.sample(
        noise.generate_noise({**latent, "samples": samples}),
        samples,
        sampler,
        sigmas,
        denoise_mask=latent.get("noise_mask"),
        callback=latent_preview.prepare_callback(guider.model_patcher, max(len(sigmas) - 1, 1)),
        disable_pbar=not comfy.utils.PROGRESS_BAR_ENABLED,
        seed=noise.seed,
    )
    result["samples"] = samples.to(comfy.model_management.intermediate_device())
    return result
