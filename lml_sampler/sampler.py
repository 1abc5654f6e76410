"""The sampling loop: one model call a step, then one step of the solver."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from tqdm.auto import trange

from .correction import widened
from .diagnostics import Recorder
from .finite import FiniteWatch
from .parametrization import Level, Parametrization, schedule, smallest_level
from .settings import LMLSettings
from .step import Figures, Step
from .stepping import Stepper
from .stochastic import NoiseSampler, kept_signal, seeded_noise_sampler, split_level

DEFAULT_SETTINGS = LMLSettings()


@torch.no_grad()
def sample_lml(
    model: Callable[..., Tensor],
    x: Tensor,
    sigmas: Tensor,
    extra_args: dict[str, Any] | None = None,
    callback: Callable[[dict[str, Any]], None] | None = None,
    disable: bool | None = None,
    *,
    settings: LMLSettings = DEFAULT_SETTINGS,
    parametrization: Parametrization = "ve",
    noise_sampler: NoiseSampler | None = None,
    recorder: Recorder | None = None,
    cond_denoised: Callable[[], Tensor | None] | None = None,
    sigma_min: float = 0.0,
    parts: Sequence[int] | None = None,
) -> Tensor:
    """Sample with Levenberg-Marquardt-Langevin, a drop-in for the samplers of k-diffusion.

    Between the steps the state is kept in float32 at least; the model and the callback get it in the dtype of `x`.

    Args:
        model: denoiser, `model(x, sigma, **extra_args) -> denoised`, with `sigma` `[B]`; called once a step.
        x: `[B, ...]`, the state at `sigmas[0]`, any rank from 2.
        sigmas: `[N + 1]` in ComfyUI's scale; read to the host once. A last value above 0 leaves that noise in the
            result. Where a sigma comes twice, the model is called and nothing moves. Where sigma rises, the step is
            plain, and the next one begins anew. A flow model's sigma may be above 1: plain steps.
        extra_args: passed on to the model; `denoise_mask`, if present, restricts the correction to what it marks
            (broadcastable to `x`, 1 = sampled); `seed` starts the noise of stochastic settings.
        callback: called once a step with `x`, `i`, `sigma`, `sigma_hat`, `denoised`.
        disable: no console progress bar.
        settings: see `LMLSettings`.
        parametrization: `ve` (x = x0 + sigma noise: eps, v and EDM models) or `flow` (x = (1 - sigma) x0 + sigma
            noise: FLUX, SD3).
        noise_sampler: `noise_sampler(sigma, sigma_next) -> Tensor` like `x`, used by stochastic settings.
        recorder: takes note of every step, see `diagnostics`; None costs nothing.
        cond_denoised: asked after each call of a model with classifier-free guidance for its output without guidance,
            under the positive condition alone, `[B, ...]`, or None if the output is not guided. The recorder tells how
            much guidance adds; the picture does not depend on it.
        sigma_min: the smallest noise level that the model knows, in the scale of `sigmas`. A step to 0 ends there, and
            what the model answers there is the picture, as for samplers that take that step plainly; 0: it knows all.
            Read by the scheme `auto`.
        parts: sizes along the last axis of things that are sampled together but do not belong together (a video and
            its sound): each is measured and stepped as if it were alone. None: `x` is one thing.

    Returns:
        `[B, ...]`, the state at `sigmas[-1]`; `x` itself if there is no step to take.

    Raises:
        ValueError: before the first model call, if `sigmas` is not a schedule or does not fit the settings, `sigma_min`
            is not a level, or `parts` are not those of `x`; after a call that answers in another shape.
        FloatingPointError: the model gave NaN or Inf; names the first such step and its sigma. See `FiniteWatch`.

    Source: arXiv 2505.24222, Algorithm 1.
    """
    levels = _levels(x, sigmas, settings, parametrization)
    floor = smallest_level(sigma_min, parametrization)
    if len(levels) < 2:
        return x
    extra_args = extra_args or {}
    if settings.stochastic and noise_sampler is None:
        noise_sampler = seeded_noise_sampler(x, extra_args.get("seed"))
    rows = sigmas.to(x).unsqueeze(-1).repeat(1, x.shape[0])
    state = widened(x)
    stepper = Stepper(settings, state, extra_args.get("denoise_mask"), parts)
    audience = Audience(levels, x.device, settings, callback, recorder, cond_denoised)
    for i in trange(len(levels) - 1, disable=disable):
        audience.step()
        x = state.to(x.dtype)
        denoised = model(x, rows[i], **extra_args)
        audience.hear(i, x, sigmas, denoised)
        step, noise_level = _step(i, levels, floor, settings, parametrization, recorder is not None)
        state, figures, note = stepper.step(state, denoised.to(state.dtype), step, audience.unguided())
        if noise_level > 0 and noise_sampler is not None:
            noise = noise_sampler(sigmas[i], sigmas[i + 1])
            state = state * kept_signal(levels[i + 1], step.target) + noise * (noise_level * settings.s_noise)
        audience.take(figures, note)
    audience.finish()
    return state.to(x.dtype)


class Audience:
    """Who follows a run and changes nothing in it: the callback, the recorder, the check of the model's answers."""

    def __init__(
        self,
        levels: list[Level],
        device: torch.device,
        settings: LMLSettings,
        callback: Callable[[dict[str, Any]], None] | None,
        recorder: Recorder | None,
        cond_denoised: Callable[[], Tensor | None] | None,
    ) -> None:
        self._steps = len(levels) - 1
        self._callback, self._recorder, self._cond_denoised = callback, recorder, cond_denoised
        self._watch = FiniteWatch(device, levels)
        if recorder is not None:
            recorder.begin(settings, levels, device)

    def step(self) -> None:
        """A step begins: the model is called next."""
        if self._recorder is not None:
            self._recorder.step()

    def hear(self, i: int, x: Tensor, sigmas: Tensor, denoised: Tensor) -> None:
        """The model has answered at step `i`.

        Raises:
            ValueError: in another shape.
            FloatingPointError: see `FiniteWatch`.
        """
        self._mark()
        if denoised.shape != x.shape:
            raise ValueError(
                f"the model's answer at step {i + 1} of {self._steps} has shape {tuple(denoised.shape)}, but the "
                f"latent {tuple(x.shape)}. A patch of the model or a guidance node is at fault: bypass them one by one."
            )
        if self._callback is not None:
            self._callback({"x": x, "i": i, "sigma": sigmas[i], "sigma_hat": sigmas[i], "denoised": denoised})
        self._mark()
        self._watch.add(denoised)

    def unguided(self) -> Tensor | None:
        """The same answer without guidance, if that is known and somebody wants it."""
        return None if self._recorder is None or self._cond_denoised is None else self._cond_denoised()

    def take(self, figures: Sequence[tuple[Figures | None, Tensor | None]], note: str) -> None:
        """The step is over; see `Recorder.take`."""
        if self._recorder is not None:
            self._recorder.take(figures, note)
        self._mark()

    def finish(self) -> None:
        """The run is over."""
        self._watch.finish()

    def _mark(self) -> None:
        if self._recorder is not None:
            self._recorder.mark()


