"""The schemes: verified order of convergence, and their coefficients."""

from functools import cache
from typing import Any

import mpmath
import numpy as np
import pytest
import torch
from core_runs import PLAIN, euler, rms, run
from diffusers import DPMSolverMultistepScheduler
from problems import mixture, noise
from torch import Tensor

from lml_sampler.schemes import phi

IN_DIFFUSERS = [
    {"scheme": scheme, "order": order, "solver_type": kind}
    for scheme in ("dpmsolver", "dpmsolver++")
    for order, kind in ((1, "midpoint"), (2, "midpoint"), (2, "heun"), (3, "midpoint"))
]
"""Schemes that diffusers has too. Its third-order form takes half of the second derivative, and is seen as order 2."""

SCHEMES = [{"scheme": "ddim", "order": 1}, *IN_DIFFUSERS]
"""Every scheme in every order."""


def name_of(options: dict[str, Any]) -> str:
    return "-".join(map(str, options.values()))


def schedule(parametrization: str, steps: int) -> Tensor:
    """Even in half-logSNR, after a short first step.

    The first step of a multistep scheme is of first order: of size h^1.5 its error is of third order, and the order
    of the scheme shows.
    """
    low, high = (-2.3, 3.0) if parametrization == "ve" else (-3.0, 3.0)
    size = (high - low) / steps
    grid = torch.linspace(low, high, steps + 1, dtype=torch.float64)
    half_log_snr = torch.cat([grid[:1], grid[:1] + 0.2 * size**1.5, grid[1:]])
    return (-half_log_snr).exp() if parametrization == "ve" else (-half_log_snr).sigmoid()


def order_seen(options: dict[str, Any]) -> int:
    """The order that a scheme has."""
    return min(options["order"], 2) if options in IN_DIFFUSERS else options["order"]


def slope(errors: list[float], steps: list[int]) -> float:
    """The order seen: minus the slope of log error over log steps."""
    return -np.polyfit(np.log(steps), np.log(errors), 1)[0]


def on_mixture(parametrization: str, count: int, **fields: Any) -> Tensor:
    sigmas, model = schedule(parametrization, count), mixture(parametrization).denoise
    return run(model, noise(8, 8, seed=1) * sigmas[0], sigmas, parametrization=parametrization, **fields)


@cache
def converged(parametrization: str) -> Tensor:
    return on_mixture(parametrization, 4000, scheme="dpmsolver++", order=3, **PLAIN)


@pytest.mark.parametrize("parametrization", ["ve", "flow"])
@pytest.mark.parametrize("options", SCHEMES, ids=name_of)
@pytest.mark.parametrize("kappa", [0.0, 0.7])
def test_a_scheme_has_its_order(options: dict[str, Any], parametrization: str, kappa: float) -> None:
    """The plain scheme has its order; the corrected one converges too (the correction is itself of first order)."""
    exact, steps = converged(parametrization), [120, 180, 270, 400]
    errors = [(on_mixture(parametrization, count, kappa=kappa, **options) - exact).norm().item() for count in steps]
    if kappa == 0:
        assert slope(errors, steps) == pytest.approx(order_seen(options), abs=0.25)
    else:
        assert slope(errors, steps) > 0.8


@pytest.mark.parametrize("index", [1, 2, 3])
@pytest.mark.parametrize("z", [-30.0, -1.001, -0.999, -1e-3, -1e-9, 0.0, 1e-9, 1e-3, 0.5, 0.999, 1.001, 8.0])
def test_phi_is_its_series(index: int, z: float) -> None:
    with mpmath.workdps(40):
        exact = mpmath.nsum(lambda n: mpmath.mpf(z) ** n / mpmath.factorial(n + index), [0, mpmath.inf])
    assert phi(z)[index - 1] == pytest.approx(float(exact), rel=1e-13)


