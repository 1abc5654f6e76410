"""LML with a Hessian of rank r, made of the last r noise predictions (D.4 of arXiv 2505.24222)."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from lml_sampler import LMLSettings, sample_lml
from lml_sampler.parametrization import Parametrization, from_denoised, level_of, to_denoised

Variant = Literal["plain", "aged", "orthogonal", "differences"]


def correct_by_history(
    step: Tensor,
    history: Sequence[Tensor],
    damping: float,
    kappa: float,
    sensitivity: float = 0.0,
    variant: Variant = "plain",
) -> Tensor:
    """Precondition a sampling direction with the damped Hessian of rank r of LML, keeping its length.

        v ~ (damping I + sum_j q_j q_j^T)^-1 u,   q_j = (1 - kappa) u + kappa p_j,   |v| = |u|

    With W = [w_1 ... w_r], w_j the part of p_j - u orthogonal to u, and b_j = 1 + kappa <p_j - u, u> / <u, u>,
    Woodbury's formula leaves, up to the length,

        u - kappa <u, u> W (damping I + kappa^2 W^T W)^-1 b

    in which nothing cancels. W^T W would square the condition of predictions that are nearly parallel, so a QR
    factorisation gives W and its singular values s, each of which is filtered by kappa s / (damping + kappa^2 s^2).

    Args:
        step: u, `[B, ...]`.
        history: p_1 ... p_r, newest first, each `[B, ...]`.
        damping: lambda > 0 in units of <u, u>.
        kappa: in [0, 1]; 0 gives u.
        sensitivity: how much the damping grows by tan^2 of the turn from p_1 to u.
        variant: `aged` halves q_j q_j^T with each step of age; `orthogonal` keeps the part of w_j that is orthogonal to
            the newer ones; `differences` has the change from p_j to p_(j-1) in place of that from p_j to u.

    Returns:
        `[B, ...]`, for r = 1 what `lml_sampler.correct` gives.
    """
    u = step.flatten(1)
    changes = [older.flatten(1) - u for older in history]
    if variant == "differences":
        changes = [older - newer for older, newer in zip(changes, [0, *changes], strict=False)]
    basis, factor = torch.linalg.qr(torch.stack([u, *changes], -1))
    length = factor[:, :1, :1]
    factor = factor / torch.where(length == 0, 1, length)
    along, across = 1 + kappa * factor[:, :1, 1:], factor[:, 1:, 1:]
    damping = damping * (1 + sensitivity * across[:, :1, :1] ** 2)
    if variant == "orthogonal":
        across = torch.diag_embed(across.diagonal(dim1=-2, dim2=-1))
    elif variant == "aged":
        root = 0.5 ** (torch.arange(len(history), device=u.device) / 2)
        along, across = along * root, across * root
    left, values, right = torch.linalg.svd(across, full_matrices=False)
    values = kappa * values.unsqueeze(-1)
    turned = left @ (values / (damping + values**2) * (right @ along.mT))
    v = u - (basis[:, :, 1:] @ (turned * length)).squeeze(-1)
    return (v * torch.rsqrt(1 + turned.square().sum(1))).view_as(step)


class HistoryModel:
    """A denoiser whose noise prediction is corrected by the ones before it, for one run."""

    def __init__(self, model: Any, path: Parametrization, rank: int, **correction: Any) -> None:
        self.model, self.path, self.rank, self.correction = model, path, rank, correction
        self.history: tuple[Tensor, ...] = ()

    def __call__(self, x: Tensor, sigma: Tensor, **extra_args: Any) -> Tensor:
        """The denoised state, `[B, ...]`."""
        denoised = self.model(x, sigma, **extra_args)
        level = level_of(float(sigma[0]), self.path)
        noise, history = from_denoised("noise", x, denoised, level), self.history
        self.history = (noise, *history)[: self.rank]
        if not history or level.alpha == 0:
            return denoised
        return to_denoised("noise", x, correct_by_history(noise, history, **self.correction), level)


def sample_rank(
    model: Any,
    x: Tensor,
    sigmas: Tensor,
    extra_args: dict[str, Any] | None = None,
    callback: Any = None,
    disable: bool | None = None,
    *,
    path: Parametrization,
    scheme: Any,
    order: int,
    rank: int,
    **correction: Any,
) -> Tensor:
    """Sample with the correction of rank `rank` under a scheme; rank 0 is the scheme itself."""
    settings = LMLSettings(scheme=scheme, order=order, kappa=0)
    corrected = HistoryModel(model, path, rank, **correction) if rank else model
    return sample_lml(corrected, x, sigmas, extra_args, callback, disable, settings=settings, parametrization=path)
