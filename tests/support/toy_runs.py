"""Sample the small exact models of `comfy_host.toy` as ComfyUI does: a guider, a sampler of its list, any sigmas.

ComfyUI is imported where it is used: it is there only once the pack is loaded.
"""

from typing import Any

import torch
from torch import Tensor

Guider = Any
CONTENT = (1, 2)
"""The pictures that are asked for."""


def prompt(*pictures: int) -> Any:
    """A CONDITIONING that asks for some of a model's pictures, or for any."""
    from comfy_host import toy

    return toy.prompt(*pictures)


def guider_of(kind: Any, model: Any, cfg: float | Tensor, positive: Any = None, negative: Any = None) -> Guider:
    """A guider of a class; without prompts it leads from any picture to those of `CONTENT`."""
    made = kind(model)
    made.set_conds(prompt(*CONTENT) if positive is None else positive, prompt() if negative is None else negative)
    made.set_cfg(cfg)
    return made


def guided(model: Any, cfg: float = 3.0, positive: Any = None, negative: Any = None) -> Guider:
    """ComfyUI's own guider."""
    import comfy.samplers

    return guider_of(comfy.samplers.CFGGuider, model, cfg, positive, negative)


def scheduled(model: Any, scheduler: str, steps: int, denoise: float = 1.0) -> Tensor:
    """The sigmas of KSampler."""
    import comfy.samplers

    return comfy.samplers.KSampler(model, steps, torch.device("cpu"), "euler", scheduler, denoise).sigmas


def sample(guider: Guider, name: str, sigmas: Tensor, latent: Any, noise: Any = None) -> Any:
    """What a sampler makes of a latent, from noise of a seed or from `noise`."""
    import comfy.sample
    import comfy.samplers

    start = comfy.sample.prepare_noise(latent, 3) if noise is None else noise
    return guider.sample(start, latent, comfy.samplers.sampler_object(name), sigmas, disable_pbar=True, seed=3)
