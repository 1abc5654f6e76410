"""Samplers from the literature that ComfyUI does not have, as functions of k-diffusion; none adds noise.

All of them move x along d = (x - denoised) / sigma, which is the noise prediction of an eps model and the velocity of a
flow model. They are stated from their papers.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from torch import Tensor

BETA = 0.8
"""Of GHVB: its order is 1 + BETA."""

Sampler = Callable[..., Tensor]


def direction(model: Any, x: Tensor, sigma: Tensor, extra_args: dict[str, Any] | None) -> Tensor:
    """One model call."""
    return (x - model(x, sigma * x.new_ones([x.shape[0]]), **(extra_args or {}))) / sigma


def sample_ghvb(model: Any, x: Tensor, sigmas: Tensor, extra_args: Any = None, **_: Any) -> Tensor:
    """Generalized heavy ball of order 1.8 (arXiv 2307.11118): Adams-Bashforth 2 on a running mean of the predictions.

    v <- BETA d + (1 - BETA) v;  x moves by ((2 + BETA) v - (2 - BETA) v before) / (2 BETA).
    """
    before = None
    for sigma, after in pairwise(sigmas):
        d = direction(model, x, sigma, extra_args)
        if before is None:
            mean = step = d
        else:
            mean = BETA * d + (1 - BETA) * before
            step = ((2 + BETA) * mean - (2 - BETA) * before) / (2 * BETA)
        x, before = x + (after - sigma) * step, mean
    return x


def sample_pfdiff(model: Any, x: Tensor, sigmas: Tensor, extra_args: Any = None, **_: Any) -> Tensor:
    """PFDiff-1 (arXiv 2408.08822): the past prediction leads to the next level, the one made there leads two levels on.

    An odd last step is a plain one with a call of its own.
    """
    past = direction(model, x, sigmas[0], extra_args)
    last = len(sigmas) - 1
    for i in range(0, last - 1, 2):
        ahead = x + (sigmas[i + 1] - sigmas[i]) * past
        past = direction(model, ahead, sigmas[i + 1], extra_args)
        x = x + (sigmas[i + 2] - sigmas[i]) * past
    if last % 2:
        past = past if last == 1 else direction(model, x, sigmas[-2], extra_args)
        x = x + (sigmas[-1] - sigmas[-2]) * past
    return x


def sample_fireflow(model: Any, x: Tensor, sigmas: Tensor, extra_args: Any = None, **_: Any) -> Tensor:
    """FireFlow (arXiv 2412.07517): the midpoint method; the direction of the last step leads to the midpoint."""
    d = direction(model, x, sigmas[0], extra_args)
    for sigma, after in pairwise(sigmas):
        middle = (sigma + after) / 2
        d = direction(model, x + (middle - sigma) * d, middle, extra_args)
        x = x + (after - sigma) * d
    return x


PUBLISHED: dict[str, Sampler] = {"GHVB 1.8": sample_ghvb, "PFDiff 1": sample_pfdiff, "FireFlow": sample_fireflow}
