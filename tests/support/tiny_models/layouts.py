"""Names and shapes of the tensors of each architecture, from the host's own classes with no memory behind them.

The numbers are the smallest that the host's detection still takes for the architecture.
"""

import re
from typing import Any

import torch

Layout = dict[str, tuple[int, ...]]
"""Shapes by name."""


def layout_of(kind: Any, prefix: str, device: str = "meta", **options: Any) -> Layout:
    """The tensors of one of the host's networks."""
    import comfy.ops

    module = kind(**options, device=device, operations=comfy.ops.disable_weight_init)
    return shapes(module, prefix)


def built(kind: Any, prefix: str, *arguments: Any, **options: Any) -> Layout:
    """The tensors of a network that chooses its own device and operations."""
    with torch.device("meta"):
        module = kind(*arguments, **options)
    return shapes(module, prefix)


def shapes(module: torch.nn.Module, prefix: str) -> Layout:
    return {prefix + name: tuple(value.shape) for name, value in module.state_dict().items()}


def narrowed(layout: Layout, rows: str, columns: str, width: int) -> Layout:
    """With fewer rows or columns in the matrices whose names match; the file must have a quantised layer then."""
    result = dict(layout)
    for name, shape in layout.items():
        if re.search(rows, name):
            result[name] = (width, *shape[1:])
        elif re.search(columns, name):
            result[name] = (shape[0], width)
    return result


def unet(prefix: str, **options: Any) -> Layout:
    """A UNet of Stable Diffusion with the given depths and widths."""
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

    return layout_of(UNetModel, prefix, **_unet_options(**options), out_channels=4)


def controlnet(prefix: str, **options: Any) -> Layout:
    """The ControlNet that fits such a UNet."""
    from comfy.cldm.cldm import ControlNet

    return layout_of(ControlNet, prefix, **_unet_options(**options), hint_channels=3)


def _unet_options(**options: Any) -> dict[str, Any]:
    fixed = {"image_size": 32, "in_channels": 4, "use_spatial_transformer": True, "legacy": False}
    classes = {"num_classes": "sequential"} if "adm_in_channels" in options else {}
    return fixed | classes | options
