"""The sampling loop: one model call a step, its output corrected, then one step of the scheme."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from tqdm.auto import trange

from .auto import advance_auto
from .correction import combine, inner, measure_products, measure_turn, rotation, small_rotation
from .damping import any_damping, relative_damping
from .diagnostics import Recorder
from .finite import check_finite, probe
from .first_order import advance_first_order, suits_first_order
from .parametrization import (
    Level,
    Parametrization,
    Quantity,
    convert,
    from_denoised,
    schedule,
    smallest_level,
    vp_scale,
)
from .released import correct_released
from .schemes import INTEGRATES, combination, scheme_at, usable_order
from .settings import LMLSettings, Target
from .step import Step
from .stochastic import NoiseSampler, seeded_noise_sampler, split_level

DEFAULT_SETTINGS = LMLSettings()

AIMS: dict[Target, Quantity | None] = {
    "score": "noise",
    "direction": "noise",
    "velocity": "velocity",
    "increment": None,
}
"""The quantity of the model output that each target corrects; the increment is corrected after the scheme."""


class Memory(NamedTuple):
    """What one step hands to the next; born and dead inside one call of `sample_lml`."""

    previous: Tensor | None
    """The last vector before its correction, `[B, ...]`."""
    energy: Tensor | None
    """Its squared length where the cheap correction needs it, `[B, 1, ...]`."""
    outputs: tuple[Tensor, ...]
    """The last model outputs in the quantity of the scheme, newest first, each `[B, ...]`."""
    levels: tuple[Level, ...]
    """The noise level of each output."""


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
) -> Tensor:
    """Sample with Levenberg-Marquardt-Langevin, a drop-in for the samplers of k-diffusion.

    Args:
        model: denoiser, `model(x, sigma, **extra_args) -> denoised`, with `sigma` `[B]`; called once a step.
        x: `[B, ...]`, the state at `sigmas[0]`, any rank from 2.
        sigmas: `[N + 1]`, falling, in ComfyUI's scale; read to the host once. A last value above 0 leaves that
            noise in the result.
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
            under the positive condition alone, `[B, ...]`, or None if the output is not guided. With it the scheme
            `auto` fades guidance out where it is about to end; other schemes have no use for it.
        sigma_min: the smallest noise level that the model knows, in the scale of `sigmas`. A step to 0 ends there, and
            what the model answers there is the picture, as for samplers that take that step plainly; 0: it knows all.
            Read by the scheme `auto`.

    Returns:
        `[B, ...]`, the state at `sigmas[-1]`; `x` itself if there is no step to take.

    Raises:
        ValueError: before the first model call, if the schedule does not fall or does not fit the settings, or
            `sigma_min` is no level; after a call that answers in another shape.
        FloatingPointError: after the run, if the model gave NaN or Inf; names the first such step and its sigma.

    Source: arXiv 2505.24222, Algorithm 1.
    """
    if x.ndim < 2:
        raise ValueError(f"x has shape {tuple(x.shape)}; it needs a batch axis first: [B, ...] of rank 2 or more")
    levels = schedule(sigmas.tolist(), parametrization)
    if settings.target == "velocity" and parametrization != "flow":
        raise ValueError(
            "target is 'velocity', but this is not a flow model (eps, v and EDM models have no flow velocity). "
            "Choose target score or increment."
        )
    floor = smallest_level(sigma_min, parametrization)
    steps = len(levels) - 1
    if steps < 1:
        return x
    extra_args = extra_args or {}
    if settings.stochastic and noise_sampler is None:
        noise_sampler = seeded_noise_sampler(x, extra_args.get("seed"))
    weight = extra_args.get("denoise_mask")
    rows = sigmas.to(x).unsqueeze(-1).repeat(1, x.shape[0])
    little = _rotates_little(x.dtype, settings)
    memory: Any = None
    mark = _nothing if recorder is None else recorder.mark
    if recorder is not None:
        recorder.begin(settings, levels, x.device)
    probes: list[Tensor] = []

    for i in trange(steps, disable=disable):
        here, target = levels[i], levels[i + 1]
        if recorder is not None:
            recorder.step()
        denoised = model(x, rows[i], **extra_args)
        mark()
        if denoised.shape != x.shape:
            raise ValueError(
                f"the model's answer at step {i + 1} of {steps} has shape {tuple(denoised.shape)}, but the latent "
                f"{tuple(x.shape)}. A patch of the model or a guidance node is at fault: bypass them one by one."
            )
        if callback is not None:
            callback({"x": x, "i": i, "sigma": sigmas[i], "sigma_hat": sigmas[i], "denoised": denoised})
        mark()
        down, noise_level = split_level(here, target, settings, parametrization)
        order = min(settings.order, steps - i) if settings.lower_order_final else settings.order
        bare = None if cond_denoised is None else cond_denoised()
        corrects = settings.corrects(i, steps)
        step = Step(here, down, floor, order, corrects, weight, parametrization, little, recorder, bare)
        advance = _choose_advance(settings, step)
        x, memory = advance(x, denoised, step, memory, settings.at(i, steps))
        probes.append(probe(denoised, memory.energy if weight is None else None))
        if noise_level > 0 and noise_sampler is not None:
            noise = noise_sampler(sigmas[i], sigmas[i + 1])
            x = x * (target.alpha / down.alpha) + noise * (noise_level * settings.s_noise)
        mark()
    check_finite(probes, levels)
    return x


def _nothing() -> None:
    """In place of taking the time."""


def _choose_advance(settings: LMLSettings, step: Step) -> Callable[..., tuple[Tensor, Any]]:
    """What takes the steps of a run: the scheme `auto`, the short form of the first order, or the general one."""
    if settings.neutral:
        return _advance
    if settings.scheme == "auto":
        return advance_auto
    return advance_first_order if suits_first_order(settings, step) else _advance


def _rotates_little(dtype: torch.dtype, settings: LMLSettings) -> bool:
    """Whether the slope of the rotation stays below 10, so that the turn may be measured by its products."""
    exact = dtype in (torch.float32, torch.float64) and settings.arithmetic == "exact"
    strength = settings.strength * max((factor for _, factor in settings.strength_curve), default=1.0)
    return exact and settings.damping_mode != "absolute" and settings.kappa * strength <= 5 * settings.damping


def _advance(
    x: Tensor, denoised: Tensor, step: Step, memory: Memory | None, settings: LMLSettings
) -> tuple[Tensor, Memory]:
    """Take one step from the model's output: correct what the settings aim at, combine, remember."""
    memory = memory or Memory(None, None, (), ())
    scheme = scheme_at(settings.scheme, step.here)
    quantity = INTEGRATES[scheme]
    aim = None if settings.neutral else AIMS[settings.target]
    vector, energy, corrected = None, None, None
    if aim is not None:
        vector = from_denoised(aim, x, denoised, step.here)
        corrected, energy = _corrected(vector, memory, step, settings)
    if aim is None or corrected is None:
        output = from_denoised(quantity, x, denoised, step.here)
    else:
        output = convert(aim, quantity, x, corrected, step.here)

    if settings.target == "direction" and corrected is not None:
        return step.target.alpha * denoised + step.target.sigma * corrected, Memory(vector, energy, (), ())

    outputs, levels = (output, *memory.outputs), (step.here, *memory.levels)
    order = usable_order(step.order, levels, step.target)
    if step.recorder is not None and order < settings.order:
        step.recorder.note(f"order {order} in place of {settings.order}")
    linear, weights = combination(scheme, settings.solver_type, levels[:order], step.target)
    increment = output * weights[0]
    for value, weight in zip(outputs[1:order], weights[1:], strict=True):
        increment.add_(value, alpha=weight)

    if settings.target == "increment" and not settings.neutral:
        scale = vp_scale(step.target, step.parametrization)
        vector = increment * scale
        corrected, energy = _corrected(vector, memory, step, settings)
        increment = increment if corrected is None else corrected / scale
        if scheme != settings.scheme:  # an increment to another linear term is no previous step of the next one
            vector = None
    kept = settings.order - 1
    return increment.add_(x, alpha=linear), Memory(vector, energy, outputs[:kept], levels[:kept])


