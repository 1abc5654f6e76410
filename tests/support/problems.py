"""Diffusion problems whose solution is known, with exact denoisers in float64."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

Denoiser = Callable[..., Tensor]


class Gaussian(NamedTuple):
    """Data x0 ~ N(mean, std^2), elementwise: denoiser and probability flow in closed form."""

    mean: float = 0.4
    std: float = 0.7
    parametrization: str = "ve"

    def alpha(self, sigma: Tensor) -> Tensor:
        return torch.ones_like(sigma) if self.parametrization == "ve" else 1 - sigma

    def denoise(self, x: Tensor, sigma: Tensor, **_: object) -> Tensor:
        """E[x0 | x]; x `[B, ...]`, sigma `[B]`."""
        sigma = sigma.view(-1, *[1] * (x.ndim - 1))
        alpha = self.alpha(sigma)
        gain = alpha * self.std**2 / (alpha**2 * self.std**2 + sigma**2)
        return self.mean + gain * (x - alpha * self.mean)

    def solve(self, x: Tensor, sigma: Tensor, sigma_next: Tensor) -> Tensor:
        """The state at `sigma_next` of the probability flow through `x` at `sigma` (scalars)."""

        def spread(level: Tensor) -> Tensor:
            return (self.alpha(level) ** 2 * self.std**2 + level**2).sqrt()

        centred = (x - self.alpha(sigma) * self.mean) / spread(sigma)
        return self.alpha(sigma_next) * self.mean + centred * spread(sigma_next)


class Mixture(NamedTuple):
    """Data around a few points, with an isotropic Gaussian of `width` each: a curved flow."""

    points: Tensor
    """`[K, D]`."""
    width: float = 0.3
    parametrization: str = "ve"

    def denoise(self, x: Tensor, sigma: Tensor, **_: object) -> Tensor:
        """E[x0 | x], computed in float64 for any dtype of `x`."""
        state, sigma = x.double(), sigma.double().view(-1, 1)
        alpha = torch.ones_like(sigma) if self.parametrization == "ve" else 1 - sigma
        variance = alpha**2 * self.width**2 + sigma**2
        distance = ((state[:, None] - alpha[:, None] * self.points) ** 2).sum(-1)
        share = torch.softmax(-distance / (2 * variance), dim=1)
        nearest = share @ self.points
        return (nearest + alpha * self.width**2 / variance * (state - alpha * nearest)).to(x.dtype)


def mixture(parametrization: str = "ve") -> Mixture:
    """Five points in eight dimensions."""
    points = torch.randn(5, 8, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    return Mixture(points, parametrization=parametrization)


def noise(*shape: int, seed: int = 0) -> Tensor:
    """Standard normal numbers in float64; those of a seed."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def guided(problem: Mixture, cfg: float) -> Denoiser:
    """Classifier-free guidance towards the first two points."""
    wanted = problem._replace(points=problem.points[:2])

    def denoise(x: Tensor, sigma: Tensor, **_: object) -> Tensor:
        return torch.lerp(problem.denoise(x, sigma), wanted.denoise(x, sigma), cfg)

    return denoise


def lasting_guidance(variance: float, cfg: float) -> Denoiser:
    """The condition, of that variance, and its counterpart are Gaussians: what guidance adds never ends."""
    mean = 2 * noise(1, 64, seed=4)

    def denoise(x: Tensor, sigma: Tensor, **_: object) -> Tensor:
        square = sigma[:, None] ** 2
        wanted, other = (x * variance + mean * square) / (variance + square), x / (1 + square)
        return torch.lerp(other, wanted, cfg)

    return denoise
