"""Sampling with prompts, as KSampler does, and with a GUIDER, as SamplerCustomAdvanced does."""

import inspect
import math
from typing import Any

import comfy.model_management
import comfy.sample
import comfy.samplers
import comfy.utils
import latent_preview
from torch import Tensor


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
    result, samples = _prepare(model, latent)
    noise = comfy.sample.prepare_noise(samples, seed, latent.get("batch_index"))
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
        callback=callback or _preview(model, sigmas),
        disable_pbar=not comfy.utils.PROGRESS_BAR_ENABLED,
        seed=seed,
    )
    return result


def sample_guided(guider: Any, sampler: Any, sigmas: Tensor, noise: Any, latent: dict[str, Any]) -> dict[str, Any]:
    """Sample a LATENT with a GUIDER, as SamplerCustomAdvanced does."""
    result, samples = _prepare(guider.model_patcher, latent)
    samples = guider.sample(
        noise.generate_noise({**latent, "samples": samples}),
        samples,
        sampler,
        sigmas,
        denoise_mask=latent.get("noise_mask"),
        callback=_preview(guider.model_patcher, sigmas),
        disable_pbar=not comfy.utils.PROGRESS_BAR_ENABLED,
        seed=noise.seed,
    )
    result["samples"] = samples.to(comfy.model_management.intermediate_device())
    return result


def _prepare(model: Any, latent: dict[str, Any]) -> tuple[dict[str, Any], Tensor]:
    """The LATENT to give back, and the samples as the model takes them."""
    ratios = {
        name: latent.get(name)
        for name in ("downscale_ratio_spacial", "downscale_ratio_temporal")
        if name in inspect.signature(comfy.sample.fix_empty_latent_channels).parameters
    }
    samples = comfy.sample.fix_empty_latent_channels(model, latent["samples"], **ratios)
    return {key: value for key, value in latent.items() if not key.startswith("downscale_ratio_")}, samples


def _preview(model: Any, sigmas: Tensor) -> Any:
    """The callback of a run that shows its progress bar and previews."""
    return latent_preview.prepare_callback(model, max(len(sigmas) - 1, 1))