def _corrected(
    vector: Tensor, memory: Memory, step: Step, settings: LMLSettings
) -> tuple[Tensor | None, Tensor | None]:
    """The corrected vector, or None where there is nothing to correct: the first step, outside the window.

    With it |vector|^2, if the next step can use it.
    """
    if memory.previous is None or not step.corrected:
        if step.recorder is not None:
            step.recorder.plain(vector, memory.previous, step.weight)
        return None, inner(vector, vector, step.weight) if step.rotates_little else None
    if settings.arithmetic == "released_float32":
        corrected = correct_released(vector, memory.previous, settings.damping / settings.strength, settings.kappa)
        if step.recorder is not None:
            step.recorder.measure(vector, memory.previous, corrected)
        return corrected, None
    if step.rotates_little and memory.energy is not None:
        products = measure_products(vector, memory.previous, memory.energy, step.weight)
        energy, across, damping = products.energy, memory.previous, relative_damping(settings)
        shares = small_rotation(products, damping[0], settings.kappa, damping[1])
    else:
        turn = measure_turn(vector, memory.previous, step.weight)
        energy, across, damping = None, turn.across, any_damping(settings, turn.energy)
        shares = rotation(turn, damping[0], settings.kappa, damping[1])
    corrected = combine(vector, across, shares, step.weight)
    if step.recorder is not None:
        step.recorder.measure(vector, memory.previous, corrected, damping, step.weight)
    return corrected, energy
