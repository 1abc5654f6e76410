"""The LML correction around any sampler: every model call of the sampler is corrected before the sampler sees it."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .correction import MOST, measure_turn, nonzero, squared_length, turn_away, widened
from .damping import any_damping
from .parametrization import SAME_LEVEL, Parametrization, check_parametrization
from .sampler import DEFAULT_SETTINGS
from .settings import LMLSettings
from .stepping import split_parts

Denoiser = Callable[..., Tensor]
Sampler = Callable[..., Tensor]

USED = ("damping_mode", "damping", "kappa", "start_percent", "end_percent")
"""The settings that concern the correction alone; the others describe a sampler, and the wrapped one is its own."""

REMEMBERED = 3
"""Past evaluations kept in a run. Going back two levels (heunpp2) needs three; who goes back further starts anew."""


class Evaluation(NamedTuple):
    """One model call of a run."""

    state: Tensor
    """x, `[B, ...]`."""
    denoised: Tensor
    """D, the model's answer, `[B, ...]`."""
    told: Tensor
    """D', what the sampler was told, `[B, ...]`."""
    noise: Tensor
    """The noise prediction before its correction, `[B, ...]`."""
    sigma: Tensor
    """`[B, 1, ...]`."""
    ahead: Tensor
    """How far the sampler's move to here is from a plain step, `[B, 1, ...]`; unknown is far."""


def wrap_sampler(
    sampler: Sampler,
    settings: LMLSettings = DEFAULT_SETTINGS,
    parametrization: Parametrization = "ve",
    parts: Sequence[int] | None = None,
) -> Sampler:
    """Put the LML correction around a sampler of the k-diffusion kind.

    The sampler gets a model whose every call returns a corrected prediction:

        e = (x - alpha D) / sigma          the model's noise prediction
        v = correct(e, p)                  p: the noise prediction of an earlier call, before its correction
        D' = (x - sigma v) / alpha         what the sampler sees in place of D

    **Which call is p.** The last one at a strictly larger sigma, among the three calls before; without one the call
    is not corrected. v extrapolates from p to e along the path, so p must lie behind e on it:

    - One call a step (euler, multistep): the call of the step before, as in `sample_lml`.
    - Several calls a step (Heun, DPM-2, 2S, SEEDS): the stages fall in sigma, and each follows the one before.
    - The same sigma again (Heun's next step, PECE): the point was only moved, so p stays the call before both.
    - Back up (Heun++, a rejected step, restarts): calls that now lie ahead do not count.

    **What the sampler does itself.** A sampler that looks ahead (multistep, Heun, predictor and corrector) must not be
    made to look ahead twice, and fresh noise (ancestral, SDE) is no turn of the path. Both are seen from where the
    sampler went: from p to here it moved as if it had been told M,

        x = alpha M + sigma / sigma_p (x_p - alpha_p M)

    and a plain step has M = D'_p. So the damping grows with lambda |M - D'_p|^2 / |D - D_p|^2, the larger one of the
    last two moves: every second call of Heun's method comes after a plain one, and so does the second call of a
    multistep run. lambda = 0 corrects every call.

    Samplers that read the unconditional prediction by a function of their own in `model_options` (CFG++) read it as
    the model made it; only what the model call returns is corrected. At sigma 0, and at sigma 1 of a flow model, where
    the noise prediction does not determine D, a call returns D itself.

    Args:
        sampler: `sampler(model, x, sigmas, extra_args=..., callback=..., disable=..., **options) -> Tensor`.
        settings: its fields of the correction; for a `damping_mode` other than adaptive the scheme must be ddim.
            `start_percent` and `end_percent` count the steps of `sigmas`, and a call between two of them belongs to the
            step that it is in. `kappa = 0` is the bare sampler, bit for bit.
        parametrization: `ve` (eps, v and EDM models) or `flow`.
        parts: as in `sample_lml`.

    Returns:
        A sampler of the same signature, also for who inspects it, named `lml_` and the name of `sampler`. A run's state
        begins and ends in a call of it. `extra_args["denoise_mask"]`, if present, restricts the correction to what it
        marks.

    Raises:
        ValueError: the parametrization is unknown, or a field of `settings` that describes the sampler itself is not
            at its default.

    Source: arXiv 2505.24222, Algorithm 1, whose solver may be any.
    """
    _check(settings, parametrization)

    @functools.wraps(sampler)  # who asks which options it takes (`noise_sampler`, `eta`) learns those of `sampler`
    def wrapped(
        model: Denoiser,
        x: Tensor,
        sigmas: Tensor,
        extra_args: dict[str, Any] | None = None,
        callback: Any = None,
        disable: bool | None = None,
        **options: Any,
    ) -> Tensor:
        if not settings.neutral:
            model = CorrectedModel(model, sigmas.to(x.device), settings, parametrization, parts)
        return sampler(model, x, sigmas, extra_args=extra_args, callback=callback, disable=disable, **options)

    wrapped.__name__ = f"lml_{getattr(sampler, '__name__', 'sampler')}"
    return wrapped


