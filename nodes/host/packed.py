"""Latents of several parts that ComfyUI packs into one row for its samplers (a video and its sound)."""

import math
from typing import Any

from torch import Tensor


def part_sizes(model: Any, x: Tensor) -> list[int] | None:
    """The sizes of the parts along the last axis of `x`, `[B, 1, N]`, in the run of a `model`; None: `x` is one thing.

    ComfyUI tells the shapes to the conditions alone, from which the model itself reads them to take `x` apart.
    """
    for conditions in getattr(model.inner_model, "conds", {}).values():
        for condition in conditions:
            shapes = condition.get("model_conds", {}).get("latent_shapes")
            sizes = [math.prod(shape[1:]) for shape in shapes.cond] if shapes is not None else []
            if len(sizes) > 1 and sum(sizes) == x.shape[-1]:
                return sizes
    return None
