"""Sampling with prompts, as KSampler does."""

import math
from typing import Any

import comfy.sample
import comfy.samplers
import comfy.utils
import latent_preview
from torch import Tensor

from . import guided


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
