"""The timesteps and sigmas of evaluations are those of diffusers."""

from typing import Any

import pytest
from evaluate import suite, units

pytestmark = pytest.mark.every_host

SPACINGS = ("leading", "linspace", "trailing")


@pytest.mark.filterwarnings("ignore:__array__ implementation")
def test_timesteps_are_those_of_diffusers() -> None:
    from diffusers import DDIMScheduler, DPMSolverMultistepScheduler

    for steps in (5, 7, 10, 20):
        for kind in (DDIMScheduler, DPMSolverMultistepScheduler):
            for spacing in SPACINGS:
                if kind is DPMSolverMultistepScheduler and spacing != "linspace":
                    continue
                if kind is DDIMScheduler and spacing == "linspace":
                    continue  # it takes the last timestep too, and steps by another width than its grid
                scheduler = kind(timestep_spacing=spacing)
                scheduler.set_timesteps(steps)
                assert units.timesteps_of(spacing, steps) == scheduler.timesteps.tolist(), (kind, spacing, steps)
    assert units.timesteps_of("leading", 5) == [800, 600, 400, 200, 0]


@pytest.mark.parametrize(("start", "end", "schedule"), [(1e-4, 0.02, "linear"), (0.00085, 0.012, "scaled_linear")])
def test_sigmas_are_those_of_the_schedule(start: float, end: float, schedule: Any) -> None:
    from diffusers import DDIMScheduler

    kept = DDIMScheduler(beta_start=start, beta_end=end, beta_schedule=schedule).alphas_cumprod[[800, 600, 400, 200, 0]]
    found = units.sigmas_of(suite.Betas(schedule, start, end), suite.Sampler("x", {}, "leading"), 5)
    expected = ((1 - kept) / kept).sqrt().tolist()
    assert found == pytest.approx([*expected, 0.0], rel=1e-4)
