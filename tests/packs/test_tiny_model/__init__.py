"""Nodes for tests of thousands of workflows: a model and a look at the results that take next to no time."""

import gc
from functools import partial
from typing import Any, ClassVar

import comfy.conds
import comfy.latent_formats
import comfy.sd
import comfy.supported_models_base
import torch
from comfy.model_base import BaseModel, ModelType
from comfy.model_patcher import ModelPatcher
from torch import Tensor

gc.freeze()  # ComfyUI collects every ten seconds, which takes 0.3 s for what is loaded by now

Shape = tuple[int, ...]
PIXELS = (3, 8, 8)


class Network(torch.nn.Module):
    """Mixes the channels at each point, by the prompt and the noise level; takes any rank, and a list of latents."""

    def __init__(self, dtype: torch.dtype, device: Any, operations: Any, channels: int, **_: Any) -> None:
        super().__init__()
        self.dtype = dtype
        self.mix = operations.Linear(channels, channels, dtype=dtype, device=device)

    def forward(self, x: Any, timesteps: Tensor, context: Tensor, **_: Any) -> Any:
        if isinstance(x, list):
            return [self.forward(part, timesteps, context) for part in x]
        mixed = self.mix(x.movedim(1, -1)).movedim(-1, 1)
        rest = [1] * (x.ndim - 1)
        return torch.tanh(mixed + context.mean((1, 2)).view(-1, *rest)) * torch.cos(timesteps / 1000).view(-1, *rest)


class TinyModel(BaseModel):
    def extra_conds(self, **given: Any) -> dict[str, Any]:
        conds = super().extra_conds(**given)
        if len(given.get("latent_shapes") or ()) > 1:
            conds["latent_shapes"] = comfy.conds.CONDConstant(given["latent_shapes"])
        return conds


def model(kind: str, dtype: torch.dtype = torch.float32, shape: Shape = PIXELS, **sampling: Any) -> tuple[Any, Any]:
    """A MODEL of ComfyUI's own classes, for latents of a shape without the batch, and a CONDITIONING for it.

    Args:
        kind: a name of `ModelType`.
        dtype: of the weights.
        sampling: sampling settings, as in ComfyUI's model configurations.
    """

    class Format(comfy.latent_formats.LatentFormat):
        latent_channels = shape[0]
        latent_dimensions = len(shape) - 1

    class Config(comfy.supported_models_base.BASE):
        unet_extra_config: ClassVar[dict[str, Any]] = {}
        latent_format = comfy.latent_formats.ChromaRadiance if shape == PIXELS else Format
        sampling_settings = sampling

    config, device = Config({}), torch.device("cpu")
    config.set_inference_dtype(dtype, None if dtype == torch.float32 else torch.float32)
    base = TinyModel(config, ModelType[kind], device=device, unet_model=partial(Network, channels=shape[0]))
    generator = torch.Generator().manual_seed(3)
    weight = torch.randn(shape[0], shape[0], generator=generator) * 0.6
    base.diffusion_model.mix.load_state_dict({"weight": weight.to(dtype), "bias": torch.zeros(shape[0]).to(dtype)})
    return ModelPatcher(base, device, device), [[torch.randn(1, 2, 4, generator=generator), {}]]


class TestTinyModel:
    """Has the outputs of LML Demo Model."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"variant": (["eps", "flow"],), "batch_size": ("INT", {"default": 2, "min": 1})}}

    RETURN_TYPES = ("MODEL", "CONDITIONING", "CONDITIONING", "LATENT", "VAE")
    FUNCTION = "make"
    CATEGORY = "testing"

    def make(self, variant: str, batch_size: int) -> tuple[Any, ...]:
        """With pixels for latents, and ComfyUI's own VAE for that."""
        patcher, positive = model(variant.upper())
        return (
            patcher,
            positive,
            [[torch.zeros_like(positive[0][0]), {}]],
            {"samples": torch.zeros(batch_size, *PIXELS)},
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