def _check(settings: LMLSettings, parametrization: str) -> None:
    check_parametrization(parametrization)
    for field in fields(settings):
        value, default = getattr(settings, field.name), getattr(DEFAULT_SETTINGS, field.name)
        allowed = (default, "ddim") if field.name == "scheme" else (default,)
        if field.name not in USED and value not in allowed:
            raise ValueError(
                f"{field.name} is {value!r}, but around another sampler only {', '.join(USED)} have a meaning. "
                f"Leave it at {default!r}, and choose the wrapped sampler instead."
            )


class CorrectedModel:
    """A denoiser in front of another one, for one run; every other attribute is that of the model behind it."""

    def __init__(
        self,
        model: Denoiser,
        sigmas: Tensor,
        settings: LMLSettings,
        parametrization: Parametrization,
        parts: Sequence[int] | None = None,
    ) -> None:
        self._model = model
        self._sigmas = sigmas
        self._settings = settings
        self._parametrization: Parametrization = parametrization
        self._parts = parts
        self._past: tuple[Evaluation, ...] = ()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def __call__(self, x: Tensor, sigma: Tensor, **extra_args: Any) -> Tensor:
        """The corrected denoised prediction; x `[B, ...]`, sigma `[B]`."""
        denoised = self._model(x, sigma, **extra_args)
        sigma = sigma.reshape(-1, *[1] * (x.ndim - 1))
        noise = (x - self._alpha(sigma) * denoised) / torch.where(sigma > 0, sigma, 1)
        # A copy of x: a sampler may go on in place.
        here = Evaluation(x.clone(), denoised, denoised, noise, sigma, torch.full_like(widened(sigma), MOST))
        past = tuple(one for one in self._past if one.state.shape == x.shape)
        if past:
            here = self._corrected(here, past, extra_args.get("denoise_mask"))
        self._past = (here, *past)[:REMEMBERED]
        return here.told

    def _corrected(self, here: Evaluation, past: tuple[Evaluation, ...], weight: Tensor | None) -> Evaluation:
        """With D' and how far the move was from a plain one."""
        previous = _previous(here, past)
        ahead = self._ahead(here, previous, weight)
        doubt = torch.maximum(ahead, past[0].ahead)
        turned_from = torch.where(self._inside(here.sigma), previous.noise, here.noise)
        split = [split_parts(each, self._parts) for each in (here.noise, turned_from, weight)]
        corrected = torch.cat([self._turn_away(doubt, *each) for each in zip(*split, strict=True)], -1)
        # In this form a call that is not corrected returns the very bits of the model.
        alpha = self._alpha(here.sigma)
        scale = torch.where(alpha > 0, here.sigma / torch.where(alpha > 0, alpha, 1), 0)
        told = torch.addcmul(here.denoised, scale, here.noise - corrected).to(here.denoised.dtype)
        return here._replace(told=told, ahead=ahead)

    def _alpha(self, sigma: Tensor) -> Tensor:
        return torch.ones_like(sigma) if self._parametrization == "ve" else 1 - sigma

    def _ahead(self, here: Evaluation, previous: Evaluation, weight: Tensor | None) -> Tensor:
        """|M - D'_p|^2 / |D - D_p|^2 of `wrap_sampler`, `[B, 1, ...]`; 0 where there is no p."""
        ratio = here.sigma / torch.where(previous.sigma > 0, previous.sigma, 1)
        left = here.state - self._alpha(here.sigma) * previous.told
        gap = left - ratio * (previous.state - self._alpha(previous.sigma) * previous.told)
        changed = (1 - ratio) * (here.denoised - previous.denoised)
        moved, turned = (squared_length(widened(vector), weight) for vector in (gap, changed))
        return (moved / nonzero(turned)).clamp_(max=MOST)

    def _turn_away(self, doubt: Tensor, noise: Tensor, previous: Tensor, weight: Tensor | None) -> Tensor:
        wide = widened(noise)
        turn = measure_turn(wide, widened(previous), weight)
        damping = any_damping(self._settings, turn.energy, doubt)
        return turn_away(wide, turn, damping, self._settings.kappa, weight)

    def _inside(self, sigma: Tensor) -> Tensor:
        """Whether a call is in the window of the settings, `[B, 1, ...]`."""
        settings, steps = self._settings, len(self._sigmas) - 1
        reached = (self._sigmas >= sigma.unsqueeze(-1) * (1 - SAME_LEVEL)).sum(-1)
        share = (reached - 1).clamp(0, steps - 1) / steps
        return (share >= settings.start_percent) & ((share < settings.end_percent) | (settings.end_percent == 1))


def _previous(here: Evaluation, past: tuple[Evaluation, ...]) -> Evaluation:
    """p of the rule in `wrap_sampler`; `here` itself, from which nothing turns, where there is none."""
    previous = here
    for one in reversed(past):
        behind = one.sigma > here.sigma * (1 + SAME_LEVEL)
        previous = Evaluation(*(torch.where(behind, its, other) for its, other in zip(one, previous, strict=True)))
    return previous
