"""A diffusion model on pixels, made of ComfyUI's own classes: the demo model."""

import math
from typing import Any, ClassVar

import comfy.latent_formats
import comfy.model_management
import comfy.ops
import comfy.sd
import comfy.supported_models_base
import torch
from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
from comfy.model_base import BaseModel, ModelType
from comfy.model_patcher import ModelPatcher
from torch import Tensor
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from . import scheduling

PATCH = 4
"""Edge of the squares of pixels that are folded into the channels."""
MIDDLE = 0.5
"""Noise level in the middle of what the network is told of it."""
TIMESTEPS = 1000


class PixelUNet(UNetModel):
    """ComfyUI's UNet as a denoiser of pixels, asked for the noise (eps) or for the velocity (flow).

    Squares of pixels are given by their principal components. Each is scaled by its width in the data, and the network
    adds to the best linear estimate of it (arXiv 2206.00364, equation 7, for each component).

    Attributes:
        basis: principal components of a square, `[C, C]`, orthonormal rows.
        width: root mean square of each in the data, `[C]`.
    """

    basis: Tensor
    width: Tensor
    sigmas: Tensor

    def __init__(self, *args: Any, in_channels: int, flow: bool, **config: Any) -> None:
        super().__init__(*args, in_channels=in_channels, **config)
        self.flow = flow
        self.register_buffer("basis", torch.eye(in_channels))
        self.register_buffer("width", torch.ones(in_channels))
        self.register_buffer("sigmas", scheduling.discrete_sigmas(), persistent=False)

    def fold(self, x: Tensor) -> Tensor:
        """Pixels `[B, 3, H, W]` as components `[B, C, H / 4, W / 4]`."""
        return torch.einsum("kc,bchw->bkhw", self.basis.to(x), pixel_unshuffle(x, PATCH))

    def unfold(self, components: Tensor) -> Tensor:
        """The inverse of `fold`."""
        return pixel_shuffle(torch.einsum("kc,bkhw->bchw", self.basis.to(components), components), PATCH)

    def parts(self, x: Tensor, alpha: Tensor, sigma: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Clean picture and noise of the components x = alpha clean + sigma noise, at levels `[B]`."""
        level = torch.atan2(sigma, MIDDLE * alpha) * (2 * TIMESTEPS / math.pi)
        alpha, sigma, width = alpha.view(-1, 1, 1, 1), sigma.view(-1, 1, 1, 1), self.width.to(x).view(1, -1, 1, 1)
        total = torch.hypot(alpha * width, sigma)
        signal, noise, scaled = alpha * width / total, sigma / total, x / total
        velocity = super()._forward(scaled, level, *args, **kwargs)
        return width * (signal * scaled - noise * velocity), noise * scaled + signal * velocity

    def _forward(self, x: Tensor, timesteps: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if self.flow:
            sigma = timesteps / TIMESTEPS
            clean, noise = self.parts(self.fold(x), 1 - sigma, sigma, *args, **kwargs)
            return self.unfold(noise - clean)
        sigma = self.sigmas.to(x)[timesteps.long()]
        alpha = (1 + sigma.square()).rsqrt()
        _, noise = self.parts(self.fold(x), alpha, sigma * alpha, *args, **kwargs)
        return self.unfold(noise)


class PixelModelConfig(comfy.supported_models_base.BASE):
    """What ComfyUI's BaseModel asks of a model family."""

    unet_extra_config: ClassVar[dict[str, Any]] = {}
    latent_format = comfy.latent_formats.ChromaRadiance


def network(unet_config: dict[str, Any]) -> PixelUNet:
    """A bare `PixelUNet` in float32, its weights not initialised: for training."""
    return PixelUNet(**unet_config, flow=True, dtype=torch.float32, operations=comfy.ops.disable_weight_init)


def model(weights: dict[str, Tensor], unet_config: dict[str, Any], flow: bool) -> ModelPatcher:
    """MODEL around a `PixelUNet` in float32, predicting the noise or the flow velocity.

    Raises:
        RuntimeError: the weights are not those of the configuration.
    """
    config = PixelModelConfig(unet_config | {"flow": flow})
    config.set_inference_dtype(torch.float32, None)
    offload_device = comfy.model_management.unet_offload_device()
    model_type = ModelType.FLOW if flow else ModelType.EPS
    base = BaseModel(config, model_type, device=offload_device, unet_model=PixelUNet)
    base.diffusion_model.load_state_dict(weights)
    return ModelPatcher(base, comfy.model_management.get_torch_device(), offload_device)


def vae() -> comfy.sd.VAE:
    """VAE of a model whose latents are pixels in [-1, 1]."""
    return comfy.sd.VAE(sd={"pixel_space_vae": torch.tensor(1.0)})
