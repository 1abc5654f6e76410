"""Nodes for tests of thousands of workflows: a model and a look at the results that take next to no time."""

import gc
from typing import Any, ClassVar

import comfy.latent_formats
import comfy.sd
import comfy.supported_models_base
import torch
from comfy.model_base import BaseModel, ModelType
from comfy.model_patcher import ModelPatcher
from torch import Tensor

gc.freeze()  # ComfyUI collects every ten seconds, which takes 0.3 s for what is loaded by now

CHANNELS = 3
SIZE = 8


class Network(torch.nn.Module):
    """Mixes the channels of each pixel, by the prompt and the noise level."""

    def __init__(self, dtype: torch.dtype, device: Any, operations: Any, **_: Any) -> None:
        super().__init__()
        self.dtype = dtype
        self.mix = operations.Linear(CHANNELS, CHANNELS, dtype=dtype, device=device)

    def forward(self, x: Tensor, timesteps: Tensor, context: Tensor, **_: Any) -> Tensor:
        mixed = self.mix(x.movedim(1, -1)).movedim(-1, 1)
        prompt, level = (value.view(-1, 1, 1, 1) for value in (context.mean((1, 2)), torch.cos(timesteps / 1000)))
        return torch.tanh(mixed + prompt) * level


class Config(comfy.supported_models_base.BASE):
    unet_extra_config: ClassVar[dict[str, Any]] = {}
    latent_format = comfy.latent_formats.ChromaRadiance


class TestTinyModel:
    """Has the outputs of LML Demo Model."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"variant": (["eps", "flow"],), "batch_size": ("INT", {"default": 2, "min": 1})}}

    RETURN_TYPES = ("MODEL", "CONDITIONING", "CONDITIONING", "LATENT", "VAE")
    FUNCTION = "make"
    CATEGORY = "testing"

    def make(self, variant: str, batch_size: int) -> tuple[Any, ...]:
        """ComfyUI's own model, patcher and pixel VAE around the network, on pictures of 8 x 8 pixels."""
        config, device = Config({}), torch.device("cpu")
        config.set_inference_dtype(torch.float32, None)
        base = BaseModel(config, ModelType[variant.upper()], device=device, unet_model=Network)
        generator = torch.Generator().manual_seed(3)
        weight = torch.randn(CHANNELS, CHANNELS, generator=generator) * 0.6
        base.diffusion_model.mix.load_state_dict({"weight": weight, "bias": torch.zeros(CHANNELS)})
        positive = torch.randn(1, 2, 4, generator=generator)
        return (
            ModelPatcher(base, device, device),
            [[positive, {}]],
            [[torch.zeros_like(positive), {}]],
            {"samples": torch.zeros(batch_size, CHANNELS, SIZE, SIZE)},
            comfy.sd.VAE(sd={"pixel_space_vae": torch.tensor(1.0)}),
        )


class TestFinite:
    """Says whether all numbers of a LATENT or an IMAGE are finite, as an output of the workflow."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"value": ("*",)}}

    RETURN_TYPES = ()
    OUTPUT_NODE = True
    FUNCTION = "look"
    CATEGORY = "testing"

    def look(self, value: Any) -> dict[str, Any]:
        numbers = value["samples"] if isinstance(value, dict) else value
        return {"ui": {"finite": [bool(numbers.numel() and numbers.isfinite().all())]}}


NODE_CLASS_MAPPINGS = {"TestFinite": TestFinite, "TestTinyModel": TestTinyModel}
