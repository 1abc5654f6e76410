"""Latents of several parts that ComfyUI packs into one row for its samplers (a video and its sound)."""

import math
from typing import Any

from torch import Tensor


def parts_of(samples: Any) -> list[Tensor]:
    """The tensors of a latent: itself, or each of its parts."""
    return list(samples.unbind()) if getattr(samples, "is_nested", False) else [samples]


def check_filled(latent: dict[str, Any]) -> None:
    """See that a LATENT holds something: else there is nothing to show and nothing to measure.

    Raises:
        ValueError: it is empty.
    """
    parts = parts_of(latent["samples"])
    if not any(part.numel() for part in parts):
        shapes = " and ".join(str(list(part.shape)) for part in parts)
        raise ValueError(
            f"latent_image has shape {shapes}, which holds nothing. Connect one with a batch of 1 or more, and a width "
            "and a height above 0."
        )


def part_sizes(model: Any, x: Tensor) -> list[int] | None:
    """The sizes of the parts along the last axis of `x`, `[B, 1, N]`, in the run of a `model`; None: `x` is one thing.

    An empty part is none. ComfyUI tells the shapes to the conditions alone, from which the model itself reads them to
    take `x` apart.
    """
    for conditions in getattr(model.inner_model, "conds", {}).values():
        for condition in conditions:
            shapes = condition.get("model_conds", {}).get("latent_shapes")
            sizes = [math.prod(shape[1:]) for shape in shapes.cond if 0 not in shape] if shapes is not None else []
            if len(sizes) > 1 and sum(sizes) == x.shape[-1]:
                return sizes
    return None
