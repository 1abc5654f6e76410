"""A diffusion model on pixels, made of ComfyUI's own classes: the demo model."""

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


class PixelUNet(UNetModel):
    """ComfyUI's UNet on pixels: 2 x 2 of them are folded into the channels."""

    def _forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        folded = torch.nn.functional.pixel_unshuffle(x, 2)
        return torch.nn.functional.pixel_shuffle(super()._forward(folded, *args, **kwargs), 2)


class PixelModelConfig(comfy.supported_models_base.BASE):
    """What ComfyUI's BaseModel asks of a model family."""

    unet_extra_config: ClassVar[dict[str, Any]] = {}
    latent_format = comfy.latent_formats.ChromaRadiance


def network(unet_config: dict[str, Any]) -> PixelUNet:
    """A bare `PixelUNet` in float32, its weights not initialised: for training."""
    return PixelUNet(**unet_config, dtype=torch.float32, operations=comfy.ops.disable_weight_init)


def model(weights: dict[str, Tensor], unet_config: dict[str, Any], flow: bool) -> ModelPatcher:
    """MODEL around a `PixelUNet` in float32, predicting the noise or the flow velocity.

    Raises:
        RuntimeError: the weights are not those of the configuration.
    """
    config = PixelModelConfig(unet_config)
    config.set_inference_dtype(torch.float32, None)
    offload_device = comfy.model_management.unet_offload_device()
    model_type = ModelType.FLOW if flow else ModelType.EPS
    base = BaseModel(config, model_type, device=offload_device, unet_model=PixelUNet)
    base.diffusion_model.load_state_dict(weights)
    return ModelPatcher(base, comfy.model_management.get_torch_device(), offload_device)


def vae() -> comfy.sd.VAE:
    """VAE of a model whose latents are pixels in [-1, 1]."""
    return comfy.sd.VAE(sd={"pixel_space_vae": torch.tensor(1.0)})
