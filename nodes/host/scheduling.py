"""The noise levels of a run: by ComfyUI's schedulers and by LML's own."""

import math
from typing import Any

import comfy.model_sampling
import comfy.samplers
import torch
from torch import Tensor

from ...lml_sampler.schedule import lml_schedule
from . import families

LML = "lml"
"""The name of the pack's sampler and schedule, beside those of ComfyUI."""

MOST_SCHEDULE_STEPS = 100_000
"""Steps of a whole schedule, of which `denoise` takes the last ones; ComfyUI itself would try any number."""

WHOLE = 0.9999
"""ComfyUI takes a `denoise` above this for 1."""


def schedule(model: Any, scheduler: str, steps: int, denoise: float = 1.0, sampler_name: str | None = None) -> Tensor:
    """The sigmas that KSampler would use, `[steps + 1]`, empty for `denoise` 0.

    A few built-in samplers have schedules of their own: `sampler_name`. LML's own schedule is there even where it is
    left out of ComfyUI's list, so that a saved workflow runs there too.

    Raises:
        ValueError: `steps` is below 1, or `denoise` no number or so small that the whole schedule would have too many
            steps, or the scheduler fails.
    """
    if scheduler == LML and LML not in comfy.samplers.SCHEDULER_NAMES:
        return own_schedule(model, steps, denoise)
    _check(steps, denoise)
    sigmas = comfy.samplers.KSampler(
        model, steps=steps, device=model.load_device, sampler=sampler_name, scheduler=scheduler, denoise=denoise
    ).sigmas
    if not sigmas.isfinite().all():
        raise ValueError(
            f"scheduler is {scheduler!r}, which fails at this number of steps ({steps}): a noise level of it is no "
            "finite number. Use more steps, or another scheduler."
        )
    return sigmas


def own_schedule(model: Any, steps: int, denoise: float = 1.0) -> Tensor:
    """The same by LML's own schedule, whether ComfyUI's list has it or not.

    Raises:
        ValueError: as `schedule`; or the noise levels of the model are broken.
    """
    _check(steps, denoise)
    if denoise <= 0:
        return torch.FloatTensor([])
    planned = steps if denoise > WHOLE else int(steps / denoise)
    return handler(model.get_model_object("model_sampling"), planned)[-(steps + 1) :]


def handler(model_sampling: Any, steps: int) -> Tensor:
    """A scheduler as ComfyUI calls it: `[steps + 1]` in float32."""
    smallest, largest = float(model_sampling.sigma_min), float(model_sampling.sigma_max)
    parametrization, shift = families.parametrization(model_sampling), None
    if parametrization == "flow":
        middle = float(model_sampling.percent_to_sigma(0.5))
        # A shift so large that its middle is rounded to pure noise counts as 10 million.
        shift = middle / max(1 - middle, 1e-7)
    return torch.FloatTensor(lml_schedule(steps, smallest, largest, parametrization, shift))


def discrete_sigmas() -> Tensor:
    """The sigmas of SD's 1000 timesteps."""
    return comfy.model_sampling.ModelSamplingDiscrete().sigmas


def _check(steps: int, denoise: float) -> None:
    if math.isnan(denoise):  # which ComfyUI's check of the range lets through
        raise ValueError("denoise is nan; it must be a number from 0 to 1. 1 makes a whole picture.")
    if steps < 1:
        raise ValueError(f"steps is {steps}; it must be 1 or more. 8 is a good start.")
    if denoise > 0 and steps / denoise > MOST_SCHEDULE_STEPS:
        raise ValueError(
            f"denoise is {denoise}; with {steps} steps it must be 0 or at least {steps / MOST_SCHEDULE_STEPS:g}: the "
            "schedule of a whole run is made first. 0 leaves the latent as it is."
        )
