"""Folders of diffusers among ComfyUI's models, and MODEL and VAE of plain torch modules."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import comfy.latent_formats
import comfy.model_management
import comfy.sd
import comfy.supported_models_base
import folder_paths
import torch
from comfy.model_base import BaseModel, ModelType
from comfy.model_patcher import ModelPatcher
from torch import Tensor, nn

FOLDER = "diffusers"


def folders(accept: Callable[[Path], bool]) -> list[str]:
    """Names of the accepted folders under models/diffusers, relative to it; nothing inside a model is offered."""
    found = set()
    for root in map(Path, _roots()):
        for path, inner, files in os.walk(root, followlinks=True):
            if "config.json" in files or "model_index.json" in files:
                inner.clear()
                if accept(Path(path)):
                    found.add(Path(path).relative_to(root).as_posix())
    return sorted(found)


def folder(name: str | None) -> Path:
    """Where a folder that `folders` has named is; None is what ComfyUI hands on from an empty list.

    Raises:
        ValueError: there is none of that name.
    """
    for root in map(Path, _roots() if name is not None else ()):
        path = (root / str(name)).resolve()
        if path.is_dir() and path.is_relative_to(root.resolve()):
            return path
    raise ValueError(f"folder is {name!r}, which is not in {' or '.join(_roots())}. Put the model there, and press R.")


def check_choice(name: str | None, accept: Callable[[Path], bool]) -> None:
    """See that there is a folder of the name; it is None if it comes by a link, or if the list is empty.

    Raises:
        ValueError: there is none of that name, or none at all.
    """
    if name is not None:
        folder(name)
    elif not folders(accept):
        raise ValueError(
            f"there is no folder to choose. Copy a model's folder into {' or '.join(_roots())} and press R."
        )


def _roots() -> list[str]:
    return folder_paths.get_folder_paths(FOLDER)


@dataclass(frozen=True)
class Space:
    """Where a model works."""

    channels: int
    """Of the latent."""
    scale: float = 1.0
    """What latents are multiplied by before the model."""
    downscale: int = 1
    """Pixels a latent pixel; 1 for a model on pixels."""


def model(
    build: Callable[[Any], nn.Module], weights: dict[str, Tensor], space: Space, sampling: dict[str, Any], v: bool
) -> ModelPatcher:
    """MODEL in float32 around a module `forward(x, timesteps, **_)`, which `build` makes of a host's layers.

    `sampling` are the parameters of ComfyUI's ModelSamplingDiscrete; `v`: it predicts v, not the noise.
    """

    class Format(comfy.latent_formats.LatentFormat):
        latent_channels = space.channels
        scale_factor = space.scale
        spacial_downscale_ratio = space.downscale
        latent_rgb_factors = torch.eye(space.channels, 3).tolist()  # for previews; of a VQ-VAE's latents rough

    class Config(comfy.supported_models_base.BASE):
        unet_extra_config: ClassVar[dict[str, Any]] = {}
        latent_format = Format
        sampling_settings = sampling

    config = Config({})
    config.set_inference_dtype(torch.float32, None)
    offload = comfy.model_management.unet_offload_device()
    kind = ModelType.V_PREDICTION if v else ModelType.EPS
    base = BaseModel(config, kind, device=offload, unet_model=lambda operations, **_: build(operations))
    base.diffusion_model.load_state_dict(weights)
    return ModelPatcher(base, comfy.model_management.get_torch_device(), offload)


def vae(module: nn.Module, space: Space) -> comfy.sd.VAE:
    """VAE around a module with `encode` and `decode`, in float32.

    ComfyUI makes a VAE of weights that it knows; this is that for models on pixels, its inner model replaced.
    """
    result = comfy.sd.VAE(sd={"pixel_space_vae": torch.tensor(1.0)}, dtype=torch.float32)
    offload = comfy.model_management.vae_offload_device()
    result.first_stage_model = module.eval().to(offload)
    result.patcher = ModelPatcher(module, load_device=result.device, offload_device=offload)
    result.downscale_ratio = result.upscale_ratio = space.downscale
    result.latent_channels = space.channels
    result.memory_used_encode = lambda shape, dtype: 1800 * shape[2] * shape[3] * dtype.itemsize
    result.memory_used_decode = lambda shape, dtype: 2200 * shape[2] * shape[3] * space.downscale**2 * dtype.itemsize
    result.size = comfy.model_management.module_size(module)
    return result
