"""A denoiser in the place of ComfyUI's guider: every sampler of ComfyUI takes it as it is.

To be imported after `load_pack`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import comfy.model_sampling
import torch
from torch import Tensor

from .grid import Path


def model_sampling(path: Path, shift: float | None, sigma_range: tuple[float, float] | None = None) -> Any:
    """ComfyUI's noise levels: those of SD3 and FLUX for `flow`; for `ve` those of SD, or of EDM within a range."""
    if path == "flow":
        bases = (comfy.model_sampling.ModelSamplingDiscreteFlow, comfy.model_sampling.CONST)
        sampling = type("ModelSampling", bases, {})()
        sampling.set_parameters(shift=1.0 if shift is None else shift, multiplier=1000)
        return sampling
    if sigma_range is None:
        bases = (comfy.model_sampling.ModelSamplingDiscrete, comfy.model_sampling.EPS)
        return type("ModelSampling", bases, {})()
    bases = (comfy.model_sampling.ModelSamplingContinuousEDM, comfy.model_sampling.EPS)
    sampling = type("ModelSampling", bases, {})()
    sampling.set_parameters(*sigma_range, 1.0)
    return sampling


class BareProblem(ABC):
    """What `KSAMPLER.sample` and the samplers of k-diffusion call; a subclass denoises.

    Attributes:
        calls: model calls of the last run; a guided pair counts once.
        model_patcher: what stands for the MODEL.
        noise: the standard normal noise that runs start from, `[B, ...]`.
    """

    def __init__(self, sampling: Any, noise: Tensor, cfg: float, seed: int) -> None:
        self.noise, self.cfg, self.seed, self.calls = noise, cfg, seed, 0
        cpu, network = torch.device("cpu"), torch.nn.Module()
        self.model_patcher = SimpleNamespace(get_model_object=lambda name: sampling, model=self, load_device=cpu)
        self.inner_model = SimpleNamespace(model_sampling=sampling, diffusion_model=network, device=cpu)

    @abstractmethod
    def conditional(self, x: Tensor, sigma: float) -> Tensor:
        """E[x0 | x, class], like x."""

    @abstractmethod
    def unconditional(self, x: Tensor, sigma: float) -> Tensor:
        """E[x0 | x], like x."""

    def __call__(self, x: Tensor, sigma: Tensor, model_options: dict[str, Any], seed: int | None) -> Tensor:
        """The guided denoised state; CFG++ samplers leave their hook in `model_options`."""
        self.calls += 1
        hooks: list[Callable[[dict[str, Any]], Tensor]] = model_options.get("sampler_post_cfg_function", [])
        level = float(sigma[0])
        conditional = unconditional = self.conditional(x, level)
        if self.cfg != 1 or hooks:
            unconditional = self.unconditional(x, level)
        result = torch.lerp(unconditional, conditional, self.cfg)
        for hook in hooks:
            result = hook(
                {
                    "denoised": result,
                    "cond_denoised": conditional,
                    "uncond_denoised": unconditional,
                    "uncond": None if self.cfg == 1 else True,
                    "cond_scale": self.cfg,
                    "sigma": sigma,
                    "input": x,
                    "model": self,
                    "model_options": model_options,
                }
            )
        return result

    def start(self) -> Tensor:
        """The state that a whole run starts from."""
        sampling = self.inner_model.model_sampling
        return sampling.noise_scaling(sampling.sigma_max, self.noise, torch.zeros_like(self.noise), True)

    def run(self, sampler: Any, sigmas: Tensor, latent: Tensor | None = None) -> Tensor:
        """Sample from the problem's noise, or go on with the latent of a run that was broken off; `[B, D]`."""
        self.calls = 0
        extra_args = {"seed": self.seed, "model_options": {}}
        noise = self.noise.clone() if latent is None else torch.zeros_like(self.noise)
        latent = torch.zeros_like(self.noise) if latent is None else latent.view_as(self.noise)
        with torch.inference_mode():
            return sampler.sample(self, sigmas.to(noise.dtype), extra_args, None, noise, latent, None, True).flatten(1)
