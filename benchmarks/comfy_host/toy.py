"""Small exact models inside ComfyUI's own classes: what they answer is the truth, so samplers can be held to it.

A toy knows a few pictures for every shape of latent, each with a little isotropic noise around it, and its denoiser is
the exact mean over them. A prompt is the logarithm of their weights, `[B, 1, PICTURES]`.
Import this only after `inprocess.load_pack`: it needs ComfyUI.
"""

from typing import Any

import comfy.conds
import comfy.latent_formats
import comfy.model_base
import comfy.model_sampling
import comfy.supported_models_base
import torch
from comfy.model_base import ModelType
from comfy.model_patcher import ModelPatcher
from torch import Tensor

PICTURES = 6
SPREAD = 0.35
"""Standard deviation of the noise around each picture."""
UNLIKELY = -6.0
"""The log-weight of what a prompt does not ask for."""

NUDGE = 1e-4
"""A prompt is never without any effect: ComfyUI's PerpNeg divides by what it adds."""

Conditioning = list[list[Any]]


def prompt(*pictures: int) -> Conditioning:
    """A CONDITIONING that asks for some of the pictures, or for any."""
    weights = torch.full((1, 1, PICTURES), UNLIKELY if pictures else 0.0)
    weights[..., list(pictures)] = 0.0
    return [[weights, {}]]


def toy(kind: str = "EPS", packed: bool = False, channels: int = 4, seed: int = 0, **sampling: Any) -> ModelPatcher:
    """A MODEL.

    Args:
        kind: a name of `ModelType`: EPS, V_PREDICTION and its continuous kinds, EDM, FLOW, FLUX.
        packed: whether its latents have several parts.
        channels: of its latents.
        seed: of its pictures.
        sampling: sampling settings, as in ComfyUI's model configurations (`shift`, `multiplier`, ...).
    """

    class Format(comfy.latent_formats.LatentFormat):
        latent_channels = channels
        latent_dimensions = 2

    class Config(comfy.supported_models_base.BASE):
        unet_extra_config: dict[str, Any] = {}  # noqa: RUF012
        latent_format = Format
        sampling_settings = sampling

    class Toy(comfy.model_base.BaseModel):
        def extra_conds(self, **given: Any) -> dict[str, Any]:
            conds = super().extra_conds(**given)
            conds["c_crossattn"] = comfy.conds.CONDRegular(given["cross_attn"])
            if packed:
                conds["latent_shapes"] = comfy.conds.CONDConstant(given["latent_shapes"])
            return conds

    config = Config({})
    config.set_inference_dtype(torch.float32, None)
    cpu = torch.device("cpu")
    base = Toy(config, ModelType[kind], device=cpu, unet_model=lambda **_: Exact(kind, seed))
    base.diffusion_model.sampling = lambda: base.model_sampling
    return ModelPatcher(base, cpu, cpu)


class Exact(torch.nn.Module):
    """The network of a toy: answers what makes ComfyUI's arithmetic give the exact denoised state."""

    def __init__(self, kind: str, seed: int) -> None:
        super().__init__()
        self.dtype = torch.float32
        self.unused = torch.nn.Parameter(torch.zeros(1))
        self.flow = kind in ("FLOW", "FLUX")
        self.v = kind.startswith("V_PREDICTION")
        self.edm = kind == "EDM"
        self.seed = seed
        self.sampling: Any = None

    def forward(self, x: Any, timesteps: Tensor, context: Tensor, **_: Any) -> Any:
        if isinstance(x, list):
            return [self.forward(part, timesteps, context) for part in x]
        sampling, times = self.sampling(), timesteps.double()
        sigma = times / getattr(sampling, "multiplier", 1) if self.flow else sampling.sigma(timesteps).double()
        sigma = sigma.view(-1, *[1] * (x.ndim - 1))
        length = (sigma**2 + 1).sqrt()
        alpha, state = (1 - sigma, x.double()) if self.flow else (torch.ones_like(sigma), x.double() * length)
        denoised = self.denoise(state, alpha, sigma, context[:, 0].double())
        if self.v:
            return ((state / length**2 - denoised) * length / sigma).to(x.dtype)
        if self.edm:
            return ((denoised - state / length**2) * length / sigma).to(x.dtype)
        return ((state - denoised) / sigma).to(x.dtype)

    def denoise(self, state: Tensor, alpha: Tensor, sigma: Tensor, weights: Tensor) -> Tensor:
        """The mean of what the state may be, `[B, ...]`; alpha and sigma `[B, 1, ...]`, weights `[B, PICTURES]`."""
        pictures = self.pictures(state.shape[1:])
        variance = alpha**2 * SPREAD**2 + sigma**2
        off = state[:, None] - alpha[:, None] * pictures[None]
        likely = weights - off.flatten(2).square().sum(-1) / (2 * variance.flatten(1))
        each = pictures[None] + (alpha * SPREAD**2 / variance)[:, None] * off
        share = likely.softmax(-1)
        nudge = NUDGE * weights.mean(-1).view(-1, *[1] * (state.ndim - 1))
        return (share.view(*share.shape, *[1] * (state.ndim - 1)) * each).sum(1) + nudge

    def pictures(self, shape: torch.Size) -> Tensor:
        """`[PICTURES, ...]`, the same ones whenever they are asked for."""
        generator = torch.Generator().manual_seed(self.seed)
        return torch.randn(PICTURES, *shape, generator=generator, dtype=torch.float64)