def _levels(x: Tensor, sigmas: Tensor, settings: LMLSettings, parametrization: Parametrization) -> list[Level]:
    """The levels of a run, once state, schedule and settings are known to go together; see `sample_lml`."""
    if x.ndim < 2:
        raise ValueError(f"x has shape {tuple(x.shape)}; it needs a batch axis first: [B, ...] of rank 2 or more")
    levels = schedule(sigmas.tolist(), parametrization)
    if settings.target == "velocity" and parametrization != "flow":
        raise ValueError(
            "target is 'velocity', but this is not a flow model (eps, v and EDM models have no flow velocity). "
            "Choose target score or increment."
        )
    return levels


def _step(
    i: int, levels: list[Level], floor: Level, settings: LMLSettings, parametrization: Parametrization, recorded: bool
) -> tuple[Step, float]:
    """Step number `i`, and the standard deviation of the noise to add after it."""
    here, steps = levels[i], len(levels) - 1
    down, noise_level = split_level(here, levels[i + 1], settings, parametrization)
    step = Step(
        here,
        down,
        floor,
        order=min(settings.order, steps - i) if settings.lower_order_final else settings.order,
        corrected=settings.corrects(i, steps) and here.alpha > 0,
        settings=settings.at(i, steps),
        parametrization=parametrization,
        recorded=recorded,
    )
    return step, noise_level