@pytest.mark.parametrize("parametrization", ["ve", "flow"])
@pytest.mark.parametrize("options", SCHEMES, ids=name_of)
def test_the_step_to_sigma_zero_is_the_denoised_prediction(options: dict[str, Any], parametrization: str) -> None:
    problem = mixture(parametrization)
    sigmas = torch.tensor([0.9, 0.7, 0.4, 0.0], dtype=torch.float64)
    steps: list[dict[str, Any]] = []
    fields = {"parametrization": parametrization, "callback": steps.append}
    result = run(problem.denoise, noise(4, 8, seed=2), sigmas, **fields, **options, **PLAIN)
    torch.testing.assert_close(result, steps[-1]["denoised"])


@pytest.mark.parametrize("options", SCHEMES, ids=name_of)
@pytest.mark.parametrize("target", ["score", "velocity", "increment"])
def test_flow_runs_from_sigma_one(options: dict[str, Any], target: str) -> None:
    """alpha is 0 and half-logSNR -inf there: the first step is of first order, and all schemes agree on it."""
    problem = mixture("flow")
    sigmas = torch.tensor([1.0, 0.8, 0.5, 0.2, 0.0], dtype=torch.float64)
    steps: list[dict[str, Any]] = []
    x, fields = noise(4, 8, seed=2), {"parametrization": "flow", "target": target, "callback": steps.append}
    assert run(problem.denoise, x, sigmas, **fields, **options).isfinite().all()
    torch.testing.assert_close(steps[1]["x"], euler(problem.denoise, x, sigmas[:2]))


@pytest.mark.parametrize("options", IN_DIFFUSERS, ids=name_of)
@pytest.mark.parametrize("steps", [5, 20])
@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
@pytest.mark.filterwarnings("ignore:__array__ implementation", "ignore:`algorithm_types dpmsolver")
def test_the_plain_solvers_are_those_of_diffusers(options: dict[str, Any], steps: int, kind: str) -> None:
    """The same model outputs to both; diffusers keeps its tables in float32."""
    scheduler = DPMSolverMultistepScheduler(
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        algorithm_type=options["scheme"],
        solver_order=options["order"],
        solver_type=options["solver_type"],
        prediction_type=kind,
        lower_order_final=True,
        final_sigmas_type="sigma_min",
    )
    scheduler.set_timesteps(steps)
    sigmas = scheduler.sigmas.double()
    scale = (1 + sigmas**2).sqrt()  # from the variance-preserving state of diffusers to ours
    problem = mixture()
    start = noise(4, 8, seed=5)

    sample = start
    for index, timestep in enumerate(scheduler.timesteps):
        sigma, x = sigmas[index], sample * scale[index]
        denoised = problem.denoise(x, sigma.expand(4))
        direction = (x - denoised) / sigma
        output = direction if kind == "epsilon" else (direction - sigma * denoised) / scale[index]
        sample = scheduler.step(output, timestep, sample).prev_sample
    options = options | PLAIN | {"lower_order_final": steps < 15}
    result = run(problem.denoise, start * scale[0], sigmas, **options)
    torch.testing.assert_close(result / scale[-1], sample, atol=2e-5, rtol=2e-5)


@pytest.mark.parametrize("parametrization", ["ve", "flow"])
@pytest.mark.parametrize("mode", ["adaptive", "relative"])
@pytest.mark.parametrize("options", SCHEMES, ids=name_of)
def test_the_correction_takes_no_scheme_further_off(options: dict[str, Any], mode: str, parametrization: str) -> None:
    """A scheme of order 2 or 3 looks ahead itself; one of order 1 is brought closer."""
    exact = on_mixture(parametrization, 200, scheme="dpmsolver++", order=2, **PLAIN)
    plain, corrected = (
        rms(on_mixture(parametrization, 12, damping_mode=mode, kappa=kappa, **options) - exact) for kappa in (0.0, 1.0)
    )
    assert corrected < (0.9 if options["order"] == 1 else 1.02) * plain
