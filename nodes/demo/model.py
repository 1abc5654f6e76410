"""The demo model as a ComfyUI MODEL.

One denoiser of ComfyUI's own UNet (3.6 M parameters) on 64 x 64 pixels, on a noise-prediction and on a flow path; shape
and color are two cross-attention tokens.
"""

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from .. import host

SHAPES = ("circle", "square", "triangle", "star")
COLORS = ("red", "orange", "yellow", "green", "blue", "violet")
VARIANTS = ("eps", "flow")
SIZE = 64
TOKEN_WIDTH = 16
SCALE = ".scale"

FILE = Path(__file__).parent / "weights" / "stones.safetensors"

UNET = {
    "image_size": SIZE,
    "in_channels": 48,
    "out_channels": 48,
    "model_channels": 64,
    "num_res_blocks": 1,
    "channel_mult": (1, 2),
    "num_head_channels": 32,
    "use_spatial_transformer": True,
    "transformer_depth": [0, 1],
    "transformer_depth_middle": 1,
    "transformer_depth_output": [0, 0, 0, 1],
    "context_dim": TOKEN_WIDTH,
    "legacy": False,
    "use_linear_in_transformer": True,
}
"""Configuration of ComfyUI's UNetModel. 48 channels: the RGB of 4 x 4 pixels."""


def tokens(shapes: Tensor, colors: Tensor) -> Tensor:
    """One-hot conditioning tokens, `[B, 2, 16]`, from indices `[B]`; -1 leaves the token zero ("any")."""
    result = torch.zeros(len(shapes), 2, TOKEN_WIDTH)
    for token, (index, first) in enumerate(((shapes, 0), (colors, len(SHAPES)))):
        chosen = index >= 0
        result[chosen, token, first + index[chosen]] = 1
    return result


def conditioning(shape: str | None, color: str | None) -> list[Any]:
    """CONDITIONING for a shape and a color; None stands for any."""
    shape_index = torch.tensor([-1 if shape is None else SHAPES.index(shape)])
    color_index = torch.tensor([-1 if color is None else COLORS.index(color)])
    return [[tokens(shape_index, color_index), {}]]


def empty_latent(batch_size: int) -> dict[str, Tensor]:
    """LATENT of the demo model's size: `[B, 3, 64, 64]`."""
    return {"samples": torch.zeros(batch_size, 3, SIZE, SIZE)}


def load(variant: str) -> Any:
    """MODEL with the shipped weights.

    Raises:
        ValueError: the file is missing or broken; the message names it and how to restore it.
    """
    try:
        return host.pixels.model(unpack(load_file(FILE)), UNET, flow=variant == "flow")
    except (OSError, SafetensorError, RuntimeError) as error:
        pack = FILE.parents[3]
        raise ValueError(
            f"The demo model's file {FILE} cannot be used: {error}. Restore it: run "
            f"`git checkout -- {FILE.relative_to(pack).as_posix()}` in {pack}, or reinstall LML Sampler."
        ) from error


def pack(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Float weights as they ship: layers in 8-bit integers with one scale for each output, a quarter of the size."""
    result = {}
    for name, value in weights.items():
        if value.ndim > 1 and name.endswith(".weight"):
            scale = value.abs().flatten(1).amax(1).clamp_min(1e-8).view(-1, *[1] * (value.ndim - 1)) / 127
            result[name], result[name + SCALE] = (value / scale).round().to(torch.int8), scale.contiguous()
        else:
            result[name] = value.contiguous()
    return result


def unpack(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of `pack`."""
    scales = {name: value for name, value in weights.items() if name.endswith(SCALE)}
    return {
        name: value * scales[name + SCALE] if name + SCALE in scales else value
        for name, value in weights.items()
        if name not in scales
    }
