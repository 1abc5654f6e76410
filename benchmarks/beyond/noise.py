"""The LML reverse SDE (Eq. 9 of arXiv 2505.24222): drift and noise of a step preconditioned alike."""

from typing import Any, Literal

import torch
from torch import Tensor

from lml_sampler import LMLSettings, correct, sample_lml
from lml_sampler.correction import inner, measure_turn, nonzero
from lml_sampler.damping import TURN_SENSITIVITY
from lml_sampler.parametrization import Parametrization, from_denoised, level_of, to_denoised
from lml_sampler.stochastic import NoiseSampler, seeded_noise_sampler

Noise = Literal["isotropic", "unit", "matched", "loud"]
"""What multiplies the fresh noise of a step, s being the factor that gives the drift P u the length of u:

isotropic   1                   what `eta` does
unit        P^1/2               gain 1 but along q
matched     s^1/2 P^1/2         the noise that belongs to the drift s P u
loud        s^1/2               as loud as `matched`, but isotropic
"""


class Hessian:
    """P = (I + q q^T / damping)^-1, q = (1 - kappa) u + kappa p, of one step."""

    def __init__(self, u: Tensor, p: Tensor, damping: float | Tensor, kappa: float) -> None:
        """u, p: `[B, ...]`; damping in units of <u, u>, a number or `[B, 1, ...]`."""
        self.u, self.p, self.kappa = u, p, kappa
        self.damping = damping * inner(u, u)
        self.q = torch.lerp(u, p, kappa)
        self.energy = inner(self.q, self.q)

    def drift(self) -> Tensor:
        """s P u, `[B, ...]`, as long as u."""
        return correct(self.u, self.p, self.damping.flatten(), self.kappa)

    def stretch(self) -> Tensor:
        """s = |u| / |P u|, `[B, 1, ...]`."""
        solved = self.u - self.q * (inner(self.q, self.u) / (self.damping + self.energy))
        return (inner(self.u, self.u) / nonzero(inner(solved, solved))).sqrt()

    def root(self, noise: Tensor) -> Tensor:
        """P^1/2 noise = noise - (1 - sqrt(damping / (damping + |q|^2))) q <q, noise> / |q|^2, `[B, ...]`."""
        shrinks = 1 - (self.damping / (self.damping + self.energy)).sqrt()
        return noise - self.q * (shrinks * inner(self.q, noise) / nonzero(self.energy))

    def shape(self, noise: Tensor, form: Noise) -> Tensor:
        """`noise`, `[B, ...]`, in one of its forms."""
        if form in ("unit", "matched"):
            noise = self.root(noise)
        return noise * self.stretch().sqrt() if form in ("matched", "loud") else noise


class PreconditionedModel:
    """A denoiser with a corrected noise prediction, and the noise sampler that goes with it, for one run.

    The damping is adaptive, as in the pack.
    """

    def __init__(
        self, model: Any, path: Parametrization, form: Noise, damping: float, kappa: float, fresh: NoiseSampler
    ) -> None:
        self.model, self.path, self.form, self.damping, self.kappa = model, path, form, damping, kappa
        self.fresh = fresh
        self.previous: Tensor | None = None
        self.hessian: Hessian | None = None

    def __call__(self, x: Tensor, sigma: Tensor, **extra_args: Any) -> Tensor:
        """The denoised state, `[B, ...]`."""
        denoised = self.model(x, sigma, **extra_args)
        level = level_of(float(sigma[0]), self.path)
        u, p = from_denoised("noise", x, denoised, level), self.previous
        self.previous, self.hessian = u, None
        if p is None or level.alpha == 0:
            return denoised
        damping = self.damping * (1 + TURN_SENSITIVITY * measure_turn(u, p).tangent_squared)
        self.hessian = Hessian(u, p, damping, self.kappa)
        return to_denoised("noise", x, self.hessian.drift(), level)

    def draw(self, sigma: Tensor, sigma_next: Tensor) -> Tensor:
        """The noise of the step from the last call's sigma."""
        noise = self.fresh(sigma, sigma_next)
        return noise if self.hessian is None else self.hessian.shape(noise, self.form)


def sample_sde(
    model: Any,
    x: Tensor,
    sigmas: Tensor,
    extra_args: dict[str, Any] | None = None,
    callback: Any = None,
    disable: bool | None = None,
    *,
    path: Parametrization,
    eta: float,
    form: Noise,
    damping: float,
    kappa: float,
    s_noise: float = 1.0,
) -> Tensor:
    """Ancestral first-order steps with a corrected drift and noise of some form; eta 0 is the ODE.

    `extra_args["seed"]` seeds the noise.
    """
    fresh = seeded_noise_sampler(x, (extra_args or {})["seed"])
    both = PreconditionedModel(model, path, form, damping, kappa, fresh)
    settings = LMLSettings(scheme="ddim", kappa=0, eta=eta, s_noise=s_noise)
    return sample_lml(
        both, x, sigmas, extra_args, callback, disable, settings=settings, parametrization=path, noise_sampler=both.draw
    )


@torch.no_grad()
def langevin_variance(form: Noise, damping: float, kappa: float, ratio: float = 0.9, steps: int = 600) -> float:
    """The variance per element that Langevin steps at sigma = 1 give N(0, 1), which should be 1.

    The steps are those of `sample_sde`: from u = x down to `ratio` along the drift and back up with noise. P is made
    of u and of the step before, as in a run, so it depends on the state.
    """
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(400, 256, generator=generator)
    previous, squares = x, []
    for step in range(steps):
        hessian = Hessian(x, previous, damping, kappa)
        noise = torch.randn(x.shape, generator=generator)
        previous = x
        x = x - (1 - ratio) * hessian.drift() + (1 - ratio**2) ** 0.5 * hessian.shape(noise, form)
        if step >= steps // 2:
            squares.append(x.square().mean())
    return torch.stack(squares).mean().item()
